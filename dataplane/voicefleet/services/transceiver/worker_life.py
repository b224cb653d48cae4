"""The pod's side of one worker: its process, started again whenever it dies, and what is known of it meanwhile.

The sockets stay open here, so a worker that is started again serves the same port under a new generation: checks for
its predecessor's calls are refused at once, authentically, and their clients need not find out by silence.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from socket import AF_UNIX, socket, socketpair
from typing import Any, Final

from voicefleet.core.directory import HopWorker
from voicefleet.core.transceiver.admission import Load
from voicefleet.core.transceiver.load_meter import LATENESS_BOUNDS, LoadMeter, Measured
from voicefleet.net.child_process import die_with_parent
from voicefleet.net.udp import local_address
from voicefleet.net.worker_channel import WorkerChannel
from voicefleet.observability import logs
from voicefleet.services.transceiver import news
from voicefleet.services.transceiver.news import Ended, Looked, PathMeasured, Pulse, Turned
from voicefleet.services.transceiver.remote_calls import RemoteCalls
from voicefleet.services.transceiver.worker_start import WorkerStart

SILENT: Final = 10.0
"""Seconds without a pulse after which a worker serves nobody any more and is started again."""
FIRST_PULSE: Final = 180.0
"""Seconds that its start may take: one by itself, half a minute beside twenty others that want the processor; to end it
sooner would only make it begin again."""
RESTART_PAUSE: Final = (0.0, 5.0)
"""Pause before a worker that died is started again: none after a long life, then doubled from a tenth of a second."""
LONG_LIFE: Final = 10.0
_NOTHING: Final = Measured(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """The sockets of one worker, open for as long as the pod lives."""

    number: int
    hop_address: str
    hop: socket
    direct: socket | None


class WorkerLife:
    """One worker, for as long as the pod runs."""

    def __init__(
        self,
        ports: WorkerPorts,
        generation: int,
        *,
        on_change: Callable[[], None],
        on_looked: Callable[[Looked], None],
        on_ended: Callable[[Ended], None],
        on_turned: Callable[[Turned], None],
        on_path_measured: Callable[[PathMeasured], None],
    ) -> None:
        """`on_change`: it is there, or no longer. Calls that die with it are told to `on_ended` as well."""
        self.number: Final = ports.number
        self.generation = generation
        self.restarts = 0
        self.calls: set[str] = set()
        self.promised = 0
        """Calls that it is being asked to take."""
        self.draining = False
        self.measured = _NOTHING
        self.pulse: Pulse | None = None
        self.remote: RemoteCalls | None = None
        """Asks it; None while it is not up."""
        self.pid: int | None = None
        self._ports = ports
        self._on_change = on_change
        self._on_looked = on_looked
        self._on_ended = on_ended
        self._on_turned = on_turned
        self._on_path_measured = on_path_measured
        self._meter = LoadMeter(LATENESS_BOUNDS)
        self.socket_path: Final = f"\0voicefleet-{secrets.token_hex(16)}"
        """Where its WebSockets are; abstract, so that it is gone with us."""
        self._sockets = socket(AF_UNIX)
        self._sockets.bind(self.socket_path)
        self._sockets.listen(128)
        self._stopping = False
        self._channel: WorkerChannel | None = None
        self._beaten = 0.0
        self._log = logs.logger(__name__).bind(worker=ports.number)

    @property
    def load(self) -> Load:
        """How it is, for admission."""
        return Load(
            calls=len(self.calls) + self.promised,
            cpu=self.measured.cpu,
            clock_error=self.measured.clock_error,
            draining=self.draining,
            there=self.remote is not None,
        )

    @property
    def hop(self) -> HopWorker:
        """Where relays reach it, and what its tokens carry."""
        return HopWorker(self._ports.hop_address, local_address(self._ports.hop)[1], self.generation)

    async def run(self) -> None:
        """Keep it running until it ended because it was told to."""
        loop = asyncio.get_running_loop()
        pause, longest = RESTART_PAUSE
        while True:
            started = loop.time()
            status = await self._one_life()
            if self._stopping:
                return
            self.restarts += 1
            self._log.error("worker died", status=status, calls=len(self.calls))
            self._mourn()
            pause = RESTART_PAUSE[0] if loop.time() - started > LONG_LIFE else min(longest, max(0.1, 2 * pause))
            await asyncio.sleep(pause)
            self.generation = (self.generation + 1) & 0xFFFF

    async def stop(self, reason: str) -> None:
        """End its calls and its process; `run` returns then."""
        self._stopping = True
        if self.remote is not None:
            try:
                await self.remote.stop(reason)
            finally:
                if self._channel is not None:
                    self._channel.close()

    async def _one_life(self) -> int:
        ours, theirs = socketpair()
        self.pulse = None
        self._meter = LoadMeter(LATENESS_BOUNDS)
        with theirs:
            start = WorkerStart(self.generation, theirs, self._ports.hop, self._sockets, self._ports.direct)
            process = await asyncio.create_subprocess_exec(
                *start.command(),
                pass_fds=start.descriptors,
                preexec_fn=die_with_parent,
                env=start.environment(),
            )
        self.pid = process.pid
        channel = self._channel = await WorkerChannel.open(ours, _nothing_is_asked_here, self._hear)
        reading = asyncio.create_task(channel.run())
        watching = asyncio.create_task(self._watch(process))
        try:
            return await process.wait()
        finally:
            self.pid = self.remote = None
            self.measured = _NOTHING
            for task in (watching, reading):
                task.cancel()
            channel.close()
            if process.returncode is None:
                process.kill()
                await process.wait()
            self._on_change()

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Ends a worker that shows no pulse; one that hangs serves nobody and would be waited for for ever."""
        loop = asyncio.get_running_loop()
        self._beaten = loop.time() + FIRST_PULSE - SILENT
        while (left := self._beaten + SILENT - loop.time()) > 0:  # noqa: ASYNC110 - a pulse sets nothing, four times a second
            await asyncio.sleep(min(left, SILENT / 10))
        self._log.error("worker shows no pulse and is ended", seconds=SILENT)
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    def _hear(self, kind: str, fields: dict[str, Any]) -> None:
        heard = news.read(kind, fields)
        if isinstance(heard, Pulse):
            self._on_pulse(heard)
        elif isinstance(heard, Ended):
            self.calls.discard(heard.call)
            self._on_ended(heard)
        elif isinstance(heard, Turned):
            self._on_turned(heard)
        elif isinstance(heard, PathMeasured):
            self._on_path_measured(heard)
        else:
            self._on_looked(heard)

    def _on_pulse(self, pulse: Pulse) -> None:
        now = self._beaten = asyncio.get_running_loop().time()
        self.pulse = pulse
        self.measured = self._meter.look(now, pulse.cpu, pulse.late)
        if self.remote is None and self._channel is not None and not self._stopping:
            self.remote = RemoteCalls(self._channel)
            self._log.info("worker serves", hop=f"{self.hop.address}:{self.hop.port}", generation=self.generation)
            self._on_change()

    def _mourn(self) -> None:
        """Its calls have died with it, and nobody else will say so."""
        lost, self.calls = self.calls, set()
        for call in lost:
            self._on_ended(Ended(call, "worker_died", {}))


async def _nothing_is_asked_here(kind: str, _fields: object) -> Any:
    raise ValueError(f"a worker asks for {kind}")
