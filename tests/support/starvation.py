"""How long the machine kept this process's threads from a processor: what a test may add to a bar of the product's.

The kernel counts it for each thread (schedstat: nanoseconds that it was ready and did not run). A thread that waits for
another thread of ours, for a lock or for the interpreter, is not counted: that lateness is our own.
"""

import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import nlargest
from pathlib import Path
from typing import Final

import pytest

STEP: Final = 0.02
"""Seconds between looks."""
_THREADS: Final = Path("/proc/self/task")


class Starvation:
    """Of this process, from the first look on; times are of the monotonic clock."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._looks: list[dict[str, int]] = []
        self._before: dict[str, int] = {}
        self._own = ""
        self._lock = threading.Lock()

    def waited(self, since: float, until: float, threads: int | None = None) -> float:
        """Seconds that threads waited for a processor in that time: all of them together, or the so many that waited
        longest. Work that one hands on to the next is at most so late."""
        if not self._moments or until > self._moments[-1]:
            self.look()
        first = max(0, bisect_right(self._moments, since) - 1)
        last = min(len(self._moments) - 1, bisect_left(self._moments, until))
        before, after = self._looks[first], self._looks[last]
        waits = [waited - before.get(thread, 0) for thread, waited in after.items()]
        return sum(waits if threads is None else nlargest(threads, waits)) / 1e9

    def worst(self, window: float, threads: int) -> float:
        """The most that so many threads waited within so many seconds."""
        self.look()
        return max(self.waited(moment, moment + window, threads) for moment in self._moments[:-1])

    def look(self) -> None:
        """Count until now."""
        with self._lock:
            counted = dict(self._looks[-1]) if self._looks else {}
            for thread in os.listdir(_THREADS):
                if thread != self._own:
                    try:
                        waited = int((_THREADS / thread / "schedstat").read_text().split()[1])
                    except OSError:
                        continue  # it has ended
                    if not self._looks:
                        self._before[thread] = waited
                    counted[thread] = waited - self._before.get(thread, 0)
            self._looks.append(counted)
            self._moments.append(time.monotonic())

    def run(self, over: threading.Event) -> None:
        """Look again and again, on a thread of its own."""
        self._own = str(threading.get_native_id())
        while not over.wait(STEP):
            self.look()


@contextmanager
def starvation() -> Iterator[Starvation]:
    """Watched until the end of the block."""
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("this kernel does not count how long a thread waits for a processor (CONFIG_SCHED_INFO)")
    watched, over = Starvation(), threading.Event()
    watched.look()
    thread = threading.Thread(target=watched.run, args=(over,), name="starvation")
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()
