"""Which model server a call goes to: the first in the list that is well, has room, and may be asked again.

Each has a limit of calls at a time and of new ones a minute. One that failed is left alone for a while, which grows
with each failure, or for as long as it asked for; after that one call tries it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from voicefleet.core.model.back_off import BackOff
from voicefleet.core.rate_limit import Rate, RateLimiter

BACK_OFF: Final = BackOff(first=0.5, most=30.0)
LONGEST_REST: Final = 300.0
"""Seconds that an endpoint may ask to be left alone for; beyond that it is asked all the same."""
_FULL: Final = 0.25
"""Seconds until it is worth asking for room again: calls end without notice."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one endpoint takes from one worker."""

    calls: int | None = None
    """At a time."""
    rate: Rate | None = None
    """New ones."""


@dataclass(frozen=True, slots=True)
class Busy:
    """None is free; in how many seconds it is worth asking again, and why."""

    wait: float
    why: str


class Endpoint:
    """One model server as a worker knows it."""

    def __init__(self, url: str, limits: Limits) -> None:
        self.url = url
        self.limits = limits
        self.calls = 0
        self.failures = 0
        """In a row."""
        self.refused_until = float("-inf")
        self.trying = False
        """A call finds out whether it is well again."""
        self.why = ""
        self.counted: Counter[str] = Counter(dict.fromkeys(("connected", "failed", "lost"), 0))
        """Sessions that began, tries that came to nothing, sessions that broke off."""
        self.seconds = 0.0
        """That the sessions took to begin, all together."""
        self._rate = RateLimiter(limits.rate, names=1) if limits.rate is not None else None

    @property
    def well(self) -> bool:
        """Its last answer was a good one."""
        return self.failures == 0

    def busy(self, now: float) -> Busy | None:
        """Why a call can't go there now; None takes a place."""
        if now < self.refused_until:
            return Busy(self.refused_until - now, self.why)
        if self.limits.calls is not None and self.calls >= self.limits.calls:
            return Busy(_FULL, f"all {self.limits.calls} places are taken")
        if not self.well and self.trying:
            return Busy(_FULL, self.why)
        wait = self._rate.take("", now) if self._rate is not None else 0.0
        if wait > 0.0:
            return Busy(wait, "as many new sessions as it takes in this time have begun")
        self.calls += 1
        self.trying = not self.well
        return None


class Endpoints:
    """All that there are, in the order in which they are to be used."""

    def __init__(self, endpoints: Sequence[Endpoint], random: Random) -> None:
        self.all = tuple(endpoints)
        self._random = random

    def take(self, now: float) -> Endpoint | Busy:
        """A place at an endpoint, to be given back by `leave`; or when to ask again."""
        busy = []
        for endpoint in self.all:
            why = endpoint.busy(now)
            if why is None:
                return endpoint
            busy.append(why)
        return min(busy, key=lambda each: each.wait)

    def answered(self, endpoint: Endpoint) -> None:
        """It took the call."""
        endpoint.failures, endpoint.trying = 0, False

    def failed(self, endpoint: Endpoint, why: str, now: float, rest: float | None = None) -> None:
        """It did not, or lost it; `rest` is how long it asked to be left alone."""
        endpoint.failures += 1
        endpoint.trying = False
        endpoint.why = why
        wait = BACK_OFF.wait(endpoint.failures, self._random)
        endpoint.refused_until = now + max(wait, min(rest or 0.0, LONGEST_REST))

    def leave(self, endpoint: Endpoint) -> None:
        """The place is free again."""
        endpoint.calls -= 1
