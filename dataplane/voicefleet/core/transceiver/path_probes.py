"""The round trips of one call's paths, measured by Binding requests of our own that clients answer as ICE makes them.

An ICE-lite side need not check anything, but nothing forbids it to ask: a full agent answers every authentic request
(RFC 8445 section 7.3), whichever path its media takes. So one call tells how far the client is from each relay that it
was offered, also from those that it does not use. A series starts with a check of the client's, each answer sends the
next request, and the shortest counts: what delays a packet is not distance. Pure.
"""

from dataclasses import dataclass, field
from typing import Final

from voicefleet.core.ice_lite import MAX_PATHS, Path
from voicefleet.wire import stun
from voicefleet.wire.errors import WireError
from voicefleet.wire.stun import BINDING, Class, Message

SERIES: Final = 3
"""Requests of a series."""
AGAIN: Final = 60.0
"""Seconds until a path is measured again, as calls go on."""
LOST: Final = 1.5
"""Seconds after which an unanswered request is given up; the client's next check sends another one."""
TRIES: Final = 6
"""Requests of one series at most: a client that answers none is left alone until the next series."""
PRIORITY: Final = 0x6EFFFFFF
"""Of a peer-reflexive candidate (RFC 8445 section 5.1.2.1), as a request has to name one; the path is known already."""


@dataclass(slots=True)
class _Series:
    started_at: float
    transaction: bytes = b""
    sent_at: float = 0.0
    sent: int = 0
    answered: int = 0
    shortest: float = float("inf")

    @property
    def over(self) -> bool:
        return self.answered >= SERIES or (not self.transaction and self.sent >= TRIES)


@dataclass(slots=True)
class PathProbes:
    """What is asked and heard on the paths of one call under one pair of credentials."""

    user: str
    """The client's user name fragment and ours, as a request to it names them."""
    password: bytes
    """The client's: its answers are signed with it."""
    tie_breaker: int
    _series: dict[Path, _Series] = field(default_factory=dict)

    def on_check(self, path: Path, transaction: bytes, now: float) -> bytes | None:
        """The client has checked this path: the request to send along, if it is time for one."""
        series = self._series.get(path)
        if series is None or now - series.started_at >= AGAIN:
            if series is None and len(self._series) >= MAX_PATHS:
                del self._series[next(iter(self._series))]
            series = self._series[path] = _Series(now)
        if series.transaction and now - series.sent_at >= LOST:
            series.transaction = b""
        return None if series.transaction or series.over else self._request(series, transaction, now)

    def on_answer(self, path: Path, packet: bytes, transaction: bytes, now: float) -> tuple[float | None, bytes | None]:
        """A Binding response came: the path's round trip if the series is complete, or else the next request."""
        series = self._series.get(path)
        if series is None or not series.transaction or packet[8:20] != series.transaction:
            return None, None
        try:
            answer = stun.decode(packet)
        except WireError:
            return None, None
        if answer.cls is not Class.SUCCESS or answer.method != BINDING or answer.integrity_at is None:
            return None, None
        if not stun.integrity_ok(packet, answer.integrity_at, self.password):
            return None, None
        series.transaction = b""
        series.answered += 1
        series.shortest = min(series.shortest, now - series.sent_at)
        if series.answered >= SERIES:
            return series.shortest, None
        return None, None if series.over else self._request(series, transaction, now)

    def _request(self, series: _Series, transaction: bytes, now: float) -> bytes:
        series.transaction, series.sent_at = transaction, now
        series.sent += 1
        message = Message(
            Class.REQUEST,
            BINDING,
            transaction,
            username=self.user,
            priority=PRIORITY,
            ice_controlled=self.tie_breaker,
        )
        return stun.encode(message, self.password)
