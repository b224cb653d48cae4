"""Which objects are to be looked at, when: each at most once at a time, failures later and later, all by one clock."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from voicefleet_operator.reconcile.store import Key

FIRST_RETRY: Final = 0.2
LAST_RETRY: Final = 60.0


class WorkQueue:
    """Keys that are due now or later. One that is being worked on and is added again is due when that has ended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._active: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()
        self.waited: Callable[[float], None] = lambda seconds: None
        """Told how long each key was due before it was taken."""
        self._last_done = clock()

    def add(self, key: Key, after: float = 0.0) -> None:
        """Have it looked at, at the latest after so many seconds."""
        if key in self._active and after <= 0.0:
            self._again.add(key)
            return
        at = self._clock() + after
        if at < self._due.get(key, float("inf")):
            self._due[key] = at
            heapq.heappush(self._heap, (at, key))
            self._changed.set()

    def failed(self, key: Key, at_least: float = 0.0) -> None:
        """It could not be done; twice as long a wait as last time."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.add(key, max(at_least, min(FIRST_RETRY * 2 ** min(count, 16), LAST_RETRY)))

    def succeeded(self, key: Key) -> None:
        """It was done; the next failure is a first one again."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._due.pop(key, None)
        self._again.discard(key)
        self._failures.pop(key, None)

    def clear(self) -> None:
        """Nothing is to be done any more, as for an operator that does not lead."""
        self._due.clear()
        self._heap.clear()
        self._again.clear()
        self._failures.clear()

    async def get(self) -> Key:
        """The next one that is due; call `done` when it has been looked at."""
        while True:
            self._changed.clear()
            now = self._clock()
            wait = None
            while self._heap:
                at, key = self._heap[0]
                if self._due.get(key) != at or key in self._active:
                    heapq.heappop(self._heap)
                    if self._due.get(key) == at:
                        del self._due[key]
                        self._again.add(key)
                    continue
                if at > now:
                    wait = at - now
                    break
                heapq.heappop(self._heap)
                del self._due[key]
                self._active.add(key)
                self.waited(now - at)
                return key
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """It has been looked at."""
        self._active.discard(key)
        self._last_done = self._clock()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def lengths(self) -> tuple[int, int]:
        """How many are due or being looked at, and how many will be due later."""
        now = self._clock()
        due = sum(at <= now for at in self._due.values())
        return due + len(self._active), len(self._due) - due

    def stuck(self) -> float:
        """Seconds in which something was to be done and nothing was."""
        now = self._clock()
        begun = self._last_done if self._active else min(self._due.values(), default=now)
        return max(0.0, now - max(begun, self._last_done))

    def __len__(self) -> int:
        return len(self._due) + len(self._active)
