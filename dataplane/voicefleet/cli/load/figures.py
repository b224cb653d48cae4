"""What a load measured: pure, and small however long it lasts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

BIN: Final = 0.0001
"""Seconds. Times are counted in steps of a tenth of a millisecond, which is finer than they repeat."""


class Times:
    """Many times, of which only the distribution is kept."""

    __slots__ = ("_bins", "count")

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self.count = 0

    def add(self, seconds: float) -> None:
        """One more."""
        self._bins[max(0, round(seconds / BIN))] += 1
        self.count += 1

    def merge(self, other: "Times") -> None:
        """All of another's."""
        self._bins.update(other._bins)
        self.count += other.count

    def quantile(self, share: float) -> float | None:
        """The time that this share of them does not exceed, in seconds."""
        seen = 0
        for step, count in sorted(self._bins.items()):
            seen += count
            if seen >= share * self.count:
                return step * BIN
        return None


@dataclass(slots=True)
class CallFigures:
    """One call. Times in seconds."""

    setup: float | None = None
    """From the offer to the first audio that came back."""
    sent: int = 0
    """Frames that were said, of those that had the time to come back."""
    came_back: int = 0
    """Frames that the agent said back."""
    received: int = 0
    """Packets of audio."""
    expected: int = 0
    """Packets of audio by their numbers."""
    round_trips: Times = field(default_factory=Times)
    """Of checks: client, relay, transceiver and back."""
    echoes: Times = field(default_factory=Times)
    """From a frame's way out to its way in, with everything that the transceiver does."""
    gaps: Times = field(default_factory=Times)
    """Between one packet of audio and the next."""
    longest_gap: float = 0.0
    failure: str | None = None
    """Why it was no call, or stopped being one."""

    @property
    def lost(self) -> int:
        """Frames that did not come back; packets, where the agent does not say them back."""
        if self.came_back:
            return max(0, self.sent - self.came_back)
        return max(0, self.expected - self.received)

    @property
    def of(self) -> int:
        """What `lost` is a part of."""
        return self.sent if self.came_back else self.expected


@dataclass(frozen=True, slots=True)
class Limits:
    """What a load may show at most; None does not limit. Times in milliseconds, loss in percent."""

    failed: int = 0
    loss: float | None = None
    setup: float | None = None
    round_trip: float | None = None
    gap: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A load as a whole; the keys of `document` are what scripts read."""

    calls: int
    failures: dict[str, int]
    setup: Times
    round_trips: Times
    echoes: Times
    gaps: Times
    longest_gap: float
    lost: int
    of: int
    processor: float
    """Milliseconds of this program's processor time for one second of one call."""

    @property
    def loss_percent(self) -> float:
        """What was lost."""
        return 100 * self.lost / self.of if self.of else 0.0

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "calls": self.calls,
            "failed": sum(self.failures.values()),
            "failures": self.failures,
            "setupMs": _quantiles(self.setup),
            "roundTripMs": _quantiles(self.round_trips),
            "echoMs": _quantiles(self.echoes),
            "gapMs": _quantiles(self.gaps) | {"max": round(1000 * self.longest_gap, 1)},
            "frames": self.of,
            "lost": self.lost,
            "lossPercent": round(self.loss_percent, 4),
            "ownProcessorMsPerCallSecond": round(self.processor, 2),
        }

    def beyond(self, limits: Limits) -> list[str]:
        """What is beyond its limit, in words."""
        failed = sum(self.failures.values())
        found = (
            [f"{failed} of {self.calls} calls failed, at most {limits.failed} may"] if failed > limits.failed else []
        )
        for name, measured, limit, unit in (
            ("loss", self.loss_percent, limits.loss, "%"),
            ("p99 of set-up", _ms(self.setup.quantile(0.99)), limits.setup, " ms"),
            ("p99 of the round trip", _ms(self.round_trips.quantile(0.99)), limits.round_trip, " ms"),
            ("p99 of gaps", _ms(self.gaps.quantile(0.99)), limits.gap, " ms"),
        ):
            if limit is not None and measured is None:
                found.append(f"{name} was not measured: no call got so far")
            elif limit is not None and measured is not None and measured > limit:
                found.append(f"{name} is {measured:g}{unit}, at most {limit:g}{unit} is allowed")
        return found


def report(calls: Iterable[CallFigures], processor: float) -> Report:
    """All calls together; `processor` in seconds."""
    calls = list(calls)
    setup, round_trips, echoes, gaps = Times(), Times(), Times(), Times()
    for each in calls:
        if each.setup is not None:
            setup.add(each.setup)
        round_trips.merge(each.round_trips)
        echoes.merge(each.echoes)
        gaps.merge(each.gaps)
    seconds = sum(each.sent for each in calls) * 0.02
    return Report(
        calls=len(calls),
        failures=dict(Counter(each.failure for each in calls if each.failure is not None)),
        setup=setup,
        round_trips=round_trips,
        echoes=echoes,
        gaps=gaps,
        longest_gap=max((each.longest_gap for each in calls), default=0.0),
        lost=sum(each.lost for each in calls),
        of=sum(each.of for each in calls),
        processor=1000 * processor / seconds if seconds else 0.0,
    )


def _quantiles(times: Times) -> dict[str, float | None]:
    return {name: _ms(times.quantile(share)) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
