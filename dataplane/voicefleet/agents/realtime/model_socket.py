"""One WebSocket to a model: what is sent waits in order, never holds up who sends it, and is bounded."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
from aiohttp import WSMsgType

MOST_WAITING: Final = 2000
"""Messages that wait for a model that takes none: 40 s of a caller's sound."""
CLOSING: Final = 1.0
"""Seconds for a model to say goodbye."""


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
        self._some = asyncio.Event()

    def send(self, message: bytes) -> None:
        """Send a text message; never waits."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)
        self._some.set()

    async def write(self) -> None:
        """Send what waits, for ever."""
        waiting, some, socket = self._waiting, self._some, self._socket
        try:
            while True:
                await some.wait()
                some.clear()
                while waiting:
                    await socket.send_frame(waiting.popleft(), WSMsgType.TEXT)
        except (ConnectionError, aiohttp.ClientError):
            return  # `messages` ends for the same reason

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
