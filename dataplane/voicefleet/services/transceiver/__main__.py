"""The transceiver process: settings in, one worker, its internal API, its probes.

SIGTERM and SIGINT drain it: no more calls are taken, live ones go on until they end or the deadline comes; then the
clients are told, and the calls end.
"""

import asyncio
import secrets
import signal
import time
from contextlib import AsyncExitStack
from typing import Final

from voicefleet.agents.echo import EchoAgent
from voicefleet.contract import Component
from voicefleet.core.directory import HopWorker, TransceiverEntry
from voicefleet.core.transceiver.admission import AdmissionLimits
from voicefleet.net.configuration import load_or_exit
from voicefleet.net.directory_heartbeat import Heartbeat
from voicefleet.net.dtls import DtlsIdentity
from voicefleet.net.key_file import AcceptedRing, KeyFile
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.udp import udp_socket
from voicefleet.net.watched_file import FileMetrics
from voicefleet.observability import health, logs, metrics
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.calls import WorkerCalls
from voicefleet.services.transceiver.settings import TransceiverSettings
from voicefleet.services.transceiver.worker import Worker

STALE: Final = 10.0
"""Seconds without a turn of the loop until a kubelet should restart this process."""


async def serve(settings: TransceiverSettings) -> None:
    """Serve calls until SIGTERM or SIGINT."""
    log = logs.logger(__name__)
    keys = KeyFile(settings.key_file)
    ring = AcceptedRing(keys, time.time)
    identity = DtlsIdentity.load(settings.certificate_directory)
    loop = asyncio.get_running_loop()
    died: asyncio.Future[None] = loop.create_future()
    worker = Worker(
        hop=udp_socket(settings.hop_listen),
        hop_address=settings.hop_address,
        direct=udp_socket(settings.direct_listen) if settings.direct_listen is not None else None,
        limits=AdmissionLimits(settings.sessions),
        ring=ring,
        clock=time.time,
        identity=lambda: identity,
        agent=lambda _config: EchoAgent(),
        generation=secrets.randbits(16),
        on_death=lambda error: _give_up(loop, died, error),
    )
    state = health.Health()
    serving = state.condition("serving")
    heart = state.heart("loop", STALE)
    registry = metrics.registry(Component.TRANSCEIVER)
    registry.register(state)
    registry.register(FileMetrics(keys))
    link = RedisLink(settings.redis())
    registry.register(link)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        port = await stack.enter_async_context(
            health.served(internal_api(WorkerCalls(worker), ring), *settings.api_listen)
        )
        await stack.enter_async_context(health.served(health.application(state, registry), *settings.health_listen))
        background = [tasks.create_task(heart.beat_while_running()), tasks.create_task(_follow(keys))]
        background.append(tasks.create_task(_until(died)))
        worker.start()

        def describe() -> TransceiverEntry:
            return TransceiverEntry(
                id=settings.id,
                shard=settings.shard,
                region=settings.region,
                place=settings.place,
                api=(settings.hop_address, port),
                capacity=worker.limits.calls,
                free=worker.limits.calls - len(worker.sessions),
                workers=(HopWorker(*worker.hop, worker.generation),),
                draining=worker.draining,
                node=settings.node,
                zone=settings.zone,
            )

        heartbeat = Heartbeat(link, keys.value.fleet, describe)
        background += [tasks.create_task(link.run()), tasks.create_task(heartbeat.run())]
        serving.holds()
        log.info("transceiver serves", shard=settings.shard, hop=":".join(map(str, worker.hop)), api_port=port)
        await stopping.wait()
        serving.fails("draining")
        log.info("transceiver drains", calls=len(worker.sessions))
        drained = tasks.create_task(worker.drain(settings.drain_deadline))
        heartbeat.changed()
        await drained
        await worker.say_goodbye("the transceiver is stopping")
        await heartbeat.goodbye()
        await worker.stop("the transceiver is stopping")
        for task in background:
            task.cancel()


def _give_up(loop: asyncio.AbstractEventLoop, died: "asyncio.Future[None]", error: Exception) -> None:
    """Called by the media loop's thread when it ends by an error."""
    loop.call_soon_threadsafe(died.set_exception, error)


async def _until(died: "asyncio.Future[None]") -> None:
    """Without its media loop a worker serves nobody: the error ends the process, and whoever started it starts anew."""
    await died


async def _follow(keys: KeyFile) -> None:
    async for _ in keys.changes():
        pass  # the worker asks for the ring where it needs it


def main() -> None:
    """The entry point."""
    settings = load_or_exit(TransceiverSettings)
    logs.configure(Component.TRANSCEIVER, format=settings.log_format, level=settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
