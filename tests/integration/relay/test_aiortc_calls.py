"""A real aiortc through relays to a transceiver: of two one dies, over IPv6, and from another port in mid-call.

aiortc speaks no ICE-TCP, and stays on the pair that it chose first: it cannot leave a relay that dies for good.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import eventually
from tests.support.nat import nat
from tests.support.relay_process import RelayProcess, relay_processes
from tests.support.workers import RING, relayed_worker
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.services.transceiver.worker import Worker

_UPLINK = "voicefleet_relay_packets_total{direction=uplink}{tier=userspace}"


async def test_of_two_relays_the_one_that_a_call_does_not_use_may_die(tmp_path: Path) -> None:
    async with _relayed(tmp_path, "127.0.0.1", "127.0.0.1") as (worker, relays), aiortc_caller() as caller:
        await _begin(caller, worker, *(relay.address for relay in relays))
        carried = {relay.address: (await relay.metrics())[_UPLINK] for relay in relays}
        await min(relays, key=lambda relay: carried[relay.address]).end(signal.SIGKILL)
        await _goes_on(caller)


async def test_a_call_begins_through_one_relay_when_the_other_is_dead(tmp_path: Path) -> None:
    async with _relayed(tmp_path, "127.0.0.1", "127.0.0.1") as (worker, relays), aiortc_caller() as caller:
        await relays[0].end(signal.SIGKILL)
        await _begin(caller, worker, *(relay.address for relay in relays))
        await _goes_on(caller)


async def test_the_relay_that_a_call_uses_may_be_killed_and_started_again(tmp_path: Path) -> None:
    async with _relayed(tmp_path, "127.0.0.1", "127.0.0.1") as (worker, relays), aiortc_caller() as caller:
        await _begin(caller, worker, *(relay.address for relay in relays))
        carried = {relay.address: (await relay.metrics())[_UPLINK] for relay in relays}
        used = max(relays, key=lambda relay: carried[relay.address])
        await used.end(signal.SIGKILL)
        await used.start()
        await _goes_on(caller)


async def test_a_call_over_ipv6(tmp_path: Path) -> None:
    async with _relayed(tmp_path, "::1") as (worker, (relay,)), aiortc_caller() as caller:
        await _begin(caller, worker, relay.address)
        await _goes_on(caller)


async def test_a_call_goes_on_when_a_nat_gives_it_another_port(tmp_path: Path) -> None:
    async with (
        _relayed(tmp_path, "127.0.0.1") as (worker, (relay,)),
        nat(f"127.0.0.1:{relay.address[1]}") as box,
        aiortc_caller() as caller,
    ):
        await _begin(caller, worker, box.address)
        await box.rebind()
        await _goes_on(caller)


async def _begin(caller: AiortcCaller, worker: Worker, *relays: tuple[str, int]) -> None:
    created = worker.create(await caller.offer(), {}, [RelayAddress(*address) for address in relays])
    await caller.answer(created.answer)
    await caller.hears_its_tone()


async def _goes_on(caller: AiortcCaller) -> None:
    heard = len(caller.heard)
    await eventually(lambda: len(caller.heard) > heard + 2 * 48000, "two more seconds come back")
    await caller.hears_its_tone()
    assert caller.peer.connectionState == "connected"


@asynccontextmanager
async def _relayed(directory: Path, *hosts: str) -> AsyncIterator[tuple[Worker, list[RelayProcess]]]:
    """A worker, and a relay at each of these addresses."""
    async with relayed_worker() as worker, relay_processes(directory, RING, *hosts) as relays:
        yield worker, relays
