"""What is started once for all workers of a test run: who comes first starts it, and ends it when nobody uses it.

Workers are processes that share a folder. Each holds a lock on a file there while it uses the thing, so that one which
was killed uses it no longer.
"""

import asyncio
import fcntl
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

Told = dict[str, Any]
"""What another process has to know to use the thing, as JSON."""


@asynccontextmanager
async def shared(
    folder: Path, name: str, start: Callable[[], AbstractAsyncContextManager[Told]]
) -> AsyncIterator[Told]:
    """What `start` gives, by whichever worker that was; it is there while the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / f"{name}.json"
    with (folder / f"{name}.door").open("w") as door, (folder / f"{name}.users").open("w") as users:
        await _lock(door, fcntl.LOCK_EX)
        if told.exists():
            await _lock(users, fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield json.loads(told.read_text())
            return
        async with start() as made:
            told.write_text(json.dumps(made))
            await _lock(users, fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            try:
                yield made
            finally:
                await _lock(door, fcntl.LOCK_EX)  # who comes from now on starts a new one
                told.unlink()
                fcntl.flock(users, fcntl.LOCK_UN)
                fcntl.flock(door, fcntl.LOCK_UN)
                await _lock(users, fcntl.LOCK_EX)


async def _lock(file: TextIO, how: int) -> None:
    await asyncio.to_thread(fcntl.flock, file, how)
