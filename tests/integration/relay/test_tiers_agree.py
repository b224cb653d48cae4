"""The same packets, good and hostile, through a relay of each tier: what comes out and what is counted are the same."""

import asyncio
import random
import socket
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.echo_peer import EchoPeer
from tests.support.relay_lab import V4, V6, Ends, RelayLab, kernel_packets, relay_lab
from tests.support.tiers import KERNEL_TIER
from voicefleet.wire import hop
from voicefleet.wire.hop import Flag, HopHeader, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))
pytestmark = pytest.mark.needs(KERNEL_TIER)

_CLIENT_PORT, _STRANGER_PORT, _PEER_PORT = 5000, 5001, 4478
_NO_CHECKSUM = 11
"""SO_NO_CHECK: an IPv4 datagram without a checksum."""
_ROUNDS = 12


class Outcome(NamedTuple):
    """What somebody outside of the relay can see of a run."""

    to_transceiver: list[tuple[HopHeader, bytes]]
    to_client: list[bytes]
    dropped: dict[str, float]


class SilentPeer(EchoPeer):
    """Answers checks, and nothing else."""

    def _answer(self, header: HopHeader, payload: bytes) -> bytes | None:
        return super()._answer(header, payload) if payload[:1] <= b"\3" else None


@pytest.mark.parametrize(("public", "inside"), [(V4, V4), (V6, V4), (V4, V6)], ids=["44", "64", "46"])
@pytest.mark.parametrize("offload", [True, False], ids=["checksums-offloaded", "checksums-finished"])
async def test_any_packets_have_the_same_outcome_in_both_tiers(
    tmp_path: Path, public: Ends, inside: Ends, offload: bool
) -> None:
    seed = random.randrange(1 << 32)
    outcomes = []
    for tier in ("Userspace", "Kernel"):
        (tmp_path / tier).mkdir()
        async with relay_lab(offload=offload) as lab:
            outcomes.append(await _run(lab, tmp_path / tier, tier, public, inside, random.Random(seed)))
    userspace, kernel = outcomes
    assert kernel.to_transceiver == userspace.to_transceiver, f"seed {seed}"
    assert kernel.to_client == userspace.to_client, f"seed {seed}"
    assert kernel.dropped == userspace.dropped, f"seed {seed}"


async def _run(lab: RelayLab, directory: Path, tier: str, public: Ends, inside: Ends, chance: random.Random) -> Outcome:
    loop = asyncio.get_running_loop()
    peer = SilentPeer(RING)
    bound = lab.inside.udp(inside.peer, _PEER_PORT)
    await loop.create_datagram_endpoint(lambda: peer, sock=bound)
    async with (
        lab.relay(directory, RING, tier, public.relay) as relay,
        lab.client(relay, peer.new_call(), RING, public.client, _CLIENT_PORT) as client,
    ):
        await client.check()
        client.media()
        await client.check()
        (where,) = peer.relays
        stranger = lab.outside.udp(public.client, _STRANGER_PORT)
        foreign = lab.inside.udp(inside.peer)
        header = hop.seal(Kind.DATA, Flag.DOWNLINK, client.address, RING.keys[0])
        with stranger, foreign:
            for _ in range(_ROUNDS):
                _without_checksum(client.transport_socket, chance.random() < 0.2)
                _without_checksum(bound, chance.random() < 0.2)
                for _ in range(40):
                    packet = _packet(chance)
                    whom = chance.random()
                    if whom < 0.5:
                        client.send(packet)
                    elif whom < 0.6:
                        stranger.sendto(packet, relay.address)
                    elif whom < 0.9:
                        peer.send_raw(_header(header, chance) + _no_stun(packet), where)
                    else:
                        foreign.sendto(_header(header, chance) + packet, where)
                await client.check()  # what was sent before has arrived before
        await relay.counts("voicefleet_relay_loop_turned_seconds", time.monotonic())
        metrics = await relay.metrics()
        # How many are the kernel's is up to chance, and to how soon it is given the flow; that some are is the point.
        assert (kernel_packets(metrics, "uplink") > 0) == (tier == "Kernel")
        assert (kernel_packets(metrics, "downlink") > 0) == (tier == "Kernel")
        assert not metrics.get("voicefleet_relay_kernel_left_packets_total{reason=dropped}", 0.0)
    peer.close()
    return Outcome(
        sorted(each for each in peer.arrived if each[1][:1] > b"\3" or not each[1]),
        sorted(packet for packet in client.received if packet[:1] > b"\3" or not packet),
        {name: value for name, value in metrics.items() if "relay_dropped_packets_total" in name},
    )


def _packet(chance: random.Random) -> bytes:
    """Mostly what media looks like; sometimes no known protocol, malformed STUN, nothing at all, or more than fits."""
    length = chance.choice((1, 2, 12, 13, 171, 172, 500, 1200, 1339, 1340, 1341, 1400, 2500, chance.randrange(1500)))
    first = chance.choice((0x80, 0x80, 0x90, 20, 63, 191, chance.randrange(256)))
    body = chance.randbytes(length)
    return bytes((first,)) + body[1:] if body and first > 3 else body if first > 3 else b"\0" + body


def _no_stun(packet: bytes) -> bytes:
    """A transceiver's answers to checks come by themselves; what else looks like STUN is made something unknown."""
    return b"\4" + packet if packet[:1] <= b"\3" else packet


def _header(header: bytes, chance: random.Random) -> bytes:
    """Mostly the flow's own; sometimes forged, reflected or of another client."""
    kind = chance.random()
    if kind < 0.8:
        return header
    if kind < 0.85:
        return header[:-1] + bytes((header[-1] ^ 1,))
    if kind < 0.9:
        return hop.seal(Kind.DATA, Flag(0), ("192.0.2.1", 1), RING.keys[0])
    return header[: chance.randrange(32)]


def _without_checksum(bound: socket.socket, yes: bool) -> None:
    if bound.family == socket.AF_INET:
        bound.setsockopt(socket.SOL_SOCKET, _NO_CHECKSUM, int(yes))
