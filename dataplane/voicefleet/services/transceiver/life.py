"""A call's life on the event loop, whatever carries its sound: when it began, why it ended, and what ran meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from voicefleet.services.transceiver.record import EndCause


class Life:
    """From the moment at which a call was taken; it ends once."""

    def __init__(self) -> None:
        self.began_at = asyncio.get_running_loop().time()
        self.cause: EndCause | None = None
        """Why it ended; None while it lives."""
        self.reason = ""
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done until the call ends: then it is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self, cause: EndCause, reason: str) -> bool:
        """The call is over; false if it was already."""
        if self.cause is not None:
            return False
        self.cause, self.reason = cause, reason
        self._over.set()
        for task in self._tasks:
            task.cancel()
        return True

    async def over(self) -> None:
        """Returns when the call is over."""
        await self._over.wait()

    async def settled(self) -> None:
        """Returns when what it had running has ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def age(self) -> float:
        """Seconds since it began."""
        return asyncio.get_running_loop().time() - self.began_at

    def since_began(self, moment: float | None) -> float | None:
        """A moment in seconds of this life; None stays None."""
        return None if moment is None else moment - self.began_at
