"""Where codecs run: a few threads beside the media loop, so that no call's clock waits for another call's codec.

Two things make that true although all share one interpreter. libopus runs with the interpreter lock released (ctypes),
so the media loop goes on while a frame is coded; and the threads are niced, so that on a busy core the kernel lets the
media loop run first. What codecs make is needed tens of milliseconds later (`pcm_port`), not at once.

Jobs of one `Lane` run one after the other, in their order; lanes take turns, a job each. What a job has to tell another
loop it leaves with `tell`: to wake a loop costs as much as decoding a frame, so what was done in a row is told at once.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Self

import structlog

NICENESS: Final = 5
"""About a third of the media loop's share when both want the same core."""
AT_ONCE: Final = 8
"""Jobs after which is told what they left, also when more wait: half a millisecond."""

Job = Callable[[], None]
Told = tuple[Callable[..., None], tuple[Any, ...]]
"""A method and what to call it with."""

_log = structlog.get_logger()


def _call(told: list[Told]) -> None:
    for method, arguments in told:
        method(*arguments)


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

    def __init__(self, count: int = 1, tell: Callable[[list[Told]], None] = _call) -> None:
        """`tell` is called by a codec thread with what jobs have left, in order; without it they are called there."""
        self._ready: SimpleQueue[Lane | None] = SimpleQueue()
        self._tell = tell
        self._left: deque[Told] = deque()
        self._telling = threading.Lock()
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

    def tell(self, method: Callable[..., None], *arguments: Any) -> None:
        """From within a job: have this called by whoever is told."""
        self._left.append((method, arguments))

    def close(self) -> None:
        """End the threads soon: the calls are over, so jobs that wait need not be done."""
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        ready, left, done = self._ready, self._left, 0
        while (lane := ready.get()) is not None:
            lane.run_one()
            done += 1
            if done >= AT_ONCE or ready.empty():
                done = 0
                with self._telling:  # or what one thread took first might be told last
                    told = [left.popleft() for _ in range(len(left))]
                    if told:
                        self._tell(told)
