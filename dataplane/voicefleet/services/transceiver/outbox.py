"""What waits to be sent on a WebSocket: never holds up who says it, and ends a connection that takes too little."""

import asyncio
from collections import deque
from typing import Final

from aiohttp import web

MOST_WAITING: Final = 8 * 1024 * 1024
"""Characters: two minutes of speech as base64."""
LAST_WORDS: Final = 2.0
"""Seconds for what waits at the end."""


class Outbox:
    """Belongs to the event loop; `write` is to be run beside reading."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting: deque[str] = deque()
        self._size = 0
        self._some = asyncio.Event()
        self._ending = False
        self.overflowed = False

    def put(self, message: str) -> bool:
        """Send it soon; false when too much waits already, which ends the connection."""
        if self.overflowed or self._ending:
            return False
        if self._size + len(message) > MOST_WAITING:
            self.overflowed = True
        else:
            self._size += len(message)
            self._waiting.append(message)
        self._some.set()
        return not self.overflowed

    def end(self) -> None:
        """Nothing more will be said."""
        self._ending = True
        self._some.set()

    @property
    def empty(self) -> bool:
        """Whether all was sent."""
        return not self._waiting

    async def write(self) -> None:
        """Send what waits, until `end` or until the other side takes no more."""
        waiting, socket = self._waiting, self._socket
        try:
            while not self.overflowed:
                while waiting and not self.overflowed:
                    message = waiting.popleft()
                    await socket.send_str(message)
                    self._size -= len(message)
                if self._ending:
                    return
                self._some.clear()
                if not waiting:
                    await self._some.wait()
        except ConnectionError:
            return  # whoever reads notices as well
