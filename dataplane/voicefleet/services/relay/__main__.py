"""The relay: a control process that answers probes and metrics, and packet processes that it keeps running.

Packet processes share nothing with this one but counters, so nothing that is done here can delay a packet. SIGTERM goes
on to them: they forward until their flows have ended or the deadline has come.
"""

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

from voicefleet.contract import Component
from voicefleet.core.directory import RelayEntry
from voicefleet.core.relay.limits import Limits
from voicefleet.net.configuration import load_or_exit
from voicefleet.net.directory_heartbeat import Heartbeat
from voicefleet.net.key_file import KeyFile
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.watched_file import FileMetrics
from voicefleet.observability import health, logs, metrics
from voicefleet.observability.shared_counters import SharedCounterMetrics, SharedCounters
from voicefleet.services.relay.metrics import FLOWS, LAYOUT, TURNED_AT
from voicefleet.services.relay.settings import RelaySettings

STALE: Final = 10.0
"""Seconds without a turn of a loop until a kubelet should restart this relay."""
RESTART_PAUSE: Final = 0.2
"""Seconds before a packet process that died is started again."""
FIRST_TURN: Final = 0.01
"""Seconds between looks for the first turn of the packet loops, which come half a second after the start."""
LOAD_STEP: Final = 0.02
"""Each change is told to everybody who follows the directory, so small ones are not changes."""
_TURNED_AT: Final = LAYOUT.slot(TURNED_AT)
_CONFIRMED: Final = LAYOUT.slot(FLOWS, state="confirmed")


async def serve(settings: RelaySettings) -> None:
    """Answer probes and keep the packet processes running, until SIGTERM or SIGINT and the end of the last flow."""
    log = logs.logger(__name__)
    keys = KeyFile(settings.key_file)
    workers = settings.workers or len(os.sched_getaffinity(0))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="voicefleet-relay-"))
        shared = Path(directory) / "counters"
        counters = SharedCounters.create(LAYOUT, workers, shared)
        state = health.Health()
        forwarding = state.condition("forwarding")
        registry = metrics.registry(Component.RELAY)
        registry.register(state)
        registry.register(FileMetrics(keys))
        registry.register(SharedCounterMetrics(counters))
        await stack.enter_async_context(health.served(health.application(state, registry), *settings.health_listen))
        link = RedisLink(settings.redis())
        registry.register(link)
        draining = False

        def describe() -> RelayEntry:
            flows = sum(counters.value(worker, _CONFIRMED) for worker in range(workers))
            return RelayEntry(
                id=settings.id,
                pool=settings.pool,
                region=settings.region,
                place=settings.place,
                addresses=settings.advertised,
                load=round(flows / (workers * Limits().flows) / LOAD_STEP) * LOAD_STEP,
                draining=draining,
                node=settings.node,
                zone=settings.zone,
            )

        heartbeat = Heartbeat(link, keys.value.fleet, describe)
        packets = [tasks.create_task(_packet_process(worker, shared, stopping)) for worker in range(workers)]
        background = [tasks.create_task(_follow(keys)), tasks.create_task(link.run())]
        stopped = tasks.create_task(stopping.wait())
        while not stopping.is_set() and not all(counters.value(worker, _TURNED_AT) for worker in range(workers)):
            await asyncio.wait((stopped,), timeout=FIRST_TURN)
        for worker in range(workers):
            state.heart(f"packets-{worker}", STALE, partial(_turned_at, counters, worker))
        forwarding.holds()
        background.append(tasks.create_task(heartbeat.run()))
        log.info("relay forwards", pool=settings.pool, listen=str(settings.listen), workers=workers)
        await stopped
        forwarding.fails("draining")
        draining = True
        heartbeat.changed()
        await asyncio.wait(packets)
        await heartbeat.goodbye()
        for task in background:
            task.cancel()


async def _packet_process(worker: int, counters: Path, stopping: asyncio.Event) -> None:
    """Keep one packet process running; when the relay stops, tell it and wait for its end."""
    while not stopping.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "voicefleet.services.relay.packet_process", str(worker), str(counters)
        )
        stop = asyncio.ensure_future(stopping.wait())
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait((stop, ended), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if stopping.is_set():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await ended
            return
        logs.logger(__name__).error("packet process died", worker=worker, status=process.returncode)
        await asyncio.sleep(RESTART_PAUSE)


def _turned_at(counters: SharedCounters, worker: int) -> float:
    return counters.value(worker, _TURNED_AT) / 1000


async def _follow(keys: KeyFile) -> None:
    async for _ in keys.changes():
        pass  # packet processes read the file themselves; this one shows in its metrics whether it is good


def main() -> None:
    """The entry point."""
    settings = load_or_exit(RelaySettings)
    logs.configure(Component.RELAY, format=settings.log_format, level=settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
