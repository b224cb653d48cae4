"""A fleet's file, read again when it changes: a good one is followed, a bad one is explained and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from voicefleet.cli.resources.fleet_file import NOTHING, FleetFile, Old, parse, read_file

POLL: Final = 0.3
"""Seconds between looks; editors write in several steps, so a change counts once it has lasted for one."""

_Stamp = tuple[int, int, int] | None


class FollowedFile:
    """A file and what it said last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._look()

    def read(self, old: Old = NOTHING) -> FleetFile:
        """What it says now; some of it must not differ from what it said before."""
        return parse(read_file(self._path), old)

    async def changes(self) -> AsyncIterator[None]:
        """Once for each change."""
        while True:
            await asyncio.sleep(POLL)
            stamp = self._look()
            if stamp != self._stamp:
                await asyncio.sleep(POLL)
                if self._look() == stamp and stamp is not None:
                    self._stamp = stamp
                    yield

    def _look(self) -> _Stamp:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
