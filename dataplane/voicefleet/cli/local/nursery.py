"""The hold of `voicefleet up` on the process that its services come from, which loads them while the file is read.

When that process dies, its services die with it; they are started again without it, by themselves.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from voicefleet.contract import Component
from voicefleet.net.child_process import die_with_parent

PROGRAM: Final = "voicefleet.cli.local.nursery_process"
SERVICES: Final = tuple(
    f"voicefleet.services.{each}" for each in (Component.TRANSCEIVER, Component.RELAY, Component.SIGNALING)
)
_Answer = asyncio.Future[dict[str, Any]]


class Nursery:
    """Forks services, and says how they ended."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._door: _Door | None = None
        self._opening = asyncio.Lock()

    async def start(self, name: str, module: str, environment: Mapping[str, str], log: Path) -> int | None:
        """Its process id; None if there is nobody to start it."""
        told = {"name": name, "module": module, "environment": dict(environment), "log": str(log)}
        try:
            return int((await self._ask(told))["pid"])
        except ConnectionError:
            return None

    async def bury(self, pid: int) -> int:
        """How one ended that has."""
        try:
            return int((await self._ask({"bury": pid}))["status"])
        except ConnectionError:
            return -signal.SIGKILL  # it died with the nursery

    async def _ask(self, what: dict[str, Any]) -> dict[str, Any]:
        async with self._opening:
            if self._door is None:
                _, self._door = await asyncio.get_running_loop().create_unix_connection(_Door, sock=self._end)
        return await self._door.ask(what)


@contextmanager
def nursery(services: Sequence[str] = SERVICES) -> Iterator[Nursery]:
    """They are loaded from now on."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(theirs.fileno()), *services],
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            yield Nursery(ours)
        finally:
            process.kill()
            process.wait()


class _Door(asyncio.Protocol):
    """Answers come in the order of the questions; one that nobody waits for any more is skipped."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: deque[_Answer] = deque()
        self._read = b""

    async def ask(self, what: dict[str, Any]) -> dict[str, Any]:
        if self._transport is None:
            raise ConnectionResetError("the nursery is gone")
        self._transport.write(json.dumps(what).encode() + b"\n")
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        return await answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._read = (self._read + data).split(b"\n")
        for line in lines:
            answer = self._waiting.popleft()
            with suppress(asyncio.InvalidStateError):
                answer.set_result(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for answer in self._waiting:
            with suppress(asyncio.InvalidStateError):
                answer.set_exception(ConnectionResetError("the nursery is gone"))
        self._waiting.clear()
