"""Round trips that were measured between client networks and relay pools: decaying averages in bounded memory.

A measurement is of the leg between client and relay; who measures at the transceiver takes the hop off. It says more
than any map, since it knows the cables. An old one counts for less and less, so that a changed path is noticed.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

HALF_LIFE: Final = 12 * 3600.0
"""Seconds after which a measurement counts half: routes change within days, and evenings are not like mornings."""
NETWORKS: Final = 50_000
"""Networks remembered, about 25 MB; the one that was heard of longest ago goes first."""
POOLS_EACH: Final = 8
"""Pools remembered for one network; enough to locate it, and more are not near it."""
HEAVIEST: Final = 8.0
"""Measurements that an average counts for at most, so that a new path shows after a few calls."""
SHORTER: Final = 0.2
"""What the average counts for beside a shorter round trip: queues delay packets, and nothing speeds them up."""
LONGEST_MS: Final = 10_000.0
FORGOTTEN: Final = 0.05
"""Weight below which a measurement says nothing any more (four half-lives after a single call)."""


class Measured(NamedTuple):
    """An average as of `at`; `weight` is how many measurements it counts for."""

    milliseconds: float
    weight: float
    at: float

    def aged(self, now: float) -> "Measured":
        """The same with the weight that it has now."""
        return self._replace(weight=self.weight * 0.5 ** (max(0.0, now - self.at) / HALF_LIFE), at=max(now, self.at))


class RoundTrips:
    """The averages; `now` may be any clock that goes on, but the same for all who share them."""

    def __init__(self, networks: int = NETWORKS) -> None:
        self._limit = networks
        self._known: OrderedDict[str, dict[str, Measured]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def record(self, network: str, pool: str, milliseconds: float, now: float) -> Measured | None:
        """Take up one measurement; the new average. None for what can be no round trip."""
        if not network or not pool or not 0.0 < milliseconds <= LONGEST_MS:
            return None
        before = self._known.get(network, {}).get(pool)
        if before is None:
            made = Measured(milliseconds, 1.0, now)
        else:
            old = before.aged(now)
            weight = min(old.weight, HEAVIEST - 1.0)
            counts = weight * (SHORTER if milliseconds < old.milliseconds else 1.0)
            made = Measured((old.milliseconds * counts + milliseconds) / (counts + 1.0), weight + 1.0, old.at)
        self.learn(network, pool, made)
        return made

    def learn(self, network: str, pool: str, average: Measured) -> None:
        """Take over an average that another process made; an older one changes nothing."""
        pools = self._known.setdefault(network, {})
        self._known.move_to_end(network)
        before = pools.get(pool)
        if before is None or before.at <= average.at:
            pools[pool] = average
        if len(pools) > POOLS_EACH:
            # The far ones go, not the old ones: what is kept shall tell which pool is near.
            del pools[max(pools, key=lambda name: pools[name].milliseconds)]
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def of(self, network: str, now: float) -> Mapping[str, Measured]:
        """What is known of a network: pool -> its average with today's weight."""
        pools = self._known.get(network)
        if not pools:
            return {}
        aged = {pool: average.aged(now) for pool, average in pools.items()}
        return {pool: average for pool, average in aged.items() if average.weight >= FORGOTTEN}

    def __iter__(self) -> Iterator[tuple[str, str, Measured]]:
        return ((network, pool, each) for network, pools in self._known.items() for pool, each in pools.items())
