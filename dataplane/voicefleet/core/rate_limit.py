"""How often something may happen: a steady rate with a burst, for many names in bounded memory. Pure.

The generic cell rate algorithm: one number a name, the time at which the next would be due if all came evenly. A name
that was quiet long enough needs no memory at all.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

NAMES: Final = 100_000
"""Names remembered, some 15 MB; whoever makes up more of them pushes out the quietest, and gains a burst by that."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second on average, and so many at once."""

    per_second: float
    burst: int

    @property
    def interval(self) -> float:
        """Seconds between two at the steady rate."""
        return 1.0 / self.per_second


class RateLimiter:
    """The state of one rate for each name."""

    def __init__(self, rate: Rate, names: int = NAMES) -> None:
        self.rate = rate
        self._limit = names
        self._due: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def take(self, name: str, now: float) -> float:
        """0 if it may happen now, and it counts then; else the seconds until it may."""
        interval = self.rate.interval
        due = max(self._due.get(name, now), now)
        wait = due - now - interval * (self.rate.burst - 1)
        if wait > 1e-9:
            return wait
        self._due[name] = due + interval
        self._due.move_to_end(name)
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        while self._due:
            name = next(iter(self._due))
            if self._due[name] > now and len(self._due) <= self._limit:
                break
            del self._due[name]
