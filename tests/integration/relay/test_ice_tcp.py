"""Clients whose network lets no UDP through: the same calls over TCP, on the same port number."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.support.echo_peer import EchoPeer, echo_peer
from tests.support.facts import eventually
from tests.support.ice_client import ice_client, tcp_ice_client
from tests.support.relay_process import relay_process
from voicefleet.wire.hop import Flag
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.stun import Class

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_call_over_tcp_reaches_the_same_transceiver(tmp_path: Path, host: str) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, host, ICE_TCP="true") as relay,
        tcp_ice_client(relay.address, peer.new_call(), RING, ssrc=1) as client,
        ice_client(relay.address, peer.new_call(), RING, ssrc=2) as other,
    ):
        answer = await client.check()
        assert answer.cls is Class.SUCCESS and answer.mapped_address == client.address
        for _ in range(100):
            await client.hears(client.media())
        assert peer.arrived[-1][0].flags == Flag.TCP
        await other.check()
        await other.talks()
        assert peer.arrived[-1][0].flags == Flag(0)


async def test_packets_survive_every_way_in_which_a_stream_can_be_cut(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, ICE_TCP="true") as relay,
        tcp_ice_client(relay.address, peer.new_call(), RING) as client,
    ):
        await client.check()
        packet = b"\x80\x6f" + bytes(6) + (7).to_bytes(4) + (1000).to_bytes(4) + bytes(30)
        framed = len(packet).to_bytes(2) + packet
        for octet in framed + framed[:10]:
            client.send_octets(bytes((octet,)))
            await asyncio.sleep(0)
        client.send_octets(framed[10:] + framed * 3)
        await eventually(lambda: client.echoed.get(1000) == 5, "all five came back")


async def test_a_slow_reader_loses_old_media_and_never_control_and_costs_nobody_else(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, ICE_TCP="true") as relay,
        tcp_ice_client(relay.address, peer.new_call(), RING, ssrc=1) as slow,
        tcp_ice_client(relay.address, peer.new_call(), RING, ssrc=2) as good,
    ):
        for client in (slow, good):
            await client.check()
            await client.talks()
        slow.stop_reading()
        number = 0
        while await relay.dropped("tcp_slow_reader") < 1000:
            for _ in range(500):
                number += 1
                _media(peer, slow.address, number)
            await good.hears(good.media())
        request = slow.request()
        slow.send(request)
        peer_heard = len(peer.arrived)
        await eventually(lambda: len(peer.arrived) >= peer_heard, "the check went up")
        last = number
        slow.read()
        await slow.hears(last)
        async with asyncio.timeout(30):
            while (await slow.responses.get()).transaction_id != request[8:20]:
                pass
        assert len(slow.echoed) < number - 900, "old media is gone"
        await slow.hears(slow.media())


async def test_connections_that_prove_nothing_are_closed_and_take_nobodys_place(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, ICE_TCP="true") as relay,
        tcp_ice_client(relay.address, peer.new_call(), RING, ssrc=1) as good,
    ):
        await good.check()
        strangers = [
            await asyncio.open_connection(*relay.address, local_addr=(f"127.0.0.{2 + n % 2}", 0)) for n in range(300)
        ]
        try:
            for _, writer in strangers:
                writer.write(b"\x00")
            async with tcp_ice_client(relay.address, peer.new_call(), RING, ssrc=2) as newcomer:
                await newcomer.check()
                await newcomer.talks()
                await good.talks()
            await relay.drops("tcp_unproven", 200)
            await good.talks()
        finally:
            for _, writer in strangers:
                writer.close()


@pytest.mark.parametrize(
    "octets", [b"\xff\xff" + bytes(100), b"GET / HTTP/1.1\r\nHost: relay.example\r\n\r\n", b"\x05\x40" + bytes(2000)]
)
async def test_a_stream_that_is_not_ours_is_closed_without_a_word(tmp_path: Path, octets: bytes) -> None:
    async with relay_process(tmp_path, RING, ICE_TCP="true") as relay:
        reader, writer = await asyncio.open_connection(*relay.address)
        writer.write(octets)
        try:
            assert await asyncio.wait_for(reader.read(), 30) == b""
        except ConnectionResetError:
            pass
        writer.close()


async def test_a_connection_ends_with_its_flow_and_a_flow_with_its_connection(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, ICE_TCP="true", FLOW_IDLE="1s") as relay,
        tcp_ice_client(relay.address, peer.new_call(), RING, ssrc=1) as idle,
    ):
        await idle.check()
        await asyncio.wait_for(idle.closed.wait(), 30)
        async with tcp_ice_client(relay.address, peer.new_call(), RING, ssrc=2) as brief:
            await brief.check()
            await relay.counts("voicefleet_relay_flows{state=confirmed}", 1)
        async with asyncio.timeout(30):
            while (await relay.metrics())["voicefleet_relay_flows{state=confirmed}"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_a_client_that_connects_again_from_the_same_port_goes_on(tmp_path: Path) -> None:
    """Its old connection ended by a reset, which the relay may read after the new connection."""
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, ICE_TCP="true") as relay,
        tcp_ice_client(relay.address, peer.new_call(), RING) as client,
    ):
        await client.check()
        await client.talks()
        (process,) = relay.packet_processes()
        for _ in range(5):
            os.kill(process, signal.SIGSTOP)
            await client.resets()
            os.kill(process, signal.SIGCONT)
            await client.check()
            await client.talks()
        await relay.counts("voicefleet_relay_tcp_accepted_total", 6)
        metrics = await relay.metrics()
        assert metrics["voicefleet_relay_tcp_connections"] == metrics["voicefleet_relay_flows{state=confirmed}"] == 1


def _media(peer: EchoPeer, client: tuple[str, int], number: int) -> None:
    peer.says(client, b"\x80\x6f" + bytes(10) + number.to_bytes(4) + bytes(1000), tcp=True)
