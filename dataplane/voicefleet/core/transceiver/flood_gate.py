"""How much data-channel traffic one call may bring: what is too much is dropped, which SCTP takes as congestion and
slows down for; who goes on all the same is told off. Audio does not pass here.

A packet through SCTP in Python costs about 0.2 ms, so a thousand a second would be a fifth of a core.
"""

from enum import Enum
from typing import Final

RATE: Final = 300.0
"""Packets a second, sustained: 2.8 Mbit/s, fifty times what events and typed text need."""
BURST: Final = 600.0
"""Packets at once: an image of half a megabyte."""
PATIENCE: Final = 2000
"""Dropped packets after which it is a flood: a sender that obeys congestion control never comes near."""
FORGIVEN: Final = 50.0
"""Dropped packets forgiven a second."""


class Verdict(Enum):
    """What to do with a packet."""

    TAKE = "take"
    DROP = "drop"
    CLOSE = "close"


class FloodGate:
    """A token bucket, and a memory of how often it was empty."""

    __slots__ = ("_guilt", "_last", "_tokens", "dropped")

    def __init__(self, now: float) -> None:
        self._last = now
        self._tokens = BURST
        self._guilt = 0.0
        self.dropped = 0

    def weigh(self, now: float) -> Verdict:
        """One packet has come."""
        passed = max(0.0, now - self._last)
        self._last = now
        self._tokens = min(BURST, self._tokens + passed * RATE)
        self._guilt = max(0.0, self._guilt - passed * FORGIVEN)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return Verdict.TAKE
        self.dropped += 1
        self._guilt += 1.0
        return Verdict.CLOSE if self._guilt > PATIENCE else Verdict.DROP
