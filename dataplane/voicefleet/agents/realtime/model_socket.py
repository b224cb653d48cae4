"""One WebSocket to a model: what is sent waits in order, never holds up who sends it, and is bounded.

What the model says is handed over where it is read, and what is sent is written where it is said: a task that is woken
for each message costs as much as the message, and there are sixty of them a call and second.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Final

from picows import WSCloseCode, WSError, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

MOST_WAITING: Final = 2000
"""Messages that wait for a model that takes none: 40 s of a caller's sound."""
LARGEST: Final = 64 * 1024 * 1024
"""Octets of a message, or of a part of one."""
IDLE: Final = 15.0
"""Seconds after which a model that says nothing is asked whether it is there; half of that without an answer and it is
lost."""
REST: Final = 0.5
"""Seconds for which a model that says too much is not read."""
CLOSING: Final = 1.0
"""Seconds for a model to say goodbye."""
_TEXT: Final = WSMsgType.TEXT
_LOG: Final = logging.getLogger("voicefleet.model_socket")
_LOG.setLevel(logging.ERROR)  # that a model came or went is told by who wanted it


class Refused(Exception):
    """The server answers, but opens no WebSocket."""

    def __init__(self, status: int, retry_after: str) -> None:
        super().__init__(f"the model server answered {status}")
        self.retry_after = retry_after


class ModelSocket(WSListener):
    """Belongs to the event loop on which it was opened."""

    def __init__(self, url: str, since: float, leave: Callable[[], None]) -> None:
        self.url = url
        self.since = since
        """When it was asked for, of the loop's clock."""
        self.dropped = 0
        """Messages that were given up, the oldest first."""
        self._leave = leave
        self._transport: WSTransport | None = None
        self._abandoned = False
        self._congested = False
        self._waiting: deque[bytes] = deque()
        """What the connection does not take at the moment."""
        self._arrived: deque[bytes] = deque()
        """What nobody has asked for yet."""
        self._parts: list[bytes] = []
        """Of a message that comes in several frames."""
        self._take: Callable[[bytes], None] = self._keep
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    async def open(
        self, address: str, headers: Mapping[str, str], patience: float, tls: SSLContext | None = None
    ) -> None:
        """Connect; raises `Refused`, TimeoutError or OSError. `tls` is for an address that begins with wss."""
        try:
            async with asyncio.timeout(patience):
                await ws_connect(
                    lambda _request, _response: self,
                    address,
                    ssl_context=tls,
                    extra_headers=headers,
                    websocket_handshake_timeout=patience,
                    logger_name=_LOG,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=IDLE,
                    auto_ping_reply_timeout=IDLE / 2,
                    max_frame_size=LARGEST,
                    max_redirects=0,  # the key is for this server and for no other
                    happy_eyeballs_delay=0.25,
                    use_aiofastnet=False,
                )
        except WSHandshakeError as error:
            answer = error.response
            if answer is None:
                raise ConnectionError(str(error)) from error
            raise Refused(answer.status, answer.headers.get("Retry-After", "")) from error
        except WSError as error:
            raise ConnectionError(str(error)) from error
        except BaseException:
            self._abandoned = True  # the server's answer may still come
            raise
        if self._transport is None:
            raise ConnectionError("the connection ended before the server answered")

    def send(self, message: bytes) -> None:
        """Send a text message; never waits."""
        if not self._congested and self._transport is not None:
            self._transport.send(_TEXT, message)
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(message)

    async def next(self) -> bytes | None:
        """The next message, until they are handed over; None when the connection has ended."""
        while not self._arrived:
            if self._over.is_set():
                return None
            self._news.clear()
            await self._news.wait()
        return self._arrived.popleft()

    async def hand_over(self, take: Callable[[bytes], None]) -> None:
        """Have each message taken as it comes, until the connection ends."""
        while self._arrived:
            take(self._arrived.popleft())
        self._take = take
        await self._over.wait()

    def rest(self) -> None:
        """Read nothing for a moment, which slows the model down."""
        if self._transport is not None and self._transport.underlying_transport.is_reading():
            self._transport.underlying_transport.pause_reading()
            asyncio.get_running_loop().call_later(REST, self._read_on)

    @property
    def end(self) -> str:
        """How it ended, for logs."""
        shaken = self._transport.close_handshake if self._transport is not None else None
        if shaken is None or shaken.recv is None:
            return f"close code {WSCloseCode.ABNORMAL_CLOSURE.value}"
        return f"close code {shaken.recv.code:d}"

    async def close(self) -> None:
        """Give the place back and say goodbye; what the model still says is nobody's."""
        self._leave()
        self._take = lambda _message: None
        transport = self._transport
        if transport is None:
            return
        try:
            async with asyncio.timeout(CLOSING):
                transport.send_close(WSCloseCode.OK)
                await transport.wait_disconnected()
        except TimeoutError:
            transport.disconnect(graceful=False)
        except WSError:
            pass  # what was wrong with it has been told by `end`

    # What the connection tells (picows.WSListener).

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The server has agreed."""
        if self._abandoned:
            transport.disconnect()
        else:
            self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A message, a part of one, or a goodbye."""
        kind = frame.msg_type
        if kind is _TEXT and frame.fin:
            self._take(frame.get_payload_as_bytes())
        elif kind is _TEXT or (kind is WSMsgType.CONTINUATION and self._parts):
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                whole, self._parts = b"".join(self._parts), []
                self._take(whole)
        elif kind is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It has ended, whoever wanted it."""
        self._over.set()
        self._news.set()

    def pause_writing(self) -> None:
        """The model takes less than is sent."""
        self._congested = True

    def resume_writing(self) -> None:
        """It takes more."""
        self._congested = False
        while self._waiting and not self._congested:
            self.send(self._waiting.popleft())

    def _keep(self, message: bytes) -> None:
        self._arrived.append(message)
        self._news.set()

    def _read_on(self) -> None:
        transport = self._transport
        if transport is not None and not transport.underlying_transport.is_closing():
            transport.underlying_transport.resume_reading()
