"""A relay gives its port to the next one on the same machine while packets flow."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.echo_peer import echo_peer
from tests.support.facts import DEADLINE, eventually
from tests.support.ice_client import IceClient, ice_client, tcp_ice_client
from tests.support.relay_lab import relay_lab
from tests.support.relay_process import RelayProcess, relay_process
from tests.support.tiers import KERNEL_TIER
from voicefleet.contract import Env
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.stun import Class

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))
EVERY = 0.02
"""Seconds between two packets of one client, as in a call."""


class Talkers:
    """Clients that send a packet each 20 ms, whatever comes back."""

    def __init__(self, clients: list[IceClient]) -> None:
        self.clients = clients
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Talk until `stop`."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stop.is_set():
            for client in self.clients:
                client.media()
            due = max(due + EVERY, loop.time())  # on a slow machine fewer, but never many at once
            await asyncio.sleep(due - loop.time())

    def stop(self) -> None:
        """Say no more."""
        self._stop.set()


@asynccontextmanager
async def talking(*clients: IceClient) -> AsyncIterator[Talkers]:
    """Clients that talk within, and of which at the end every packet has come back exactly once."""
    for client in clients:
        await client.check()
    talkers = Talkers(list(clients))
    running = asyncio.ensure_future(talkers.run())
    try:
        yield talkers
    finally:
        talkers.stop()
        await running
    for client in clients:
        await client.hears(client.sent - 1)
    await eventually(lambda: all(client.lost == 0 for client in clients), "every packet came back")
    assert {count for client in clients for count in client.echoed.values()} == {1}


@pytest.mark.parametrize("order", ["successor first", "sigterm first"])
async def test_a_rollover_under_a_thousand_packets_a_second_loses_none(tmp_path: Path, order: str) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, DRAIN_DEADLINE="10m") as old,
        contexts(old, [peer.new_call() for _ in range(20)]) as clients,
    ):
        new = old.successor()
        async with talking(*clients):
            if order == "sigterm first":
                os.kill(old.pid, signal.SIGTERM)
            await new.launch()
            await new.says("port taken over")
            await new.ready()
            if order == "successor first":
                os.kill(old.pid, signal.SIGTERM)
            assert await old.ended() == 0
            for client in clients:
                await client.hears(client.sent)
        metrics = await new.metrics()
        assert metrics["voicefleet_relay_flows{state=confirmed}"] == 20
        assert metrics["voicefleet_relay_packets_total{direction=uplink}{tier=userspace}"] > 0
        await new.end(signal.SIGKILL)


@pytest.mark.needs(KERNEL_TIER)
@pytest.mark.parametrize("tier", ["Userspace", "Kernel"])
async def test_a_rollover_loses_nothing_in_either_tier(tmp_path: Path, tier: str) -> None:
    async with relay_lab() as lab, AsyncExitStack() as stack:
        peer = await stack.enter_async_context(lab.peer(RING))
        old = await stack.enter_async_context(lab.relay(tmp_path, RING, tier))
        clients = [
            await stack.enter_async_context(lab.client(old, peer.new_call(), RING, ssrc=ssrc)) for ssrc in range(1, 21)
        ]
        new = old.successor()
        async with talking(*clients):
            if tier == "Kernel":
                await old.counts("voicefleet_relay_kernel_flows", 20)
            await new.launch()
            await new.says("port taken over")
            await new.ready()
            assert await old.end(signal.SIGTERM) == 0
            for client in clients:
                await client.hears(client.sent)
            if tier == "Kernel":
                await new.counts("voicefleet_relay_kernel_flows", 20)
                await new.counts("voicefleet_relay_packets_total{direction=uplink}{tier=kernel}", 1000)
        await new.end(signal.SIGKILL)


async def test_calls_over_tcp_change_hands_with_their_connections(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING, ICE_TCP="true") as old,
        tcp_ice_client(old.address, peer.new_call(), RING, ssrc=1) as client,
        tcp_ice_client(old.address, peer.new_call(), RING, ssrc=2) as halfway,
    ):
        new = old.successor()
        await halfway.check()
        packet = b"\x80\x6f" + bytes(6) + (2).to_bytes(4) + (1000).to_bytes(4) + bytes(30)
        framed = len(packet).to_bytes(2) + packet
        halfway.send_octets(framed[:20])
        async with talking(client):
            await new.start()
            await old.end(signal.SIGTERM)
            halfway.send_octets(framed[20:])
            await eventually(lambda: halfway.echoed.get(1000) == 1, "a packet cut in two arrives whole")
            await client.hears(client.sent)
        assert (await client.check()).cls is Class.SUCCESS
        assert not client.closed.is_set()
        await new.counts("voicefleet_relay_tcp_connections", 2)
        await new.end(signal.SIGKILL)


async def test_a_successor_that_dies_gives_the_port_back(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING) as old,
        ice_client(old.address, peer.new_call(), RING) as client,
    ):
        new = old.successor()
        async with talking(client):
            await new.start()
            await old.says("another relay has the port")
            await new.end(signal.SIGKILL)
            await old.says("going on")
            await old.ready()
            await client.hears(client.sent)
        assert await old.dropped("unknown_client") == 0


async def test_the_third_relay_in_a_row_has_the_port_whenever_the_others_end(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING) as first,
        ice_client(first.address, peer.new_call(), RING) as client,
    ):
        second, third = first.successor(), first.successor()
        async with talking(client):
            await second.start()
            await third.start()
            await second.end(signal.SIGTERM)
            await client.hears(client.sent)
            await first.end(signal.SIGTERM)
            await client.hears(client.sent)
        assert not any("going on" in line for line in first.output)
        await third.end(signal.SIGKILL)


async def test_a_successor_that_dies_before_it_is_ready_changes_nothing(tmp_path: Path) -> None:
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING) as old,
        ice_client(old.address, peer.new_call(), RING) as client,
    ):
        new = old.successor()
        async with talking(client):
            for _ in range(3):
                await new.launch()
                assert new.process is not None
                pid = new.pid
                await eventually(lambda pid=pid: _children(pid), "it starts its packet process")  # type: ignore[misc]
                await new.end(signal.SIGKILL)
                await client.hears(client.sent)
        assert (await old.metrics())["voicefleet_relay_flows{state=confirmed}"] == 1


async def test_a_stranger_at_the_door_gets_nothing_and_the_next_relay_is_let_in(tmp_path: Path) -> None:
    foreign = KeyRing("test", (FleetKey(1, bytes(reversed(range(32))), 0.0, None),))
    async with relay_process(tmp_path, RING) as old:
        stranger, new = old.successor(), old.successor()
        stranger.environment[Env.KEY_FILE] = str(tmp_path / "foreign.json")
        (tmp_path / "foreign.json").write_bytes(foreign.dump())
        await stranger.launch()
        await stranger.says("does not hand over")
        await old.says("port not handed over")
        await stranger.end(signal.SIGKILL)
        await new.start()
        await new.says("port taken over")
        await new.end(signal.SIGKILL)


@asynccontextmanager
async def contexts(relay: RelayProcess, tokens: list[str]) -> AsyncIterator[list[IceClient]]:
    """A client for each call."""
    clients = [IceClient(relay.address, token, RING, ssrc) for ssrc, token in enumerate(tokens, 1)]
    try:
        async with asyncio.timeout(DEADLINE):
            for client in clients:
                await client.rebind()
        yield clients
    finally:
        for client in clients:
            client.close()


def _children(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/task/{pid}/children").read_text())
    except OSError:
        return False
