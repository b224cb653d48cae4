"""A call's DTLS association on the event loop: what comes, what leaves, and the timer that repeats what was lost.

Its first flight leaves on the media loop, together with the answer to the first check. Whoever owns it is told of three
moments, each once: there are keys for media, data can flow, it is over.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from voicefleet.net.dtls import Dtls, DtlsState
from voicefleet.net.srtp import Srtp
from voicefleet.services.transceiver.record import EndCause


class HandshakeEvents(Protocol):
    """What the owner is told."""

    def on_media_keys(self, srtp: Srtp, now: float) -> None:
        """Media can flow, a round trip before data can."""

    def on_secured(self, now: float) -> None:
        """The handshake is done: data can flow."""

    def end(self, cause: EndCause, reason: str) -> None:
        """It failed, or the client closed it."""


class Handshake:
    """Owns the timer of one `Dtls`; `transmit` sends its datagrams. Nothing happens after `close`."""

    def __init__(self, dtls: Dtls, events: HandshakeEvents, transmit: Callable[[Sequence[bytes]], None]) -> None:
        self.dtls = dtls
        self.done_at: float | None = None
        self._events = events
        self._transmit = transmit
        self._timer: asyncio.TimerHandle | None = None
        self._keyed = self._closed = False

    def begun(self, now: float) -> None:
        """The first flight has left."""
        self._expect_timeout(now)

    def on_datagram(self, datagram: bytes, now: float) -> list[bytes]:
        """Take a datagram; the data in it. To be followed by `go_on` when they have been looked at."""
        return self.dtls.on_datagram(datagram, now)

    def go_on(self, now: float) -> None:
        """Send what there is to send, and tell what has changed."""
        self._flush(now)
        self._look(now)

    def send(self, data: bytes) -> None:
        """Protect and send data."""
        self.dtls.send(data)
        self._flush(asyncio.get_running_loop().time())

    def close(self, now: float) -> Sequence[bytes]:
        """The last datagrams: close_notify."""
        self._closed = True
        self._forget_timer()
        self.dtls.close()
        return self.dtls.outgoing(now)

    def _look(self, now: float) -> None:
        dtls = self.dtls
        if dtls.srtp is not None and not self._keyed and dtls.state in (DtlsState.HANDSHAKE, DtlsState.CONNECTED):
            self._keyed = True
            self._events.on_media_keys(dtls.srtp, now)
        if dtls.state is DtlsState.CONNECTED:
            if self.done_at is None:
                self.done_at = now
                self._forget_timer()
                self._events.on_secured(now)
        elif dtls.state is DtlsState.FAILED:
            self._events.end(EndCause.HANDSHAKE, f"DTLS failed: {dtls.failure}")
        elif dtls.state is DtlsState.CLOSED:
            self._events.end(EndCause.CLIENT_LEFT, "the client hung up")
        else:
            self._expect_timeout(now)

    def _expect_timeout(self, now: float) -> None:
        self._forget_timer()
        due = self.dtls.deadline(now)
        if due is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_at(due, self._on_timeout)

    def _on_timeout(self) -> None:
        now = asyncio.get_running_loop().time()
        self._send_out(self.dtls.on_timeout(now))
        self._look(now)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self, now: float) -> None:
        self._send_out(self.dtls.outgoing(now))

    def _send_out(self, datagrams: Sequence[bytes]) -> None:
        if datagrams:
            self._transmit(datagrams)
