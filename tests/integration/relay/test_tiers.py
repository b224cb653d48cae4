"""What a relay does with packets is the same in both tiers: each test runs with the kernel and with userspace."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import voicefleet.net
from tests.support.facts import DEADLINE, eventually
from tests.support.ice_client import IceClient
from tests.support.relay_lab import FAR_AWAY, V4, V6, Ends, RelayLab, kernel_packets, relay_lab
from tests.support.relay_process import RelayProcess
from tests.support.tiers import KERNEL_TIER
from voicefleet.contract import Env
from voicefleet.wire import hop
from voicefleet.wire.hop import Flag, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.stun import Class

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))
pytestmark = pytest.mark.needs(KERNEL_TIER)


@pytest.fixture(params=["Userspace", "Kernel"])
def tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["checksums-offloaded", "checksums-finished"])
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[RelayLab]:
    async with relay_lab(offload=request.param) as made:
        yield made


@pytest.fixture
async def plain_lab() -> AsyncIterator[RelayLab]:
    async with relay_lab() as made:
        yield made


@pytest.mark.parametrize(("public", "inside"), [(V4, V4), (V6, V4), (V4, V6), (V6, V6)], ids=["44", "64", "46", "66"])
async def test_media_passes_both_ways_unchanged(
    tmp_path: Path, lab: RelayLab, tier: str, public: Ends, inside: Ends
) -> None:
    async with (
        lab.peer(RING, inside.peer) as peer,
        lab.relay(tmp_path, RING, tier, public.relay) as relay,
        lab.client(relay, peer.new_call(), RING, public.client) as client,
    ):
        assert (await client.check()).mapped_address == client.address
        await client.talks()
        before, arrived = await relay.metrics(), len(peer.arrived)
        for length in (0, 1, 2, 171, 500, 1024):
            number = client.media(bytes(range(256)) * 4 + bytes(length % 7) if length == 1024 else b"\xff" * length)
            await client.hears(number)
        assert set(client.echoed.values()) == {1}
        assert [len(payload) for _, payload in peer.arrived[arrived:]] == [176, 177, 178, 347, 676, 1202]
        assert {header.client for header, _ in peer.arrived} == {client.address}
        assert {header.flags for header, _ in peer.arrived} == {Flag(0)}
        assert (await client.check()).cls is Class.SUCCESS
        if tier == "Kernel":
            await relay.counts("voicefleet_relay_packets_total{direction=uplink}{tier=kernel}", 6)
            await relay.counts("voicefleet_relay_packets_total{direction=downlink}{tier=kernel}", 6)
        after = await relay.metrics()
        assert (kernel_packets(after, "uplink") - kernel_packets(before, "uplink") > 0) == (tier == "Kernel")


async def test_a_client_behind_a_router_is_answered_through_it(tmp_path: Path, lab: RelayLab, tier: str) -> None:
    async with (
        lab.peer(RING) as peer,
        lab.relay(tmp_path, RING, tier) as relay,
        lab.client(relay, peer.new_call(), RING, FAR_AWAY) as client,
    ):
        await client.check()
        await client.talks()
        for _ in range(20):
            await client.hears(client.media())
        if tier == "Kernel":
            await relay.counts("voicefleet_relay_packets_total{direction=downlink}{tier=kernel}", 20)


async def test_media_from_a_new_address_is_marked_until_the_transceiver_has_authenticated_it(
    tmp_path: Path, plain_lab: RelayLab, tier: str
) -> None:
    async with plain_lab.call(tmp_path, RING, tier) as (peer, relay, client):
        await client.hears(client.media())
        await client.rebind()
        client.media()
        await relay.counts("voicefleet_relay_events_total{event=roaming_packets}", 1)
        marked, _ = peer.arrived[-1]
        assert marked.flags == Flag.UNVERIFIED | Flag.ROAMED and marked.client == client.address
        client.media(b"authentic")
        await relay.counts("voicefleet_relay_events_total{event=moves}", 1)
        await client.talks()
        assert peer.arrived[-1][0].flags == Flag.ROAMED
        await _forwards(relay, tier, client)


async def test_a_check_with_another_calls_token_moves_the_address_to_that_calls_owner(
    tmp_path: Path, plain_lab: RelayLab, tier: str
) -> None:
    async with (
        plain_lab.peer(RING) as old,
        plain_lab.peer(RING) as new,
        plain_lab.relay(tmp_path, RING, tier) as relay,
        plain_lab.client(relay, old.new_call(), RING) as client,
    ):
        await client.check()
        await client.talks()
        await _forwards(relay, tier, client)
        client.token = new.new_call()
        await client.check()
        heard = len(old.arrived)
        for number in [client.media() for _ in range(20)]:
            await client.hears(number)
        assert len(old.arrived) == heard and len(new.arrived) >= 20
        received = len(client.received)
        old.says(client.address, b"\x80 from the transceiver that lost the call")
        await relay.drops("hop_wrong_peer", 1)
        await client.check()
        assert not any(packet[:2] == b"\x80 " for packet in client.received[received:])
        await _forwards(relay, tier, client)


async def test_keys_are_rotated_under_a_live_call(tmp_path: Path, plain_lab: RelayLab, tier: str) -> None:
    async with plain_lab.call(tmp_path, RING, tier) as (peer, relay, client):
        newer = KeyRing("test", (*RING.keys, FleetKey(2, bytes(reversed(range(32))), 1.0, None)))
        peer.ring = client.ring = newer
        relay.key_file.write_bytes(newer.dump())
        async with asyncio.timeout(DEADLINE):
            while peer.arrived[-1][0].key_id != 2:
                await client.check()
        await client.talks()
        await _forwards(relay, tier, client)
        assert peer.arrived[-1][0].key_id == 2


async def test_a_flow_lives_by_its_media_alone_and_is_forgotten_when_that_stops(
    tmp_path: Path, plain_lab: RelayLab, tier: str
) -> None:
    async with plain_lab.call(tmp_path, RING, tier, FLOW_IDLE="6s") as (_peer, relay, client):
        loop = asyncio.get_running_loop()
        enough = loop.time() + 13.0  # twice as long as it may be silent
        while loop.time() < enough:
            await client.hears(client.media())
            await asyncio.sleep(0.05)
        assert not (await relay.metrics())["voicefleet_relay_events_total{event=flows_expired}"]
        await relay.counts("voicefleet_relay_events_total{event=flows_expired}", 1)
        after = await relay.metrics()
        assert after["voicefleet_relay_flows{state=confirmed}"] == after["voicefleet_relay_kernel_flows"] == 0
        client.media()
        await relay.drops("unknown_client", 1)


async def test_all_packet_processes_forward_for_their_own_clients(
    tmp_path: Path, plain_lab: RelayLab, tier: str
) -> None:
    async with (
        plain_lab.peer(RING) as peer,
        plain_lab.relay(tmp_path, RING, tier, WORKERS="3") as relay,
        AsyncExitStack() as stack,
    ):
        clients = [
            await stack.enter_async_context(plain_lab.client(relay, peer.new_call(), RING, ssrc=number))
            for number in range(12)
        ]
        for client in clients:
            await client.check()
            await client.talks()
        for _ in range(5):
            for client in clients:
                await client.hears(client.media())
        assert len(peer.relays) > 1, "each process speaks from its own hop port"
        for client in clients:
            await _forwards(relay, tier, client)
        await relay.counts("voicefleet_relay_kernel_flows", 12 if tier == "Kernel" else 0)


async def test_what_does_not_fit_the_way_in_one_piece_arrives_all_the_same(
    tmp_path: Path, plain_lab: RelayLab, tier: str
) -> None:
    """The hop is narrower than its packets, and then the way to the client; fragments go up and down."""
    plain_lab.middle.ip("link set eth1 mtu 1280")
    plain_lab.inside.ip("link set eth0 mtu 1280")
    async with plain_lab.call(tmp_path, RING, tier) as (peer, relay, client):
        for length in (800, 1040, 1100, 1164):
            await client.hears(client.media(bytes(length)))
        plain_lab.outside.ip("link set eth0 mtu 1000")
        plain_lab.middle.ip("link set eth0 mtu 1000")
        for _ in range(2):
            await client.check()  # the relay has been round since then, so it knows
        for length in (800, 1040, 1100, 1164):
            await client.hears(client.media(bytes(length)))
        assert {len(payload) for _, payload in peer.arrived[-4:]} == {976, 1216, 1276, 1340}
        await _forwards(relay, tier, client)


async def test_a_transceivers_bundles_and_trains_of_segments_arrive_packet_by_packet(
    tmp_path: Path, plain_lab: RelayLab, tier: str
) -> None:
    async with plain_lab.call(tmp_path, RING, tier) as (peer, _relay, client):
        await client.hears(client.media())
        where = next(reversed(peer.relays))
        head = hop.seal(Kind.DATA, Flag.DOWNLINK, client.address, RING.keys[0])
        bundled = [b"\x80 bundled %d" % number for number in range(3)]
        segments = [b"\x80 segment %03d" % number for number in range(20)]
        (bundle,) = hop.bundle([(head, payload) for payload in bundled])
        peer.send_raw(bundle, where)
        peer.send_train([head + payload for payload in segments], where)
        await client.check()
        await eventually(lambda: set(bundled + segments) <= set(client.received), "all of them arrive")
        assert len([packet for packet in client.received if packet[:2] == b"\x80 "]) == 23, "each once"


async def _forwards(relay: RelayProcess, tier: str, client: IceClient) -> None:
    """Media passes, and by the tier that is meant to."""
    before = await relay.metrics()
    async with asyncio.timeout(DEADLINE):
        while True:
            for number in [client.media() for _ in range(10)]:
                await client.hears(number)
            after = await relay.metrics()
            moved = [kernel_packets(after, way) - kernel_packets(before, way) for way in ("uplink", "downlink")]
            if tier == "Userspace":
                assert moved == [0, 0]
                return
            if min(moved) >= 10:
                return


async def test_a_program_that_somebody_removed_is_missed_by_nobody_and_comes_back(
    tmp_path: Path, plain_lab: RelayLab
) -> None:
    async with plain_lab.call(tmp_path, RING, "Kernel") as (_peer, relay, client):
        await _forwards(relay, "Kernel", client)
        for interface in ("eth0", "eth1"):
            plain_lab.middle.run("tc", "qdisc", "del", "dev", interface, "clsact")
            for number in [client.media() for _ in range(50)]:
                await client.hears(number)
        await eventually(lambda: _programs(plain_lab) == 2, "it is put back")
        await _forwards(relay, "Kernel", client)
        assert set(client.echoed.values()) == {1} and client.lost == 0


async def test_a_killed_relays_program_carries_live_calls_on_until_the_next_relay_replaces_it(
    tmp_path: Path, plain_lab: RelayLab
) -> None:
    async with plain_lab.call(tmp_path, RING, "Kernel") as (_peer, relay, client):
        await _forwards(relay, "Kernel", client)
        await relay.end(signal.SIGKILL)
        for _ in range(20):
            await client.hears(client.media())
        for _ in range(2):
            await relay.start()
            assert _programs(plain_lab) == 2, "one on each interface, not two"
            await client.check()
            await client.talks()
            await _forwards(relay, "Kernel", client)
            await relay.end(signal.SIGKILL)
        relay.environment[Env.DATAPATH] = "Userspace"
        await relay.start()
        assert _programs(plain_lab) == 0, "a relay that is told to be userspace removes it"
        await client.check()
        await _forwards(relay, "Userspace", client)


async def test_a_relay_that_ends_takes_its_program_off_every_interface(tmp_path: Path, plain_lab: RelayLab) -> None:
    async with plain_lab.call(tmp_path, RING, "Kernel", DRAIN_DEADLINE="500ms") as (_peer, relay, client):
        await _forwards(relay, "Kernel", client)
        assert _programs(plain_lab) == 2
        assert await relay.end(signal.SIGTERM) == 0
        assert _programs(plain_lab) == 0


async def test_a_packet_process_that_dies_takes_nothing_along(tmp_path: Path, plain_lab: RelayLab, tier: str) -> None:
    async with plain_lab.call(tmp_path, RING, tier) as (_peer, relay, client):
        await _forwards(relay, tier, client)
        await relay.counts("voicefleet_relay_flows{state=confirmed}", 1)  # so the control process was told of it
        (process,) = relay.packet_processes()
        os.kill(process, signal.SIGSTOP)  # so that it has nothing in its hands
        stat = Path(f"/proc/{process}/stat")
        await eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it stands still")
        numbers = [client.media() for _ in range(50)]
        if tier == "Kernel":
            for number in numbers:
                await client.hears(number)
        os.kill(process, signal.SIGKILL)
        for number in numbers:
            await client.hears(number)
        await eventually(lambda: relay.packet_processes() not in ([], [process]), "another one is there")
        await _forwards(relay, tier, client)
        assert client.lost == 0 and set(client.echoed.values()) == {1}


@pytest.mark.parametrize("lack", ["capabilities", "program", "interface"])
async def test_without_the_kernels_help_auto_is_userspace_and_kernel_does_not_start(
    tmp_path: Path, plain_lab: RelayLab, lack: str
) -> None:
    reason, prefix, host = {
        "capabilities": ("it takes CAP_BPF and CAP_NET_ADMIN", _WITHOUT_CAPABILITIES, V4.relay),
        "program": ("it was built where no clang was", _without_program(tmp_path), V4.relay),
        "interface": ("no Ethernet interface carries an address that the relay listens on", (), "127.0.0.1"),
    }[lack]
    async with plain_lab.relay(tmp_path, RING, "Auto", host, prefix=prefix) as relay:
        shown = [name for name in await relay.metrics() if name.startswith("voicefleet_relay_datapath{")]
        assert len(shown) == 1 and "{tier=userspace}{wanted=Auto}" in shown[0] and reason in shown[0]
        lines = [line for line in relay.output if " datapath " in line]
        assert len(lines) == 1 and reason in lines[0] and "userspace" in lines[0]
        await relay.end(signal.SIGTERM)
        relay.environment[Env.DATAPATH] = "Kernel"
        await relay.launch()
        assert await relay.ended() == 1
        assert any("kernel datapath is a must" in line and reason in line for line in relay.output)


async def test_two_capabilities_are_enough_for_the_kernel(tmp_path: Path, plain_lab: RelayLab) -> None:
    async with plain_lab.call(tmp_path, RING, "Kernel", prefix=_BPF_AND_NET_ADMIN) as (_peer, relay, client):
        await _forwards(relay, "Kernel", client)
        assert any("datapath" in line and "kernel" in line for line in relay.output)


_BPF_AND_NET_ADMIN = ("setpriv", "--bounding-set=-all,+cap_39,+net_admin", "--inh-caps=-all")
"""CAP_BPF by its number: Debian 12's setpriv does not know the name."""
_WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def _without_program(directory: Path) -> tuple[str, ...]:
    """An installation as a wheel makes it where no clang is: the same code, but for one folder."""
    package = Path(voicefleet.net.__file__).parents[1]
    shutil.copytree(package, directory / "installed/voicefleet", ignore=shutil.ignore_patterns("bpf", "__pycache__"))
    return ("env", f"PYTHONPATH={directory / 'installed'}")


def _programs(lab: RelayLab) -> int:
    """How many of the relay's programs are on the interfaces of its namespace."""
    return sum(
        lab.middle.run("tc", "filter", "show", "dev", interface, "ingress").count(" relay:[")
        for interface in ("eth0", "eth1")
    )
