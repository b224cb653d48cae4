"""The world of the simulation: where clients and pools really are and what round trips really take.

Steering sees nothing of it but what the database says and what calls measure. Each network has an access delay of its
own; each pair of network and pool a detour of cables of its own (1.15 to 2 times light's time in glass, so pools are
not ordered by distance); each call the queue of its own line. A misplaced network stands, by the database, in another
metropolis at least 1,500 km away.
"""

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from tests.bench.steering.cities import METROPOLISES, POOLS
from voicefleet.core.place import Place, at_distance, distance_km

MISPLACED: Final = 0.10
MISPLACED_KM: Final = 1500.0
GLASS_MS_PER_KM: Final = 0.010
"""Round trip of light in glass."""
DETOUR: Final = (1.15, 2.0, 1.45)
"""Shortest, longest and usual way of cables by the straight line."""
ACCESS_MS: Final = 11.0
ACCESS_SPREAD: Final = 0.5
JITTER_MS: Final = 2.0
"""Of one round trip; a call measures three on each path and takes the shortest."""
BUSY: Final = 0.05
BUSY_MS: Final = 30.0
"""A call in twenty shares its line with a download, which delays all that it measures by so much on average."""

CHECK_EVERY_MS: Final = 48.0
"""Chromium's pace of checks; what it has not checked when a relay answers, it never checks."""


class Network(NamedTuple):
    """A client network, and the round trip from it to each pool in milliseconds."""

    name: str
    told: Place
    misplaced: bool
    floor: dict[str, float]


class World:
    """Networks, and the clients in them."""

    def __init__(self, clients: int, networks: int, random: Random) -> None:
        self._random = random
        self._weights = list(accumulate(people for _, _, people in METROPOLISES))
        self.pools = dict(POOLS)
        self.networks = [self._network(number) for number in range(networks)]
        # Some networks are a household's, some are an office's or a provider's.
        sizes = list(accumulate(random.lognormvariate(0.0, 1.0) for _ in range(networks)))
        self.clients = [self.networks[bisect(sizes, random.random() * sizes[-1])] for _ in range(clients)]

    def nearest(self, network: Network, pools: Sequence[str]) -> str:
        """The pool of the shortest round trip among these."""
        return min(pools, key=lambda pool: network.floor[pool])

    def checked(self, network: Network, offered: Sequence[str]) -> list[str]:
        """Those of the offered pools that a browser checks: each a moment after the one before, until one answers."""
        checked: list[str] = []
        answered = math.inf
        for number, pool in enumerate(offered):
            at = number * CHECK_EVERY_MS
            if answered <= at:
                break
            checked.append(pool)
            answered = min(answered, at + network.floor[pool])
        return checked

    def measured(self, network: Network, pools: Sequence[str]) -> list[tuple[str, float]]:
        """What one call measures through these pools."""
        random = self._random
        queue = random.expovariate(1 / BUSY_MS) if random.random() < BUSY else 0.0
        return [
            (pool, network.floor[pool] + queue + min(random.expovariate(1 / JITTER_MS) for _ in range(3)))
            for pool in pools
        ]

    def _somewhere(self) -> Place:
        _, place, _ = METROPOLISES[bisect(self._weights, self._random.random() * self._weights[-1])]
        return at_distance(place, self._random.random() * math.tau, abs(self._random.gauss(0.0, 60.0)))

    def _network(self, number: int) -> Network:
        random = self._random
        home = self._somewhere()
        told = at_distance(home, random.random() * math.tau, abs(random.gauss(0.0, 30.0)))
        misplaced = random.random() < MISPLACED
        while misplaced and distance_km(home, told) < MISPLACED_KM:
            told = self._somewhere()
        access = random.lognormvariate(math.log(ACCESS_MS), ACCESS_SPREAD)
        floor = {
            pool: access + GLASS_MS_PER_KM * random.triangular(*DETOUR) * distance_km(home, place)
            for pool, place in self.pools.items()
        }
        return Network(f"network-{number}", told, misplaced, floor)
