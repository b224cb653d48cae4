"""What other threads want done on the event loop: in order, and with one wake-up for all that waits."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from voicefleet.observability import logs

Told = tuple[Callable[..., None], tuple[Any, ...]]
"""A method of somebody on the event loop and what to call it with."""


class Inbox:
    """Of one event loop; `post` from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Told] = deque()
        self._rung = False

    def post(self, method: Callable[..., None], *arguments: Any) -> None:
        """Have something done."""
        self.post_all(((method, arguments),))

    def post_all(self, told: Iterable[Told]) -> None:
        """Have several things done."""
        self._waiting.extend(told)
        if not self._rung:
            self._rung = True
            try:
                self._loop.call_soon_threadsafe(self._serve)
            except RuntimeError:
                pass  # the loop is closed: this process ends

    def _serve(self) -> None:
        self._rung = False
        waiting = self._waiting
        for _ in range(len(waiting)):
            method, arguments = waiting.popleft()
            try:
                method(*arguments)
            except Exception:  # one call's mistake must not cost another call its news
                logs.logger(__name__).exception("what another thread told could not be handled")
