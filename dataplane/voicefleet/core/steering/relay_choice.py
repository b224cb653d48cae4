"""Which relays a client is offered: the nearest that have room, the second where the first one's failure cannot reach.

A pool costs the milliseconds that a round trip is believed to take. What changes all the time must not make calls
flap: a pool that is filling sheds networks one after the other, always the same ones first; and the pool that a network
was sent to lately stays while it is nearly as good as the best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2s
from math import inf
from random import Random
from typing import Final

from voicefleet.core.directory import RelayEntry
from voicefleet.core.steering.belief import MS_PER_KM, Belief, Ground
from voicefleet.core.steering.fleet_view import FleetView, PoolView
from voicefleet.core.steering.policy import Client, Policy
from voicefleet.core.steering.round_trips import Measured

SHED_FROM: Final = 0.8
FULL_FROM: Final = 0.95
"""Load at which a pool begins to send networks elsewhere, and at which it takes only what nobody else does."""
SHED_MS: Final = 80.0
"""How much farther another pool may be for a filling one to be left."""
STICKY_MS: Final = 3.0
STICKY_SHARE: Final = 0.05
"""How much worse than the best the pool may be that a network used lately."""
UNKNOWN_MS: Final = 120.0
"""A pool whose distance nobody knows counts as on another continent."""
DEFAULT_REGION_MS: Final = 30.0
"""The default region for a client without a place: nearer than the unknown, as far as something measured can be."""
UNSURE: Final = 0.01
"""Of what an unmeasured pool is believed to take, behind the best of the measured: keeps the unmeasured in order."""
MAP_WEIGHT: Final = 0.2
"""What a map counts for beside one measurement: cables stray from it by more than a round trip varies."""
SAME_POOL_MS: Final = 40.0
SAME_ZONE_MS: Final = 60.0
SAME_NODE_MS: Final = 10_000.0
UNKNOWN_NODE_MS: Final = 1_000.0
"""What the second relay may be farther away for not failing together with the first."""
DRAWN: Final = 8
"""Relays looked at in a pool for the second place."""


class Standing(StrEnum):
    """Where a pool stands in the order, apart from its distance."""

    GOOD = "has room"
    SHEDDING = "is filling up and sends this network elsewhere"
    FULL = "is full"
    SILENT = "has not been heard of lately"


@dataclass(frozen=True, slots=True)
class RankedPool:
    """A pool and what it costs this client."""

    pool: PoolView
    milliseconds: float
    distance_km: float | None
    """From where the client is believed to be."""
    measured: Measured | None
    standing: Standing
    kept: bool = False
    """First because the network used it lately and it is nearly the best."""

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Sorts pools; the lowest is the best."""
        shed = SHED_MS if self.standing is Standing.SHEDDING else 0.0
        return (self.standing is Standing.SILENT, self.standing is Standing.FULL, self.milliseconds + shed)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A relay to offer, and the pool's standing that put it there."""

    relay: RelayEntry
    ranked: RankedPool
    shares: str = ""
    """What it shares with a candidate before it: `node`, `zone`, `pool` or nothing."""
    explored: bool = False
    """Offered only for its round trip to be measured: see `exploration.in_order`."""


@dataclass(frozen=True, slots=True)
class RelayChoice:
    """The answer: relays, best first, and all that was weighed."""

    candidates: tuple[Candidate, ...]
    pools: tuple[RankedPool, ...]
    belief: Belief
    forbidden: tuple[str, ...]
    """Pools outside of the allowed regions."""
    gone: Mapping[str, str]

    @property
    def relays(self) -> tuple[RelayEntry, ...]:
        """Only the relays."""
        return tuple(each.relay for each in self.candidates)


def rank(
    view: FleetView,
    client: Client,
    policy: Policy,
    belief: Belief,
    distances: Mapping[str, float],
    measured: Mapping[str, Measured],
    kept: str | None,
    random: Random,
) -> list[RankedPool]:
    """All allowed pools, the best first."""
    ranked = [
        _ranked(pool, client, policy, belief, distances.get(pool.name), measured.get(pool.name), random)
        for pool in view.pools
        if policy.allows(pool.region)
    ]
    if belief.ground is Ground.MEASURED:
        ranked = _no_leap(ranked)
    ranked.sort(key=lambda each: (each.rank, each.pool.load, each.pool.name))
    for place, each in enumerate(ranked[1:], 1):
        if each.pool.name == kept:
            best = ranked[0]
            near = best.milliseconds * (1.0 + STICKY_SHARE) + STICKY_MS
            if each.standing is best.standing is Standing.GOOD and each.milliseconds <= near:
                stays = RankedPool(each.pool, each.milliseconds, each.distance_km, each.measured, each.standing, True)
                ranked.insert(0, stays)
                del ranked[place + 1]
            break
    return ranked


def choose(ranked: Sequence[RankedPool], count: int, random: Random) -> tuple[Candidate, ...]:
    """Relays from ranked pools: the first by rank, each later one also by what it shares with those before."""
    if not ranked:
        return ()
    first = Candidate(_lighter(ranked[0].pool.relays, random), ranked[0])
    chosen = [first]
    while len(chosen) < count:
        best = _next(ranked, chosen, random)
        if best is None:
            break
        chosen.append(best)
    return tuple(chosen)


def explored(each: RankedPool, random: Random) -> Candidate:
    """A relay of a pool that is offered to be measured."""
    return Candidate(_lighter(each.pool.relays, random), each, explored=True)


def _next(ranked: Sequence[RankedPool], chosen: Sequence[Candidate], random: Random) -> Candidate | None:
    """The relay that is nearest when it counts as distance to share a node, a zone or a pool with those before."""
    taken = [each.relay for each in chosen]
    best, lowest = None, (True, True, inf, inf)
    for each in ranked:
        silent, full, milliseconds = each.rank
        if (silent, full, milliseconds, -inf) > lowest:
            break  # what comes later is farther away by itself
        for relay in _draw([relay for relay in each.pool.relays if relay not in taken], random):
            apart, shares = _shared(relay, taken)
            cost = (silent, full, milliseconds + apart, relay.load)
            if cost < lowest:
                best, lowest = Candidate(relay, each, shares), cost
    return best


def _no_leap(ranked: list[RankedPool]) -> list[RankedPool]:
    """Where only round trips tell the place, a pool leads once it was measured: two far pools may speak of a slow line.

    The unmeasured follow the best of the measured, and being offered second is enough to be measured.
    """
    best = min((each.milliseconds for each in ranked if each.measured is not None), default=0.0)
    return [
        each
        if each.measured is not None or each.milliseconds > best
        else replace(each, milliseconds=best + UNSURE * each.milliseconds)
        for each in ranked
    ]


def _ranked(
    pool: PoolView,
    client: Client,
    policy: Policy,
    belief: Belief,
    distance: float | None,
    measured: Measured | None,
    random: Random,
) -> RankedPool:
    if distance is not None:
        expected = belief.access_ms + MS_PER_KM * distance
    else:
        by_default = policy.default_region and pool.region == policy.default_region
        expected = DEFAULT_REGION_MS if by_default else UNKNOWN_MS
    if measured is None:
        milliseconds = expected
    else:
        weight = measured.weight
        milliseconds = (measured.milliseconds * weight + expected * MAP_WEIGHT) / (weight + MAP_WEIGHT)
    return RankedPool(pool, milliseconds, distance, measured, _standing(pool, client, random))


def _standing(pool: PoolView, client: Client, random: Random) -> Standing:
    if pool.silent:
        return Standing.SILENT
    if pool.load >= FULL_FROM:
        return Standing.FULL
    shedding = (pool.load - SHED_FROM) / (FULL_FROM - SHED_FROM)
    if shedding > 0.0:
        drawn = _lot(client.network, pool.name) if client.network else random.random()
        if drawn < shedding:
            return Standing.SHEDDING
    return Standing.GOOD


def _lot(network: str, pool: str) -> float:
    """From 0 to 1, always the same for a network at a pool, in every replica."""
    return int.from_bytes(blake2s(f"{network} {pool}".encode(), digest_size=4).digest()) / 2**32


def _lighter(relays: Sequence[RelayEntry], random: Random) -> RelayEntry:
    """The less loaded one of two drawn: spreads nearly as well as the best of all, and floods nobody."""
    if len(relays) == 1:
        return relays[0]
    one, other = random.sample(relays, 2)
    # A load is up to two seconds old; below a step of it nothing is known.
    return one if one.load <= other.load else other


def _draw(relays: Sequence[RelayEntry], random: Random) -> Sequence[RelayEntry]:
    return relays if len(relays) <= DRAWN else random.sample(relays, DRAWN)


def _shared(relay: RelayEntry, chosen: Sequence[RelayEntry]) -> tuple[float, str]:
    """What failing together with those counts, in milliseconds, and what it is that they share."""
    if relay.node and any(relay.node == other.node for other in chosen):
        return SAME_NODE_MS, "node"
    same_pool = any(relay.pool == other.pool for other in chosen)
    unknown = UNKNOWN_NODE_MS if same_pool and not relay.node else 0.0
    if relay.zone and any(relay.zone == other.zone for other in chosen):
        return SAME_ZONE_MS + SAME_POOL_MS * same_pool + unknown, "zone"
    return SAME_POOL_MS * same_pool + unknown, "pool" if same_pool else ""
