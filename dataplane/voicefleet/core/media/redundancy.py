"""How much redundancy the downlink carries: a decision from what the caller's side reports, and nothing else.

A `RedundancyPolicy` sees a `DownlinkReport` now and then and says a `Redundancy`; anything with that method can stand
in for the one here. Redundancy costs bits, so it starts when loss is there, goes up at once and comes down slowly, and
does not go up while the path looks full: larger packets into a full queue make more loss.
"""

from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class DownlinkReport:
    """One receiver report about our audio, or a burst of NACKs between two of them."""

    loss: float
    """Share of packets lost in the interval, 0..1, before any recovery."""
    round_trip: float | None = None


@dataclass(frozen=True, slots=True)
class Redundancy:
    """What the sender shall do, where it was negotiated."""

    copies: int = 0
    """Earlier frames in each packet (RED, RFC 2198)."""
    fec_loss: int = 0
    """Expected loss in percent, for an Opus encoder's in-band FEC; 0 turns it off. No use for passed-through audio."""


class RedundancyPolicy(Protocol):
    """Decides; keeps what it needs to know of the past."""

    def decide(self, report: DownlinkReport, now: float) -> Redundancy:
        """What to do from now on."""
        ...


FEC_AT: Final = 0.01
ONE_COPY_AT: Final = 0.02
TWO_COPIES_AT: Final = 0.08
"""One copy leaves loss squared: 0.6% of 8%. Above, a second one is worth its bits, and losses come in bursts."""
CALM: Final = 10.0
"""Seconds with less than half the loss before redundancy is taken back one step."""
_FULL: Final = 3.0
"""A round trip this many times its best means that a queue is full."""
_FULL_AT_LEAST: Final = 0.25


class SteppedRedundancy:
    """Steps by smoothed loss: none, in-band FEC, one copy, two copies."""

    __slots__ = ("_best_round_trip", "_calm_since", "_loss", "_step")

    def __init__(self) -> None:
        self._loss = 0.0
        self._step = 0
        self._calm_since: float | None = None
        self._best_round_trip = float("inf")

    def decide(self, report: DownlinkReport, now: float) -> Redundancy:
        """Up at once, down by one step after `CALM` seconds."""
        # A loud report counts at once, a quiet one only in part: losses come in bursts with calm between them.
        loss = min(1.0, max(0.0, report.loss))
        self._loss = loss if loss > self._loss else self._loss + (loss - self._loss) * 0.3
        wanted = _step(self._loss)
        if wanted > self._step:
            self._calm_since = None
            if not self._full(report.round_trip) or self._step == 0:
                self._step = wanted
        elif _step(self._loss * 2) < self._step:
            if self._calm_since is None:
                self._calm_since = now
            elif now - self._calm_since >= CALM:
                self._step -= 1
                self._calm_since = now
        else:
            self._calm_since = None
        percent = min(30, max(1, round(self._loss * 100))) if self._step else 0
        return Redundancy(max(0, self._step - 1), percent)

    def _full(self, round_trip: float | None) -> bool:
        if round_trip is None:
            return False
        self._best_round_trip = min(self._best_round_trip, round_trip)
        return round_trip > max(_FULL_AT_LEAST, _FULL * self._best_round_trip)


def _step(loss: float) -> int:
    return (loss >= FEC_AT) + (loss >= ONE_COPY_AT) + (loss >= TWO_COPIES_AT)
