"""The thread that carries the media of all synthetic calls: an epoll over their sockets, and a heap of what is due."""

import gc
import heapq
import os
import select
import threading
import time
from collections import deque
from typing import Final

from voicefleet.cli.load.caller import Caller

LONGEST_WAIT: Final = 0.1


class MediaThread:
    """Takes callers over; `stop` hangs all of them up."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        """All that ever were."""
        self._new: deque[Caller] = deque()
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="media", daemon=True)

    def start(self) -> None:
        """Begin."""
        gc.collect()
        gc.freeze()  # a pause for garbage would be a gap in every call
        self._thread.start()

    def take(self, caller: Caller) -> None:
        """From any thread."""
        self._new.append(caller)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        """Hang up, and wait for the end of the thread."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    @property
    def talking(self) -> int:
        """Calls that have audio now."""
        return sum(each.figures.setup is not None and not each.ended for each in self.callers)

    def _run(self) -> None:
        poll = select.epoll()
        poll.register(self._wake, select.EPOLLIN)
        by_descriptor: dict[int, Caller] = {}
        due: list[tuple[float, int]] = []
        while not self._stopping:
            wait = due[0][0] - time.time() if due else LONGEST_WAIT
            for descriptor, _ in poll.poll(max(0.0, min(wait, LONGEST_WAIT))):
                if descriptor == self._wake:
                    os.eventfd_read(self._wake)
                elif (caller := by_descriptor.get(descriptor)) is not None:
                    had_keys = caller.due
                    caller.on_readable()
                    if caller.ended:
                        del by_descriptor[descriptor]
                    elif caller.due < had_keys:
                        heapq.heappush(due, (caller.due, descriptor))
            while self._new:
                caller = self._new.popleft()
                descriptor = caller.socket.fileno()
                self.callers.append(caller)
                by_descriptor[descriptor] = caller
                poll.register(descriptor, select.EPOLLIN)
                heapq.heappush(due, (caller.due, descriptor))
            now = time.time()
            while due and due[0][0] <= now:
                _, descriptor = heapq.heappop(due)
                late = by_descriptor.get(descriptor)
                if late is None:
                    continue
                if late.due <= now:
                    late.on_time(now)
                if late.ended:
                    del by_descriptor[descriptor]
                elif not any(each == (late.due, descriptor) for each in due[:1]):
                    heapq.heappush(due, (late.due, descriptor))
        for caller in by_descriptor.values():
            caller.hang_up(time.time())
        poll.close()
