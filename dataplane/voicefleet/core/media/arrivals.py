"""Transport-wide feedback (transport-cc): when each of the caller's packets came, for the caller's own rate control.

Only packets that arrived are kept; a report says which of the numbers between them did not.
"""

from typing import Final

from voicefleet.wire.sequence import extend_sequence
from voicefleet.wire.transport_feedback import DELTA_TICK_US, REFERENCE_TICK_US, Arrival, TransportFeedback

INTERVAL: Final = 0.25
"""Seconds between reports: what libwebrtc chooses for a path of voice alone (50 to 250 ms, by its bit rate)."""
_MOST: Final = 512
"""Arrivals kept between two reports; a flood beyond them goes unreported."""
_WIDEST: Final = 0x7FFF
"""Numbers in one report: fewer than half the circle, so that they have an order."""


class Arrivals:
    """Collects arrivals of one call, over all its SSRCs."""

    __slots__ = ("_base", "_count", "_highest", "_times", "due_at")

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        self._highest = -1
        self._base = -1
        self._count = 0
        self.due_at = float("inf")
        """When `report` should be called."""

    def add(self, sequence: int, now: float) -> None:
        """A packet with this transport-wide sequence number came."""
        if self._highest < 0:
            number = self._base = sequence + 0x10000
        else:
            number = extend_sequence(sequence, self._highest)
        if number > self._highest:
            self._highest = number
        if len(self._times) < _MOST:
            self._times.setdefault(number, now)
            if self.due_at == float("inf"):
                self.due_at = now + INTERVAL

    def report(self, sender_ssrc: int, media_ssrc: int) -> TransportFeedback | None:
        """What came since the last report, none if nothing did."""
        self.due_at = float("inf")
        if not self._times:
            return None
        numbers = sorted(self._times)
        last = numbers[-1]
        numbers = [number for number in numbers if last - number < _WIDEST]
        # From where the last report ended, so that losses between two reports show; earlier only for stragglers.
        first = min(numbers[0], self._base) if last - self._base < _WIDEST else numbers[0]
        ticks_per_reference = REFERENCE_TICK_US // DELTA_TICK_US
        reference = int(self._times[numbers[0]] * 1e6) // REFERENCE_TICK_US
        previous = reference * ticks_per_reference
        arrivals = []
        for number in numbers:
            ticks = int(self._times[number] * 1e6) // DELTA_TICK_US
            delta = max(-0x8000, min(0x7FFF, ticks - previous))
            arrivals.append(Arrival(number & 0xFFFF, delta))
            previous += delta
        self._times.clear()
        self._base = last + 1
        count, self._count = self._count, (self._count + 1) & 0xFF
        reference = (reference + 0x800000 & 0xFFFFFF) - 0x800000
        return TransportFeedback(
            sender_ssrc, media_ssrc, first & 0xFFFF, last - first + 1, reference, count, tuple(arrivals)
        )
