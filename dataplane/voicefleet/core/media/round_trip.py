"""The round trip, smoothed as TCP does it (RFC 6298).

Report blocks give the exact one (RFC 3550, 6.4.1); until one has come, a retransmission's answer time stands in for it.
"""

from typing import Final

from voicefleet.core.media.patience import FIRST_GUESS

_MOST: Final = 10.0
"""A longer one is a lying report or a clock that was set."""


class RoundTrip:
    """One call's round trip in seconds."""

    __slots__ = ("_exact", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._exact = False

    @property
    def or_guess(self) -> float:
        """For timers, which need a value from the start."""
        return FIRST_GUESS if self.value is None else self.value

    def measured(self, sample: float) -> None:
        """A report block came back."""
        if not self._exact:
            self._exact, self.value = True, None
        self._smooth(sample)

    def estimated(self, sample: float) -> None:
        """A retransmission came; it counts until a report block says better."""
        if not self._exact:
            self._smooth(sample)

    def _smooth(self, sample: float) -> None:
        if not 0.0 <= sample <= _MOST:
            return
        if self.value is None:
            self.value = sample
        else:
            self.value += (sample - self.value) / 8
