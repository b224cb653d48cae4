"""A network path that loses, delays, reorders and duplicates: pure, seeded, on a virtual clock.

`send` puts a datagram on the path, `arrived` takes off what has come by then. The same seed and the same sends give the
same arrivals, so a failure can be looked at again.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple


@dataclass(frozen=True)
class Bursts:
    """Loss that comes in bursts (Gilbert): mean share of packets lost, and mean length of a burst in packets."""

    share: float
    length: float

    @property
    def to_bad(self) -> float:
        return self.share / (self.length * (1 - self.share))

    @property
    def to_good(self) -> float:
        return 1 / self.length


@dataclass(frozen=True)
class Impairment:
    """What a path does, one way. Times in seconds."""

    delay: float = 0.0
    jitter: float = 0.0
    """Each packet takes 0 to `jitter` longer, each for itself: that reorders when it is longer than the spacing."""
    loss: float = 0.0
    bursts: Bursts | None = None
    """Instead of `loss`."""
    reordering: float = 0.0
    """Share of packets that take `detour` longer."""
    detour: float = 0.03
    duplication: float = 0.0


class Fate(NamedTuple):
    """Of one packet."""

    lost: bool
    late: float
    """Seconds on the way."""
    twice: bool


class ImpairedPath:
    """One direction. `fate`, where given, decides of each packet by its index whether it is lost, instead of chance."""

    def __init__(self, impairment: Impairment, random: Random, fate: Callable[[int], bool] | None = None) -> None:
        self.impairment = impairment
        self._random = random
        self._fate = fate
        self._bad = False
        self._flying: list[tuple[float, int, bytes]] = []
        self.sent = self.lost = 0

    def send(self, datagram: bytes, now: float) -> None:
        fate = self.draw()
        if self._fate is not None:
            fate = fate._replace(lost=self._fate(self.sent))
        self.put(datagram, now, fate)

    def draw(self) -> Fate:
        """What happens to the next packet."""
        # Always the same number of draws, so that one packet's fate does not depend on the impairments of others.
        luck, detour, jitter, twice = (self._random.random() for _ in range(4))
        path = self.impairment
        late = path.delay + path.jitter * jitter + (path.detour if detour < path.reordering else 0.0)
        return Fate(self._lost(luck), late, twice < path.duplication)

    def put(self, datagram: bytes, now: float, fate: Fate) -> None:
        """Send a packet whose fate is known."""
        index, self.sent = self.sent, self.sent + 1
        if fate.lost:
            self.lost += 1
            return
        heapq.heappush(self._flying, (now + fate.late, index, datagram))
        if fate.twice:
            heapq.heappush(self._flying, (now + fate.late + 0.002, index, datagram))

    def _lost(self, luck: float) -> bool:
        bursts = self.impairment.bursts
        if bursts is None:
            return luck < self.impairment.loss
        self._bad = luck >= bursts.to_good if self._bad else luck < bursts.to_bad
        return self._bad

    def next_arrival(self) -> float:
        return self._flying[0][0] if self._flying else float("inf")

    def arrived(self, now: float) -> list[tuple[float, bytes]]:
        """Time and datagram of each that has come by `now`, in the order of coming."""
        came = []
        while self._flying and self._flying[0][0] <= now:
            at, _, datagram = heapq.heappop(self._flying)
            came.append((at, datagram))
        return came
