"""How busy a worker is and how late its clock runs, over the last seconds: what admission goes by.

Fed with counters that only grow, at every look; it forgets what is older than its window.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

WINDOW: Final = 4.0
"""Seconds: long enough for a hundred departures of a single call, short enough for the next call to know."""
ENOUGH: Final = 200
"""Departures below which lateness says more about the machine's moods than about us."""
QUANTILE: Final = 0.99
LATENESS_BOUNDS: Final = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.010, 0.020, 0.050)
"""Seconds; upper bounds of the buckets that turns are counted in by how late they came to a deadline."""


class Measured(NamedTuple):
    """The last seconds."""

    cpu: float
    """Cores used."""
    clock_error: float
    """Seconds; the upper bound of the bucket that 99% of departures lie below; 0 if there were too few."""


class _Sample(NamedTuple):
    at: float
    cpu: float
    late: tuple[int, ...]


class LoadMeter:
    """One worker's."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: upper bounds of the lateness buckets; the last bucket is open."""
        self._bounds = tuple(bounds)
        self._samples: deque[_Sample] = deque()

    def look(self, now: float, cpu: float, late: Sequence[int]) -> Measured:
        """Take the counters as they are now: seconds of CPU used, and departures by how late they were."""
        samples = self._samples
        samples.append(_Sample(now, cpu, tuple(late)))
        while samples[0].at < now - WINDOW and len(samples) > 2:
            samples.popleft()
        first = samples[0]
        passed = now - first.at
        if passed <= 0.0:
            return Measured(0.0, 0.0)
        counts = [after - before for after, before in zip(late, first.late, strict=True)]
        return Measured((cpu - first.cpu) / passed, self._quantile(counts))

    def _quantile(self, counts: list[int]) -> float:
        sums = list(accumulate(counts))
        if sums[-1] < ENOUGH:
            return 0.0
        bucket = bisect_left(sums, QUANTILE * sums[-1])
        return self._bounds[bucket] if bucket < len(self._bounds) else 2 * self._bounds[-1]
