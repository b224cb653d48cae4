"""A worker's hold on the process that its agents come from: started with the worker, started again when it dies, and,
on a laptop, when the user's code changes.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicefleet.net.child_process import die_with_parent
from voicefleet.net.conversation import Conversation
from voicefleet.net.descriptor_channel import Closed
from voicefleet.observability import logs

START_DEADLINE: Final = 120.0
"""Seconds for the import of the user's module; those that load weights take long."""
PAUSES: Final = (0.5, 30.0)
"""First and longest pause before another try."""
LOOK: Final = 0.5
LAST_WORDS: Final = 3.0
"""Seconds that an agent has when its call is over; one that is stuck would stay for ever."""
_ELSEWHERE: Final = Path(__file__).with_name("elsewhere.py")
_log = logs.logger(__name__)


class NotReady(Exception):
    """No agent can be had now; the message says why."""


@dataclass(frozen=True, slots=True)
class AgentCode:
    """Which class serves calls, and how."""

    name: str
    """`module:Class`."""
    path: Path | None = None
    """A directory to find the module in, besides what is installed."""
    memory: int = 0
    """Octets that one call's process may take beyond what the module took; 0 is no bound."""
    reload: bool = False
    """Look for changes of the code, for new calls."""
    interpreter: Path | None = None
    """The Python whose packages it uses; None for our own."""


class Nursery:
    """`run` it beside the calls."""

    def __init__(self, code: AgentCode) -> None:
        self._code = code
        self._door: Conversation | None = None
        self._problem = "the agent's module is being imported"
        self._changed = asyncio.Event()
        self.rate = 24_000
        """Samples a second that the agents want; as the class says once it was imported."""
        self.ready = asyncio.Event()
        self._burials: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled."""
        pause = PAUSES[0]
        try:
            while True:
                seen = self._stamp()
                try:
                    child, door = await self._start()
                except OSError as error:
                    self._problem = f"{self._code.interpreter or sys.executable} can't be started: {error.strerror}"
                    _log.error("no new agents", why=self._problem, code=self._code.name)
                    await self._wait(pause, seen)
                    pause = min(2 * pause, PAUSES[1])
                    continue
                problem = await self._hear(door)
                if problem is None:
                    pause = PAUSES[0]
                    self._serve(door)
                    problem = await self._until_over(child, seen)
                else:
                    door.close()
                if self._stamp() != seen:
                    continue  # the code of before serves until the new one can
                if child.returncode is not None and self._door is door:
                    self._serve(None)
                self._problem = problem
                _log.error("no new agents", why=problem, code=self._code.name)
                await self._wait(pause, seen)
                pause = min(2 * pause, PAUSES[1])
        finally:
            self._serve(None)

    def _serve(self, door: Conversation | None) -> None:
        """From this one on; the process before goes when the calls that it has made have ended."""
        if self._door is not None:
            self._door.close()
        self._door = door
        if door is not None:
            self.ready.set()
        else:
            self.ready.clear()

    async def open(self) -> socket.socket:
        """One end of a new agent's socket; raises `NotReady`."""
        if self._door is None:
            raise NotReady(self._problem)
        ours, theirs = socket.socketpair()
        try:
            await self._door.say(b"call", theirs)
        except Closed as closed:
            ours.close()
            raise NotReady(str(closed)) from None
        finally:
            theirs.close()
        return ours

    def bury(self, process: int) -> None:
        """An agent's call is over: its process (a pidfd) has some seconds to end by itself."""
        task = asyncio.create_task(_bury(process))
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    async def _start(self) -> tuple[asyncio.subprocess.Process, Conversation]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            child = await asyncio.create_subprocess_exec(
                *self._command(theirs.fileno()),
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                preexec_fn=die_with_parent,
            )
        return child, Conversation(ours)

    def _command(self, descriptor: int) -> Sequence[str]:
        told = str(descriptor), self._code.name, str(self._code.memory)
        if self._code.interpreter is not None:
            return (str(self._code.interpreter), str(_ELSEWHERE), *told)
        return (sys.executable, "-m", "voicefleet.agents.python.nursery_process", *told)

    def _environment(self) -> dict[str, str]:
        """As ours, but without our settings: a user's code has no business with the fleet's keys."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("VOICEFLEET_")}
        if self._code.interpreter is not None:
            kept.pop("PYTHONPATH", None)  # of our packages, which are not for another Python
        if self._code.path is not None:
            kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(self._code.path), kept.get("PYTHONPATH"))))
        return kept

    async def _hear(self, door: Conversation) -> str | None:
        """What the module's import came to; None if calls can be served."""
        try:
            async with asyncio.timeout(START_DEADLINE):
                told: dict[str, Any] = json.loads((await door.hear()).message)
        except Closed:
            return "its process died while it imported the agent's module"
        except TimeoutError:
            return f"the agent's module was not imported after {START_DEADLINE:.0f} s"
        if "problem" in told:
            return str(told["problem"])
        self.rate = int(told["rate"])
        return None

    async def _until_over(self, child: asyncio.subprocess.Process, seen: float) -> str:
        ended = asyncio.ensure_future(child.wait())
        try:
            while not ended.done():
                await asyncio.wait((ended,), timeout=LOOK if self._code.reload else None)
                if self._code.reload and self._stamp() != seen:
                    return "the code has changed"
        finally:
            ended.cancel()
        return f"the process that agents come from ended ({child.returncode})"

    async def _wait(self, seconds: float, seen: float) -> None:
        for _ in range(max(1, round(seconds / LOOK))):
            await asyncio.sleep(LOOK)
            if self._code.reload and self._stamp() != seen:
                return

    def _stamp(self) -> float:
        """When the code was last changed, as far as it is watched."""
        if not self._code.reload or self._code.path is None:
            return 0.0
        return max((path.stat().st_mtime for path in self._code.path.rglob("*.py")), default=0.0)


async def _bury(process: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process, ended.set)
    try:
        async with asyncio.timeout(LAST_WORDS):
            await ended.wait()
    except TimeoutError:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    finally:
        loop.remove_reader(process)
        os.close(process)
