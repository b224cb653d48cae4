"""A transceiver's pod process: keeps its workers running, answers the internal API, probes and metrics, and tells the
directory and the session map what is here. It touches no packet; without it live calls would go on.
"""

import asyncio
import secrets
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

from voicefleet.contract import Component
from voicefleet.core.directory import TransceiverEntry
from voicefleet.core.transceiver.admission import AdmissionLimits
from voicefleet.net.cpu_quota import usable_cpu
from voicefleet.net.directory_heartbeat import Heartbeat
from voicefleet.net.dtls import DtlsIdentity
from voicefleet.net.key_file import AcceptedRing, KeyFile
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.round_trips import RoundTripReports
from voicefleet.net.session_map import SessionMap, SessionRecord
from voicefleet.net.udp import udp_socket
from voicefleet.net.watched_file import FileMetrics, WatchedFile
from voicefleet.observability import health, logs, metrics
from voicefleet.observability.traces import traces
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.call_traces import CallTraces
from voicefleet.services.transceiver.calls import Unavailable
from voicefleet.services.transceiver.metrics import CallMetrics, WorkerMetrics
from voicefleet.services.transceiver.news import Ended, Looked, PathMeasured
from voicefleet.services.transceiver.pod_calls import PodCalls
from voicefleet.services.transceiver.settings import TransceiverSettings
from voicefleet.services.transceiver.worker_life import WorkerLife, WorkerPorts

STALE: Final = 10.0
"""Seconds without a turn of the loop until a kubelet should restart this process."""
FREE_STEP: Final = 0.02
"""Share of the capacity by which `free` changes for the directory: each change is told to everybody who follows it."""
LOOK: Final = 0.05
"""Seconds between looks at whether a draining pod is empty."""


class Pod:
    """One transceiver."""

    def __init__(self, settings: TransceiverSettings) -> None:
        self._settings = settings
        self._keys = KeyFile(settings.key_file)
        self._certificate = WatchedFile(settings.certificate_directory, DtlsIdentity.load, "certificate")
        self._ring = AcceptedRing(self._keys, time.time)
        self._health = health.Health()
        self._serving = self._health.condition("serving")
        self._draining = False
        self._registry = metrics.registry(Component.TRANSCEIVER)
        self._link = RedisLink(settings.redis())
        self._sessions = SessionMap(self._link, self._keys.value.fleet)
        self._live: dict[str, SessionRecord] = {}
        self._networks: dict[str, str] = {}
        """Client networks of live calls."""
        self._round_trips = RoundTripReports(self._link, self._keys.value.fleet)
        self._call_metrics = CallMetrics(self._registry)
        self._traces = traces(settings.otlp_endpoint, Component.TRANSCEIVER, settings.id)
        self._call_traces = CallTraces(self._traces, settings.shard, settings.id)
        limits = AdmissionLimits(settings.sessions)
        limits = replace(limits, cpu=limits.cpu * min(1.0, usable_cpu() / settings.worker_processes))
        generation = secrets.randbits(16)
        self._workers = [
            WorkerLife(
                _ports(settings, number),
                (generation + number) & 0xFFFF,
                on_change=self._workers_changed,
                on_looked=self._looked,
                on_ended=self._ended,
                on_turned=self._call_metrics.turned,
                on_path_measured=self._path_measured,
            )
            for number in range(settings.worker_processes)
        ]
        self._calls = PodCalls(self._workers, limits, self._ring, self._created, self._load_changed)
        self._capacity = limits.calls
        self._heartbeat = Heartbeat(self._link, self._keys.value.fleet, self._describe)
        self._api = ("", 0)
        self._told_free = -1
        for collector in (
            self._health,
            FileMetrics(self._keys, self._certificate),
            self._link,
            self._sessions,
            self._round_trips,
            WorkerMetrics(self._workers, self._capacity, lambda: self._calls.created, self._calls.refused),
        ):
            self._registry.register(collector)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve calls until `stopping`, then until the last has ended or the deadline has come."""
        settings = self._settings
        log = logs.logger(__name__)
        heart = self._health.heart("loop", STALE)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            stack.push_async_callback(asyncio.to_thread, self._traces.close)
            port = await stack.enter_async_context(
                health.served(internal_api(self._calls, self._ring), *settings.api_listen)
            )
            self._api = settings.hop_address, port
            await stack.enter_async_context(
                health.served(health.application(self._health, self._registry), *settings.health_listen)
            )
            workers = [tasks.create_task(worker.run()) for worker in self._workers]
            background = [
                tasks.create_task(each)
                for each in (
                    heart.beat_while_running(),
                    _follow(self._keys),
                    _follow(self._certificate),
                    self._link.run(),
                    self._sessions.run(),
                    self._round_trips.run(),
                    self._beat_when_up(),
                )
            ]
            log.info("transceiver starts", shard=settings.shard, workers=len(workers), api_port=port)
            await stopping.wait()
            await self._drain(settings.drain_deadline)
            await asyncio.gather(*(self._say_goodbye(worker) for worker in self._workers))
            for task in background[-1:]:
                task.cancel()
            await self._heartbeat.goodbye()
            await asyncio.gather(*(self._stop(worker) for worker in self._workers))
            await self._sessions.flush()
            for task in (*background, *workers):
                task.cancel()

    # --- the end --------------------------------------------------------------------------------------------------

    async def _drain(self, deadline: float) -> None:
        self._draining = True
        self._serving.fails("draining")
        self._calls.drain()
        logs.logger(__name__).info("transceiver drains", calls=self._calls.occupancy().calls)
        until = asyncio.get_running_loop().time() + deadline
        while self._calls.occupancy().calls and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110
            await asyncio.sleep(LOOK)

    async def _say_goodbye(self, worker: WorkerLife) -> None:
        if worker.remote is not None and worker.calls:
            try:
                await worker.remote.say_goodbye("the transceiver is stopping")
            except Unavailable:
                pass  # it has just died, and its clients have been told by that

    async def _stop(self, worker: WorkerLife) -> None:
        try:
            await worker.stop("the transceiver is stopping")
        except Unavailable:
            pass  # cancelling its task ends the process as well

    # --- what workers tell ----------------------------------------------------------------------------------------

    def _workers_changed(self) -> None:
        up = sum(worker.remote is not None for worker in self._workers)
        if up and not self._draining:
            self._serving.holds()
        elif not self._draining:
            self._serving.fails("no worker is up")
        self._heartbeat.changed()

    def _created(self, call: str, worker: WorkerLife, network: str, traceparent: str) -> None:
        self._networks[call] = network
        self._call_traces.taken(call, worker.number, traceparent)
        self._live[call] = record = SessionRecord(
            session=call,
            transceiver=self._settings.id,
            api=self._api,
            started_at=time.time(),
            shard=self._settings.shard,
            region=self._settings.region,
            worker=worker.number,
        )
        self._sessions.put(record)
        self._load_changed()

    def _looked(self, looked: Looked) -> None:
        self._call_traces.looked(looked.call, looked.figures, looked.began)
        record = self._live.get(looked.call)
        if record is not None:
            self._sessions.put(replace(record, measures=looked.figures))

    def _path_measured(self, measured: PathMeasured) -> None:
        network = self._networks.get(measured.call, "")
        if network:
            self._round_trips.report(network, measured.pool, measured.seconds * 1000)

    def _ended(self, ended: Ended) -> None:
        self._networks.pop(ended.call, None)
        trace = self._call_traces.ended(ended.call, ended.figures, ended.began, ended.cause)
        self._call_metrics.ended(ended, trace)
        if self._live.pop(ended.call, None) is not None:
            self._sessions.remove(ended.call)
        self._load_changed()

    # --- the directory --------------------------------------------------------------------------------------------

    async def _beat_when_up(self) -> None:
        """Nobody hears of a transceiver that has no worker yet."""
        while not any(worker.remote is not None for worker in self._workers):  # noqa: ASYNC110 - a second of starting
            await asyncio.sleep(LOOK)
        await self._heartbeat.run()

    def _load_changed(self) -> None:
        if self._rounded_free() != self._told_free or self._draining:
            self._heartbeat.changed()

    def _rounded_free(self) -> int:
        """In steps, but exact where it matters: that there is room, and that there is none."""
        free = self._calls.free()
        step = max(1, int(self._capacity * FREE_STEP))
        return free if free <= step else free // step * step

    def _describe(self) -> TransceiverEntry:
        settings = self._settings
        self._told_free = self._rounded_free()
        return TransceiverEntry(
            id=settings.id,
            shard=settings.shard,
            region=settings.region,
            place=settings.place,
            api=self._api,
            capacity=self._capacity,
            free=self._told_free,
            workers=tuple(worker.hop for worker in self._workers if worker.remote is not None),
            draining=self._draining or self._calls.occupancy().draining,
            direct=settings.direct_listen is not None,
            node=settings.node,
            zone=settings.zone,
        )


def _ports(settings: TransceiverSettings, number: int) -> WorkerPorts:
    def bound(address: tuple[str, int]) -> tuple[str, int]:
        host, port = address
        return host, port + number if port else 0

    direct = settings.direct_listen
    return WorkerPorts(
        number=number,
        hop_address=settings.hop_address,
        hop=udp_socket(bound(settings.hop_listen)),
        direct=udp_socket(bound(direct)) if direct is not None else None,
    )


async def _follow(file: WatchedFile[Any]) -> None:
    async for _ in file.changes():
        pass  # values are asked for where they are needed


async def serve(settings: TransceiverSettings) -> None:
    """Serve calls until SIGTERM or SIGINT, and drain."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await Pod(settings).run(stopping)
