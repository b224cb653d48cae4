"""Supervises the processes of a local fleet: started together, restarted when they die, ended together.

A child never outlives the fleet: the kernel ends it when this process dies, even by SIGKILL, and what a child started
itself goes with its process group.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from voicefleet.cli.local.child import Child
from voicefleet.cli.local.nursery import Nursery
from voicefleet.net.child_process import die_with_parent

END_GRACE: Final = 1.5
"""Seconds between SIGTERM and SIGKILL, so that Ctrl-C ends everything in two."""
READY_DEADLINE: Final = 30.0
"""Seconds. A laptop needs one, a machine under load many; after thirty something is wrong and the log says what."""
RESTART_PAUSE: Final = (0.2, 5.0)
"""First and longest pause before a process that died is started again; doubled each time it dies within a minute."""


LOOK: Final = 0.05
"""Seconds between questions whether a process is ready."""


class StartError(Exception):
    """A process of the fleet did not become ready; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the fleet: what to run, and the address that says when it is ready."""

    name: str
    module: str
    environment: Mapping[str, str]
    ready_url: str


class Supervisor:
    """Owns the children. `run` each process in a task group; leaving the group ends them."""

    def __init__(self, log_directory: Path, say: Callable[[str], None], nursery: Nursery) -> None:
        self._logs = log_directory
        self._say = say
        self._nursery = nursery
        self._retired: set[str] = set()
        self.pids: dict[str, int] = {}
        """Process ids of the children as they are now, by name."""

    async def run(self, process: Process, on_ready: Callable[[], None]) -> None:
        """Keep one process running until it is retired or this is cancelled; tells when it is ready at first."""
        first, longest = RESTART_PAUSE
        pause = first
        ready = False
        loop = asyncio.get_running_loop()
        while process.name not in self._retired:
            started = loop.time()
            child = await self._start(process)
            try:
                if not ready:
                    await self._until_ready(process, child)
                    ready = True
                    on_ready()
                code = await child.wait()
            finally:
                await self._end(process.name, child)
            if process.name in self._retired:
                return
            self._say(f"{process.name} ended ({_cause(code)}), starting it again; its log: {self.log(process.name)}")
            pause = first if loop.time() - started > 60 else min(pause * 2, longest)
            await asyncio.sleep(pause)

    def retire(self, name: str) -> None:
        """Ask a process to end, in its own time; it is not started again."""
        self._retired.add(name)
        if pid := self.pids.get(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # and not its group: a relay's packet processes end when their flows have

    def kill(self, name: str) -> None:
        """End a process that did not end by itself."""
        if pid := self.pids.get(name):
            _signal_group(pid, signal.SIGKILL)

    def log(self, name: str) -> Path:
        """Where a process writes its log."""
        return self._logs / f"{name}.log"

    async def _start(self, process: Process) -> Child:
        log = self.log(process.name)
        log.touch()
        pid = await self._nursery.start(process.name, process.module, process.environment, log)
        child = Child(pid, partial(self._nursery.bury, pid)) if pid is not None else _started(process, log)
        self.pids[process.name] = child.pid
        return child

    async def _until_ready(self, process: Process, child: Child) -> None:
        answers = asyncio.ensure_future(_answers(process.ready_url))
        ends = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait((answers, ends), timeout=READY_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
            if ends.done():
                cause = f"did not start ({_cause(ends.result())})"
            elif answers.done():
                return await answers
            else:
                cause = f"was not ready after {READY_DEADLINE:.0f} s"
        finally:
            for each in (answers, ends):
                each.cancel()
            await asyncio.gather(answers, ends, return_exceptions=True)
        raise StartError(f"{process.name} {cause}:\n{self._tail(process.name)}")

    async def _end(self, name: str, child: Child) -> None:
        self.pids.pop(name, None)
        if child.returncode is None:
            _signal_group(child.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(child.wait(), END_GRACE)
            except TimeoutError:
                pass
        _signal_group(child.pid, signal.SIGKILL)  # what it started itself and did not end
        if child.returncode is None:
            await child.wait()

    def _tail(self, name: str, lines: int = 5) -> str:
        text = self.log(name).read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in text[-lines:])


async def _answers(ready_url: str) -> None:
    """Returns when it does."""
    async with aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with http.get(ready_url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(LOOK)


def _started(process: Process, log: Path) -> Child:
    with log.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", process.module],
            env={**os.environ, **process.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    async def bury() -> int:
        return started.wait()

    return Child(started.pid, bury)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
