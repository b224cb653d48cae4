"""One WebSocket to a model: what is sent waits in order, never holds up who sends it, and is bounded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType

MOST_WAITING: Final = 2000
"""Messages that wait for a model that takes none: 40 s of a caller's sound."""
CLOSING: Final = 1.0
"""Seconds for a model to say goodbye."""


class Begun:
    """The rest of a coroutine that was begun outside of a task."""

    def __init__(self, coroutine: Coroutine[Any, None, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, None, None]:
        yield self._waits_for
        yield from self._coroutine.__await__()


class ModelSocket:
    """Belongs to the event loop; `write` and `messages` are to be run until `messages` ends."""

    def __init__(
        self, socket: aiohttp.ClientWebSocketResponse[bool], url: str, since: float, leave: Callable[[], None]
    ) -> None:
        self.url = url
        self.since = since
        """When it was asked for, of the loop's clock."""
        self.dropped = 0
        """Messages that were given up, the oldest first."""
        self._socket = socket
        self._leave = leave
        self._waiting: deque[bytes] = deque()
        self._held: Begun | None = None
        """A message that the connection has not taken whole; the others wait for it."""
        self._some = asyncio.Event()

    def send(self, message: bytes) -> None:
        """Send a text message; never waits."""
        if self._held is None:
            self._begin(message)  # a task that is woken for each message costs as much as the sending
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)

    def _begin(self, message: bytes) -> None:
        sending = self._socket.send_frame(message, WSMsgType.TEXT)
        try:
            waits_for = sending.send(None)
        except (StopIteration, ConnectionError, aiohttp.ClientError):
            return  # it is gone; or the connection is, and `messages` ends for the same reason
        self._held = Begun(sending, waits_for)
        self._some.set()

    async def write(self) -> None:
        """Send what waits, for ever."""
        try:
            while True:
                await self._some.wait()
                self._some.clear()
                while self._held is not None:
                    await self._held
                    self._held = None
                    while self._waiting and self._held is None:
                        self._begin(self._waiting.popleft())
        except (ConnectionError, aiohttp.ClientError):
            return  # as above

    async def messages(self) -> AsyncIterator[bytes]:
        """What the model says, until the connection ends."""
        socket = self._socket
        while True:
            message = await socket.receive()
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type is not WSMsgType.BINARY:
                return

    @property
    def end(self) -> str:
        """How it ended, for logs."""
        error = self._socket.exception()
        return f"{type(error).__name__}: {error}" if error is not None else f"close code {self._socket.close_code}"

    async def close(self) -> None:
        """Give the place back and say goodbye."""
        self._leave()
        try:
            async with asyncio.timeout(CLOSING):
                await self._socket.close()
        except TimeoutError:
            pass  # the transport goes with the session
