"""The relay's control process: binds the ports, keeps the packet processes running, answers probes and metrics, and
speaks with Redis. None of that is in the way of a packet."""

import asyncio
import logging
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from voicefleet.contract import Component
from voicefleet.core.directory import HopWorker, Kind, RelayEntry
from voicefleet.core.relay.flow import Client
from voicefleet.net.conversation import answer, open_door
from voicefleet.net.directory import DirectoryReader
from voicefleet.net.directory_heartbeat import Heartbeat
from voicefleet.net.key_file import KeyFile
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.session_map import FLOW_SECONDS, LOOKUP_BOUND, REFRESH, FlowMap
from voicefleet.net.watched_file import FileMetrics
from voicefleet.observability import health, metrics
from voicefleet.observability.shared_counters import SharedCounterMetrics, SharedCounters
from voicefleet.services.relay import datapath
from voicefleet.services.relay.hand_over import (
    STEP,
    Estate,
    HandOverFailed,
    Predecessor,
    Successor,
    change,
    door_name,
    inherit,
)
from voicefleet.services.relay.ledger import REFRESHES, Ledger
from voicefleet.services.relay.messages import Ended, Flows, Forget, Found, LookUps, Message, Remember, Suspect, chunks
from voicefleet.services.relay.metrics import FLOWS, LAYOUT, TURNED_AT
from voicefleet.services.relay.packet_worker import PacketWorker
from voicefleet.services.relay.ports import bind_ports, remember_ports
from voicefleet.services.relay.settings import RelaySettings

STALE: Final = 10.0
"""Seconds without a turn of a loop until a kubelet should restart this relay."""
FIRST_TURN: Final = 0.01
"""Seconds between looks for the first turn of the packet loops, which come half a second after the start."""
LOAD_STEP: Final = 0.02
"""Each change is told to everybody who follows the directory, so small ones are not changes."""
_TURNED_AT: Final = LAYOUT.slot(TURNED_AT)
_CONFIRMED: Final = LAYOUT.slot(FLOWS, state="confirmed")
_log = logging.getLogger(__name__)


class Control:
    """One relay."""

    def __init__(
        self, settings: RelaySettings, keys: KeyFile, shared: Path, estate: Estate, predecessor: Predecessor | None
    ) -> None:
        """`estate` is what it serves, from now on or as soon as the predecessor gives way."""
        self._settings = settings
        self._keys = keys
        self._estate = estate
        self._predecessor = predecessor
        self._processes = len(estate.ports)
        self._counters = SharedCounters.create(LAYOUT, self._processes, shared)
        self._health = health.Health()
        self._forwarding = self._health.condition("forwarding")
        self._registry = metrics.registry(Component.RELAY)
        self._link = RedisLink(settings.redis())
        fleet = self._keys.value.fleet
        self._flow_map = FlowMap(self._link, fleet, settings.pool)
        self._directory = DirectoryReader(self._link, fleet, (Kind.TRANSCEIVER,), state=_state(settings), follow=True)
        self._heartbeat = Heartbeat(self._link, fleet, self._describe)
        self._ledger = Ledger(self._processes, self._flow_map.put)
        self._wanted: dict[Client, int] = {}
        """Clients that packet processes ask about, and which of these does."""
        self._asked = asyncio.Event()
        self._draining = False
        for number, records in enumerate(estate.flows):
            self._ledger.opened(number, records.values())
        self._datapath = datapath.choose(settings, estate.ports)
        self._workers = [
            PacketWorker(
                number, shared, each, self._datapath.handles, partial(self._ledger.records, number), self._hear
            )
            for number, each in enumerate(estate.ports)
        ]
        for collector in (
            self._health,
            FileMetrics(self._keys),
            SharedCounterMetrics(self._counters),
            self._datapath,
            self._link,
            self._flow_map,
            self._directory,
        ):
            self._registry.register(collector)

    async def run(self, stopping: asyncio.Event) -> Successor | None:
        """Forward until another relay has the port, which is returned; or until `stopping`, and then until the last
        flow has ended or the deadline has come."""
        settings = self._settings
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            if self._predecessor is None:
                await stack.enter_async_context(self._probes())
            else:
                for worker in self._workers:
                    worker.hold()
            packets = [tasks.create_task(worker.run()) for worker in self._workers]
            stopped = tasks.create_task(stopping.wait())
            background: list[asyncio.Task[Any]] = [
                tasks.create_task(each)
                for each in (
                    self._follow_keys(),
                    self._link.run(),
                    self._flow_map.run(),
                    self._directory.run(),
                    self._look_up(),
                    self._refresh(),
                    self._watch_transceivers(),
                    self._datapath.run(),
                )
            ]
            while not stopping.is_set() and not all(map(self._turned_at, range(self._processes))):
                await asyncio.wait((stopped,), timeout=FIRST_TURN)
            for number in range(self._processes):
                self._health.heart(f"packets-{number}", STALE, partial(self._turned_at, number))
            if self._predecessor is not None:
                if stopping.is_set():
                    await self._end(packets, background)
                    return None
                await self._take_over(self._predecessor)
                await stack.enter_async_context(self._probes())
            self._forwarding.holds()
            background.append(tasks.create_task(self._heartbeat.run()))
            handed_over = tasks.create_task(self._answer_door())
            background.append(handed_over)
            listen = ", ".join(map(str, settings.listen))
            _log.info("relay forwards", extra={"pool": settings.pool, "listen": listen, "workers": self._processes})
            await asyncio.wait((stopped, handed_over), return_when=asyncio.FIRST_COMPLETED)
            self._forwarding.fails("draining")
            self._draining = True
            self._heartbeat.changed()
            if not handed_over.done():
                for worker in self._workers:
                    worker.drain(settings.drain_deadline)
                ended = asyncio.gather(*packets)
                await asyncio.wait((ended, handed_over), return_when=asyncio.FIRST_COMPLETED)
            successor = handed_over.result() if handed_over.done() else None
            stopped.cancel()
            if successor is not None:
                _log.info("another relay has the port", extra={"id": successor.id})
            if successor is None or successor.id != settings.id:
                await self._heartbeat.goodbye()
            await self._end(packets, background)
            return successor

    async def _end(self, packets: Sequence[asyncio.Task[None]], background: Sequence[asyncio.Task[Any]]) -> None:
        for worker in self._workers:
            worker.end()
        await asyncio.wait(packets)
        for task in background:
            task.cancel()

    def close(self) -> None:
        """Leave nothing behind in the kernel."""
        self._datapath.close()

    # --- the port changes hands -----------------------------------------------------------------------------------

    async def _take_over(self, predecessor: Predecessor) -> None:
        """Read, now that packet processes know what the predecessor knew; raises `HandOverFailed`."""
        began = time.monotonic()
        for number, (worker, each) in enumerate(zip(self._workers, await predecessor.give_way(), strict=True)):
            self._ledger.ended(number, each.over)
            self._ledger.opened(number, each.records)
            for clients in chunks(each.over):
                worker.say(Forget(clients))
            for records in chunks(each.records):
                worker.say(Remember(records))
            for connection, connected in each.connections:
                worker.adopt(connection, connected)
            worker.resume()
        took = round(time.monotonic() - began, 4)
        await predecessor.release(self._settings.id)
        _log.info("port taken over", extra={"flows": len(self._ledger), "seconds": took})

    async def _answer_door(self) -> Successor:
        """Give the port to a relay of this fleet that asks for it."""
        door = self._estate.door
        if door is None:
            await asyncio.Event().wait()  # nobody can ask
            raise AssertionError
        while True:
            successor = Successor(await answer(door))
            try:
                await self._give(successor)
                return successor
            except HandOverFailed as reason:
                _log.warning("port not handed over", extra={"reason": str(reason)})
                await successor.refuse()

    async def _give(self, successor: Successor) -> None:
        await successor.believe(self._keys.value, self._keys.value.minting(time.time()))
        self._estate.flows = [self._ledger.held(number) for number in range(self._processes)]
        await successor.list(self._estate)
        try:
            async with asyncio.timeout(STEP):
                connections = await asyncio.gather(*(worker.pause() for worker in self._workers))
            now = [self._ledger.held(number) for number in range(self._processes)]
            changes = [change(before, after) for before, after in zip(self._estate.flows, now, strict=True)]
            for each, passed_on in zip(changes, connections, strict=True):
                each.connections = passed_on
            self._estate.flows = now
            await successor.give(changes)
        except TimeoutError:
            self._go_on()
            raise HandOverFailed("a packet process does not pause") from None
        except BaseException:
            self._go_on()
            raise

    def _go_on(self) -> None:
        for worker in self._workers:
            worker.resume()

    # --- packet processes -----------------------------------------------------------------------------------------

    def _hear(self, number: int, message: Message) -> None:
        if isinstance(message, Flows):
            self._ledger.opened(number, message.records)
        elif isinstance(message, Ended):
            self._ledger.ended(number, message.clients)
        elif isinstance(message, LookUps):
            for client in message.clients:
                self._wanted[client] = number
            self._asked.set()

    async def _look_up(self) -> None:
        """Ask Redis about unknown clients: one question at a time, about as many as came in meanwhile."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._wanted:
                asking = {client: self._wanted.pop(client) for client in list(self._wanted)[:LOOKUP_BOUND]}
                found = await self._flow_map.find([client[:2] for client in asking])
                for number, worker in enumerate(self._workers):
                    answers = tuple(
                        (client, found.get(client[:2])) for client, asker in asking.items() if asker == number
                    )
                    if answers:
                        worker.say(Found(answers))

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(FLOW_SECONDS / REFRESH / REFRESHES)
            self._ledger.refresh()

    async def _watch_transceivers(self) -> None:
        """Tell packet processes which transceiver workers the directory no longer knows; they see for themselves."""
        known: set[HopWorker] = set()
        version = -1
        while True:
            directory = self._directory.directory
            seen = version
            await self._directory.wait(lambda directory, seen=seen: directory.version != seen)  # type: ignore[misc]
            version = directory.version
            there = {worker for each in directory.transceivers() for worker in each.workers}
            addresses = {(worker.address, worker.port) for worker in there}
            gone = {(worker.address, worker.port) for worker in known - there} - addresses
            restarted = {(worker.address, worker.port) for worker in known - there} & addresses
            if gone or restarted:
                for packet_worker in self._workers:
                    packet_worker.say(Suspect(tuple(gone | restarted)))
            known = there

    # --- what others are told -------------------------------------------------------------------------------------

    def _probes(self) -> AbstractAsyncContextManager[int]:
        application = health.application(self._health, self._registry)
        return health.served(application, *self._settings.health_listen, self._estate.health)

    def _describe(self) -> RelayEntry:
        settings = self._settings
        flows = self._counters.total(_CONFIRMED)
        return RelayEntry(
            id=settings.id,
            pool=settings.pool,
            region=settings.region,
            place=settings.place,
            addresses=settings.advertised,
            load=round(flows / settings.max_flows / LOAD_STEP) * LOAD_STEP,
            draining=self._draining,
            node=settings.node,
            zone=settings.zone,
            tier=self._datapath.tier,
        )

    def _turned_at(self, number: int) -> float:
        return self._counters.value(number, _TURNED_AT) / 1000

    async def _follow_keys(self) -> None:
        async for _ in self._keys.changes():
            pass  # packet processes read the file themselves; this one shows in its metrics whether it is good


def _state(settings: RelaySettings) -> Path | None:
    return settings.state_directory / "directory.json" if settings.state_directory else None


async def serve(settings: RelaySettings) -> None:
    """Run a relay until SIGTERM or SIGINT and the end of its flows."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    keys = KeyFile(settings.key_file)
    name = door_name(settings, keys.value.fleet)
    predecessor = await inherit(name, keys.value) if name is not None else None
    estate = _settle_in(settings, name) if predecessor is None else predecessor.estate
    if predecessor is not None:
        remember_ports(settings.state_directory, estate.ports)
    while True:
        with tempfile.TemporaryDirectory(prefix="voicefleet-relay-") as directory:
            control = Control(settings, keys, Path(directory) / "counters", estate, predecessor)
            try:
                successor = await control.run(stopping)
            except ExceptionGroup as group:
                failures, others = group.split(HandOverFailed)
                if failures is None or others is not None:
                    raise
                raise HandOverFailed(str(failures.exceptions[0])) from None
            finally:
                control.close()
        if predecessor is not None:
            if successor is not None:
                await predecessor.settle()
            predecessor.close()
            predecessor = None
        if successor is None or not await _needed_again(successor, stopping):
            return
        _log.error("the relay that had taken the port over is gone; going on", extra={"id": successor.id})


def _settle_in(settings: RelaySettings, name: str | None) -> Estate:
    ports = bind_ports(
        settings.listen,
        settings.hop_listen,
        settings.hop_networks,
        settings.packet_processes,
        settings.state_directory,
        settings.ice_tcp,
    )
    door = None
    if name is not None:
        try:
            door = open_door(name)
        except OSError as error:
            _log.warning("the port cannot be handed over to a successor", extra={"reason": error.strerror})
    return Estate(ports, [{} for _ in ports], door, health.listener(*settings.health_listen))


async def _needed_again(successor: Successor, stopping: asyncio.Event) -> bool:
    """Wait beside a successor; whether it died before this relay was told to end."""
    died, stopped = asyncio.ensure_future(successor.died()), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((died, stopped), return_when=asyncio.FIRST_COMPLETED)
        if died.done() and not died.result():
            await stopped
        return not stopping.is_set()
    finally:
        for task in (died, stopped):
            task.cancel()
        successor.close()
