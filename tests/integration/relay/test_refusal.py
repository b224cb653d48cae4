"""A transceiver that is gone: its clients are told with their own passwords, and nobody else is told anything."""

from pathlib import Path

from tests.support.echo_peer import echo_peer
from tests.support.facts import DEADLINE, eventually
from tests.support.ice_client import ice_client
from tests.support.relay_process import relay_process
from tests.support.relayed_calls import relayed_call
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.stun import Class

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))


async def test_a_silent_transceiver_is_refused_with_an_authenticated_error_and_welcome_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with relayed_call(tmp_path, RING) as (peer, relay, client):
        peer.deaf = True
        answer = await client.check()
        assert answer.cls is Class.ERROR and answer.error is not None and answer.error[0] == 400
        await eventually(lambda: any("does not answer" in line for line in relay.output), "the operator is told")
        peer.deaf = False
        while (await client.check()).cls is Class.ERROR:
            pass
        await client.talks()


async def test_a_closed_hop_port_refuses_at_once_also_for_a_call_that_has_just_begun(tmp_path: Path) -> None:
    async with echo_peer(RING) as peer, relay_process(tmp_path, RING) as relay:
        token = peer.new_call()
        peer.close()
        async with ice_client(relay.address, token, RING) as client:
            answer = await client.check(DEADLINE)
            assert answer.error is not None and answer.error[0] == 400
            await relay.counts("voicefleet_relay_events_total{event=refusals}", 1)


async def test_a_transceiver_that_was_restarted_has_lost_its_calls_and_their_clients_are_told(tmp_path: Path) -> None:
    async with echo_peer(RING) as peer, relay_process(tmp_path, RING) as relay:
        token = peer.new_call()
        async with ice_client(relay.address, token, RING, ssrc=1) as client:
            await client.check()
            await client.talks()
            await relay.counts("voicefleet_relay_events_total{event=pings}", 1)
            peer.generation += 1
            peer.sessions.clear()
            async with ice_client(relay.address, peer.new_call(), RING, ssrc=2) as newcomer:
                await newcomer.check()
                answer = await client.check()
                assert answer.error is not None and answer.error[0] == 400
                assert (await newcomer.check()).cls is Class.SUCCESS
                await newcomer.talks()


async def test_a_transceiver_that_answers_pings_and_ignores_a_call_is_not_spoken_for(tmp_path: Path) -> None:
    async with echo_peer(RING) as peer, relay_process(tmp_path, RING) as relay:
        token = peer.new_call()
        peer.sessions.clear()
        async with ice_client(relay.address, token, RING) as client:
            for _ in range(10):
                client.send(client.request())
            await relay.counts("voicefleet_relay_events_total{event=pings}", 4)
            assert client.received == []
