"""One worker's process: its calls, on the sockets that the pod's process gave it, until that one says stop or is gone.

Started as `worker_start` says; the settings come by the environment, as the pod's process had them. Signals mean
nothing here: the pod's process decides about an end, and Ctrl-C reaches the whole group.
"""

import asyncio
import gc
import resource
import signal
import sys
import time
from typing import Any

from voicefleet.contract import Component
from voicefleet.core.transceiver.admission import AdmissionLimits
from voicefleet.core.turns.budget import TurnTimes
from voicefleet.net.configuration import load_or_exit
from voicefleet.net.dtls import DtlsIdentity
from voicefleet.net.key_file import AcceptedRing, KeyFile
from voicefleet.net.memory_reserve import reserve
from voicefleet.net.watched_file import WatchedFile
from voicefleet.net.worker_channel import WorkerChannel
from voicefleet.observability import health, logs
from voicefleet.services.transceiver import news, remote_calls
from voicefleet.services.transceiver.agent_choice import agent_choice
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.news import Ended, Looked, News, PathMeasured, Pulse, Turned
from voicefleet.services.transceiver.record import SessionRecord
from voicefleet.services.transceiver.settings import TransceiverSettings
from voicefleet.services.transceiver.worker import Worker
from voicefleet.services.transceiver.worker_calls import WorkerCalls
from voicefleet.services.transceiver.worker_start import WorkerStart, reserved

_PAGE = resource.getpagesize()


class WorkerProcess:
    """Ties a worker to its channel."""

    def __init__(self, settings: TransceiverSettings, start: WorkerStart) -> None:
        self._loop = asyncio.get_running_loop()
        self._died: asyncio.Future[None] = self._loop.create_future()
        self._channel: WorkerChannel | None = None
        self._keys = KeyFile(settings.key_file)
        self._certificate = WatchedFile(settings.certificate_directory, DtlsIdentity.load, "certificate")
        self._budget = settings.turn_budget
        self._ring = AcceptedRing(self._keys, time.time)
        self._choice = agent_choice(settings)
        self._worker = Worker(
            hop=start.hop,
            hop_address=settings.hop_address,
            direct=start.direct,
            limits=AdmissionLimits(settings.sessions),
            ring=self._ring,
            clock=time.time,
            identity=lambda: self._certificate.value,
            agent=self._choice.agent,
            generation=start.generation,
            on_turn=self._pulse,
            on_looked=lambda record: self._tell(Looked(record.call_id, record.figures(), _began(record))),
            on_path_measured=lambda call, pool, seconds: self._tell(PathMeasured(call, pool, seconds)),
            on_closed=self._ended,
            on_caller_turn=self._turned,
            budget=self._budget,
            on_death=self._on_death,
        )
        self._calls = WorkerCalls(self._worker)

    async def run(self, start: WorkerStart) -> None:
        """Serve until the worker was stopped, or the pod's process is gone."""
        self._channel = await WorkerChannel.open(start.channel, self._answer, lambda _kind, _fields: None)
        reading = asyncio.create_task(self._channel.run())
        files: tuple[WatchedFile[Any], ...] = (self._keys, self._certificate, *self._choice.files)
        following = [asyncio.create_task(_follow(file)) for file in files]
        following.append(asyncio.create_task(self._choice.run()))
        await self._choice.ready()
        self._worker.start()
        async with health.served(internal_api(self._calls, self._ring), "", 0, start.web_sockets):
            try:
                await asyncio.wait((reading, self._died), return_when=asyncio.FIRST_COMPLETED)
                if self._died.done():
                    await self._died
            finally:
                for task in following:
                    task.cancel()
                self._channel.close()
                await self._worker.stop("the pod's process is gone")

    async def _answer(self, kind: str, fields: list[Any]) -> Any:
        return await remote_calls.answer(self._calls, kind, fields)

    def _pulse(self) -> None:
        media = self._worker.media
        self._tell(
            Pulse(
                cpu=time.process_time(),
                busy=media.busy,
                resident=_resident(),
                late=tuple(media.lateness),
                refused=dict(self._worker.refused),
                models=self._choice.models.figures() if self._choice.models is not None else {},
                models_refused=self._choice.models.refused if self._choice.models is not None else 0,
            )
        )

    def _ended(self, record: SessionRecord) -> None:
        self._tell(Ended(record.call_id, record.cause or "", record.figures(), _began(record)))

    def _turned(self, times: TurnTimes) -> None:
        stages = {stage.value: seconds for stage, seconds in times.stages.items()}
        overruns = [share.value for share in times.overruns(self._budget)]
        self._tell(Turned(stages, times.total, overruns))

    def _tell(self, what: News) -> None:
        if self._channel is not None:
            self._channel.tell(*news.written(what))

    def _on_death(self, error: Exception) -> None:
        """Called by the media loop's thread when it ends by an error; without it nobody is served here."""
        self._loop.call_soon_threadsafe(self._died.set_exception, error)


async def _follow(file: WatchedFile[Any]) -> None:
    async for _ in file.changes():
        pass  # the worker asks for the value where it needs it


def _began(record: SessionRecord) -> float:
    """Of a record that was made just now."""
    return time.monotonic() - record.age


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE


def main() -> None:
    """The entry point."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    start = WorkerStart.read(sys.argv[1:])
    settings = load_or_exit(TransceiverSettings)
    logs.configure(Component.TRANSCEIVER, format=settings.log_format, level=settings.log_level)
    reserve(reserved(-(-settings.sessions // settings.worker_processes)))

    async def serve() -> None:
        process = WorkerProcess(settings, start)
        gc.collect()
        gc.freeze()  # what lives as long as the process is not looked at again and again
        await process.run(start)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
