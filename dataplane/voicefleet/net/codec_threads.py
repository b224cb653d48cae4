"""Where codecs run: a few threads beside the media loop, so that no call's clock waits for another call's codec.

Two things make that true although all share one interpreter. libopus runs with the interpreter lock released (ctypes),
so the media loop goes on while a frame is coded; and the threads are niced, so that on a busy core the kernel lets the
media loop run first. What codecs make is needed tens of milliseconds later (`pcm_port`), not at once.

Jobs of one `Lane` run one after the other, in their order; lanes take turns, a job each.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Final, Self

import structlog

NICENESS: Final = 5
"""About a third of the media loop's share when both want the same core."""

Job = Callable[[], None]

_log = structlog.get_logger()


class Lane:
    """One call's codec jobs. Made by `CodecThreads.lane`; `put` may be called from any thread."""

    __slots__ = ("_jobs", "_lock", "_ready", "_waiting")

    def __init__(self, ready: "SimpleQueue[Lane | None]") -> None:
        self._ready = ready
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._waiting = False

    def put(self, job: Job) -> None:
        """Run the job after those put before it. A job raises only by mistake; that ends nothing but itself."""
        with self._lock:
            self._jobs.append(job)
            if self._waiting:
                return
            self._waiting = True
        self._ready.put(self)

    def __len__(self) -> int:
        return len(self._jobs)

    def run_one(self) -> None:
        """The next job, then back to the end of the queue if there are more."""
        try:
            self._jobs.popleft()()
        except Exception:
            _log.exception("codec job failed")
        with self._lock:
            if not self._jobs:
                self._waiting = False
                return
        self._ready.put(self)


class CodecThreads:
    """The threads of one worker process; a context manager that ends them."""

    def __init__(self, count: int = 1) -> None:
        self._ready: SimpleQueue[Lane | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"codec-{number}", daemon=True) for number in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def lane(self) -> Lane:
        """Jobs of one call."""
        return Lane(self._ready)

    def close(self) -> None:
        """End the threads soon: the calls are over, so jobs that wait need not be done."""
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (lane := self._ready.get()) is not None:
            lane.run_one()
