"""A relay between a client and the far end of the hop, over real sockets."""

import asyncio
from pathlib import Path

import pytest

from tests.support.echo_peer import echo_peer
from tests.support.facts import DEADLINE
from tests.support.ice_client import ice_client
from tests.support.relay_process import relay_process
from tests.support.relayed_calls import relayed_call
from voicefleet.wire.hop import Flag
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.stun import Class

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))


@pytest.mark.parametrize(("public", "inside"), [("127.0.0.1", "127.0.0.1"), ("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
async def test_a_check_and_then_media_pass_both_ways_over_ipv4_and_ipv6(
    tmp_path: Path, public: str, inside: str
) -> None:
    async with (
        echo_peer(RING, inside) as peer,
        relay_process(tmp_path, RING, public) as relay,
        ice_client(relay.address, peer.new_call(), RING) as client,
    ):
        answer = await client.check()
        assert answer.cls is Class.SUCCESS
        assert answer.mapped_address == client.address, "the client's own address goes all the way"
        numbers = [client.media() for _ in range(50)]
        for number in numbers:
            await client.hears(number)
        assert set(client.echoed.values()) == {1}
        header, _ = peer.arrived[-1]
        assert header.client == client.address and header.flags == Flag(0)


async def test_packets_of_many_calls_that_arrive_together_share_datagrams(tmp_path: Path) -> None:
    async with echo_peer(RING) as peer, relay_process(tmp_path, RING) as relay:
        peer.bundles = True
        async with ice_client(relay.address, peer.new_call(), RING) as client:
            await client.check()
            await client.talks()
            packets, datagrams = len(peer.arrived), peer.datagrams
            for _ in range(30):
                for number in [client.media() for _ in range(20)]:
                    await client.hears(number)
            packets, datagrams = len(peer.arrived) - packets, peer.datagrams - datagrams
            assert packets == 600 and datagrams < 400
            await relay.counts("voicefleet_relay_packets_total{direction=uplink}{tier=userspace}", 600)


async def test_a_rebound_client_goes_on_with_its_next_check(tmp_path: Path) -> None:
    async with relayed_call(tmp_path, RING) as (_, _, client):
        await client.rebind()
        assert (await client.check()).mapped_address == client.address
        await client.talks()


async def test_media_from_a_new_address_is_marked_until_the_transceiver_has_authenticated_it(tmp_path: Path) -> None:
    async with relayed_call(tmp_path, RING) as (peer, relay, client):
        await client.rebind()
        client.media()
        await relay.counts("voicefleet_relay_events_total{event=roaming_packets}", 1)
        marked, _ = peer.arrived[-1]
        assert marked.flags & Flag.UNVERIFIED and marked.client == client.address
        assert not (await relay.metrics())["voicefleet_relay_events_total{event=moves}"]
        client.media(b"authentic")
        await relay.counts("voicefleet_relay_events_total{event=moves}", 1)
        await client.talks()
        assert not peer.arrived[-1][0].flags & Flag.UNVERIFIED


async def test_a_check_with_another_calls_token_moves_the_address_to_that_calls_owner(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as old,
        echo_peer(RING) as new,
        relay_process(tmp_path, RING) as relay,
        ice_client(relay.address, old.new_call(), RING) as client,
    ):
        await client.check()
        await client.talks()
        client.token = new.new_call()
        await client.check()
        await client.talks()
        heard = len(old.arrived)
        for number in [client.media() for _ in range(20)]:
            await client.hears(number)
        assert len(old.arrived) == heard and len(new.arrived) >= 20


async def test_a_dead_session_at_a_living_transceiver_takes_no_flow_away(tmp_path: Path) -> None:
    """Only the transceiver's answer moves a known flow: a token of a call that has ended moves nothing."""
    async with (
        echo_peer(RING) as peer,
        echo_peer(RING) as other,
        relay_process(tmp_path, RING) as relay,
        ice_client(relay.address, peer.new_call(), RING) as client,
    ):
        await client.check()
        await client.talks()
        living, client.token = client.token, other.new_call()
        other.sessions.clear()
        for _ in range(3):
            client.send(client.request())
        await relay.counts("voicefleet_relay_events_total{event=checks_verified}", 4)
        client.token = living
        await client.talks()


async def test_keys_are_rotated_under_a_live_call(tmp_path: Path) -> None:
    async with relayed_call(tmp_path, RING) as (peer, relay, client):
        newer = KeyRing("test", (*RING.keys, FleetKey(2, bytes(reversed(range(32))), 1.0, None)))
        peer.ring = client.ring = newer
        relay.key_file.write_bytes(newer.dump())
        await relay.counts("voicefleet_file_loads_total{file=key ring}", 2)
        async with ice_client(relay.address, peer.new_call(), newer, ssrc=8) as second:
            async with asyncio.timeout(DEADLINE):
                while peer.arrived[-1][0].key_id != 2:
                    await second.check()
            await second.talks()
        await client.check()
        await client.talks()
