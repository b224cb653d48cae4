"""What a relay does with packets is the same in both tiers: each test runs with the kernel and with userspace."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.relay_lab import FAR_AWAY, V4, V6, Ends, RelayLab, kernel_packets, relay_lab
from tests.support.tiers import KERNEL_TIER
from voicefleet.wire.hop import Flag
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
