"""A child process that can be awaited, however it was started: by its process descriptor (pidfd_open)."""

import asyncio
import os
from collections.abc import Awaitable, Callable


class Child:
    """One process; who has it awaits it, or it stays as a zombie."""

    def __init__(self, pid: int, bury: Callable[[], Awaitable[int]]) -> None:
        """`bury` says how it ended, once it has."""
        self.pid = pid
        self.returncode: int | None = None
        """How it ended, if that was waited for."""
        self._bury = bury

    async def wait(self) -> int:
        """How it ends."""
        if self.returncode is None:
            await self._end()
            self.returncode = await self._bury()
        return self.returncode

    async def _end(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return  # buried by whoever took it over
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
