"""What a live call sees when a part of the relay dies and comes back."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.support.echo_peer import echo_peer
from tests.support.facts import DEADLINE, eventually
from tests.support.ice_client import ice_client
from tests.support.redis import redis_server
from tests.support.relay_process import relay_process
from tests.support.relayed_calls import relayed_call
from voicefleet.contract import HealthPath
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.stun import Class

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))


async def test_a_packet_process_that_dies_loses_neither_flows_nor_packets(tmp_path: Path) -> None:
    """Its successor gets the sockets, with what waits in them, and the flows: no check is needed."""
    async with relayed_call(tmp_path, RING) as (_, relay, client):
        await relay.counts("voicefleet_relay_flows{state=confirmed}", 1)
        (process,) = relay.packet_processes()
        os.kill(process, signal.SIGSTOP)
        await eventually(lambda: _state(process) == "T", "it stands still")
        numbers = [client.media() for _ in range(20)]
        os.kill(process, signal.SIGKILL)
        for number in numbers:
            await client.hears(number)
        assert relay.packet_processes() != [process]
        assert await relay.probe(HealthPath.READY) == 200
        assert any("packet process died" in line for line in relay.output)


async def test_a_killed_relay_forwards_again_with_the_transceivers_next_packet_or_the_clients_next_check(
    tmp_path: Path,
) -> None:
    """Nothing but the hop port is remembered; there is no session map."""
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING) as relay,
        ice_client(relay.address, peer.new_call(), RING, ssrc=1) as listener,
        ice_client(relay.address, peer.new_call(), RING, ssrc=2) as silent,
    ):
        for client in (listener, silent):
            await client.check()
            await client.talks()
        await relay.end(signal.SIGKILL)
        await relay.start()
        lost = listener.media()
        await relay.drops("unknown_client", 1)
        assert lost not in listener.echoed
        heard = len(listener.received)
        peer.says(listener.address, b"\x80 the transceiver speaks first")
        await eventually(lambda: len(listener.received) > heard, "the client hears it")
        await listener.hears(listener.media())
        assert (await silent.check()).cls is Class.SUCCESS
        await silent.hears(silent.media())


async def test_a_killed_relay_forwards_media_before_any_check_when_the_session_map_has_the_flow(tmp_path: Path) -> None:
    async with (
        redis_server() as redis,
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, REDIS_URL=redis.url, STATE_DIRECTORY="") as relay,
        ice_client(relay.address, peer.new_call(), RING) as client,
    ):
        await client.check()
        await client.talks()
        await relay.counts("voicefleet_session_map_writes_total{kind=flows}{result=ok}", 1)
        await relay.end(signal.SIGKILL)
        await relay.start()
        await client.talks()
        assert client.responses.empty(), "there was no check"
        found = (await relay.metrics())["voicefleet_relay_events_total{event=lookups_found}"]
        assert found == 1


@pytest.mark.parametrize("what", ["kill", "pause", "flush", "fill"])
async def test_a_session_map_that_is_slow_gone_flushed_or_full_is_not_noticed_by_packets(
    tmp_path: Path, what: str
) -> None:
    async with (
        redis_server() as redis,
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, REDIS_URL=redis.url) as relay,
        ice_client(relay.address, peer.new_call(), RING) as client,
    ):
        await client.check()
        await client.talks()
        worked = getattr(redis, what)()
        if asyncio.iscoroutine(worked):
            await worked
        async with ice_client(relay.address, peer.new_call(), RING, ssrc=8) as newcomer:
            await newcomer.check()
            for _ in range(50):
                await newcomer.hears(newcomer.media())
                await client.hears(client.media())
        client.send(b"\x80\x6f" + bytes(200))
        assert await relay.probe(HealthPath.LIVE) == 200
        assert await relay.probe(HealthPath.READY) == 200
        if what == "pause":
            redis.resume()


async def test_sigterm_ends_readiness_at_once_and_the_relay_when_its_last_flow_has_ended(tmp_path: Path) -> None:
    async with echo_peer(RING) as peer, relay_process(tmp_path, RING, DRAIN_DEADLINE="10m", FLOW_IDLE="2s") as relay:
        async with ice_client(relay.address, peer.new_call(), RING) as client:
            await client.check()
            await client.talks()
            os.kill(relay.pid, signal.SIGTERM)
            async with asyncio.timeout(DEADLINE):
                while await relay.probe(HealthPath.READY) == 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            for _ in range(50):
                await client.hears(client.media())
            assert (await client.check()).cls is Class.SUCCESS
            assert await relay.probe(HealthPath.LIVE) == 200
        assert await relay.ended() == 0, "the client is gone, and its flow is forgotten"


async def test_sigterm_ends_a_relay_at_its_deadline_whatever_still_flows(tmp_path: Path) -> None:
    async with relayed_call(tmp_path, RING, DRAIN_DEADLINE="500ms") as (_, relay, _):
        assert await relay.end(signal.SIGTERM) == 0


async def test_packet_processes_end_with_their_control_process(tmp_path: Path) -> None:
    async with relay_process(tmp_path, RING, WORKERS="2") as relay:
        processes = relay.packet_processes()
        assert len(processes) == 2
        await relay.end(signal.SIGKILL)
        await eventually(lambda: not any(map(_alive, processes)), "no process is left that holds the port")
        await relay.start()


def _alive(pid: int) -> bool:
    return _state(pid) not in "ZX"


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"
