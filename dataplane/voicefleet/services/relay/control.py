"""The relay's control process: binds the ports, keeps the packet processes running, answers probes and metrics, and
speaks with Redis. None of that is in the way of a packet."""

import asyncio
import logging
import signal
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from voicefleet.contract import Component
from voicefleet.core.directory import HopWorker, Kind, RelayEntry
from voicefleet.core.relay.flow import Client
from voicefleet.net.directory import DirectoryReader
from voicefleet.net.directory_heartbeat import Heartbeat
from voicefleet.net.key_file import KeyFile
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.session_map import FLOW_SECONDS, LOOKUP_BOUND, REFRESH, FlowMap
from voicefleet.net.watched_file import FileMetrics
from voicefleet.observability import health, metrics
from voicefleet.observability.shared_counters import SharedCounterMetrics, SharedCounters
from voicefleet.services.relay import datapath
from voicefleet.services.relay.ledger import REFRESHES, Ledger
from voicefleet.services.relay.messages import Ended, Flows, Found, LookUps, Message, Suspect
from voicefleet.services.relay.metrics import FLOWS, LAYOUT, TURNED_AT
from voicefleet.services.relay.packet_worker import PacketWorker
from voicefleet.services.relay.ports import bind_ports
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

    def __init__(self, settings: RelaySettings, shared: Path) -> None:
        self._settings = settings
        self._keys = KeyFile(settings.key_file)
        self._processes = settings.packet_processes
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
        ports = bind_ports(
            settings.listen,
            settings.hop_listen,
            settings.hop_networks,
            self._processes,
            settings.state_directory,
            settings.ice_tcp,
        )
        self._datapath = datapath.choose(settings, ports)
        self._workers = [
            PacketWorker(
                number, shared, each, self._datapath.handles, partial(self._ledger.records, number), self._hear
            )
            for number, each in enumerate(ports)
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

    async def run(self, stopping: asyncio.Event) -> None:
        """Forward until `stopping`, then until the last flow has ended or the deadline has come."""
        settings = self._settings
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            probes = health.application(self._health, self._registry)
            await stack.enter_async_context(health.served(probes, *settings.health_listen))
            packets = [tasks.create_task(worker.run()) for worker in self._workers]
            stopped = tasks.create_task(stopping.wait())
            background = [
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
            self._forwarding.holds()
            background.append(tasks.create_task(self._heartbeat.run()))
            listen = ", ".join(map(str, settings.listen))
            _log.info("relay forwards", extra={"pool": settings.pool, "listen": listen, "workers": self._processes})
            await stopped
            self._forwarding.fails("draining")
            self._draining = True
            self._heartbeat.changed()
            for worker in self._workers:
                worker.drain(settings.drain_deadline)
            await asyncio.wait(packets)
            await self._heartbeat.goodbye()
            for task in background:
                task.cancel()

    def close(self) -> None:
        """Leave nothing behind in the kernel."""
        self._datapath.close()

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
    with tempfile.TemporaryDirectory(prefix="voicefleet-relay-") as directory:
        control = Control(settings, Path(directory) / "counters")
        try:
            await control.run(stopping)
        finally:
            control.close()
