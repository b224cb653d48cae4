"""Where a client network really is, judged by what a database says and by the round trips that were measured.

A round trip is taken as access delay, the same whichever relay, plus fibre by distance. While that explains what was
measured, the database is believed. Once it does not (a network that the map puts into another country), the place is
searched that explains the measurements best: from a few pools that is multilateration, as with radio beacons.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import inf, tau
from typing import Final, NamedTuple

from voicefleet.core.place import Place, at_distance, distance_km
from voicefleet.core.steering.round_trips import Measured

MS_PER_KM: Final = 0.016
"""Round trip by distance: light in glass there and back is 0.01, and cables are some 1.6 times as long as the way."""
LIGHT_MS_PER_KM: Final = 0.01
"""What no cable can be faster than."""
ACCESS_MS: Final = 12.0
"""A usual access line."""
DATABASE_WRONG: Final = 4.0
"""How much better another place has to explain what was measured (in natural logarithms of the odds: 1 in 50)."""
IMPOSSIBLE: Final = 25.0
LINE_SLOW: Final = 6.0
"""The most that a slow line counts against a place: a satellite is rarer than a wrong database, but there are some."""
SEARCH_KM: Final = (1600.0, 800.0, 800.0, 400.0, 400.0, 200.0, 100.0)
BEARINGS: Final = tuple(tau * eighth / 8 for eighth in range(8))


class Ground(StrEnum):
    """What a believed place stands on."""

    DATABASE = "database"
    MEASURED = "measured"
    NOTHING = "nothing"


class Belief(NamedTuple):
    """A place (if any) and the access delay that go best with what is known."""

    place: Place | None
    access_ms: float
    ground: Ground


class _Reading(NamedTuple):
    place: Place
    milliseconds: float
    weight: float


def believe(place: Place | None, pools: Mapping[str, Place | None], measured: Mapping[str, Measured]) -> Belief:
    """The belief about one network; without a measurement it is the database's word."""
    readings = _readings(pools, measured)
    if not readings:
        return Belief(place, ACCESS_MS, Ground.NOTHING if place is None else Ground.DATABASE)
    odds, access = (inf, ACCESS_MS) if place is None else _against(place, readings)
    if place is not None and odds <= DATABASE_WRONG:
        return Belief(place, access, Ground.DATABASE)
    found, found_odds, found_access = _search({where for where in pools.values() if where is not None}, readings)
    if place is not None and odds <= found_odds + DATABASE_WRONG:
        return Belief(place, access, Ground.DATABASE)
    return Belief(found, found_access, Ground.MEASURED)


def odds_against(place: Place | None, pools: Mapping[str, Place | None], measured: Mapping[str, Measured]) -> float:
    """What speaks against a network being there (0: nothing)."""
    return inf if place is None else _against(place, _readings(pools, measured))[0]


def _readings(pools: Mapping[str, Place | None], measured: Mapping[str, Measured]) -> list[_Reading]:
    return [
        _Reading(where, each.milliseconds, min(1.0, each.weight))
        for pool, each in measured.items()
        if (where := pools.get(pool)) is not None
    ]


def _search(starts: set[Place], readings: Sequence[_Reading]) -> tuple[Place, float, float]:
    """The place that explains best what was measured: the best pool's place, then ever smaller steps around it."""
    ordered = sorted(starts, key=lambda where: (where.latitude, where.longitude))
    best = min(ordered, key=lambda where: _against(where, readings)[0])
    odds, access = _against(best, readings)
    if len(readings) < 2:
        return best, odds, access  # one round trip draws a circle; the pools on it are as good as any point
    for km in SEARCH_KM:
        for around in [at_distance(best, bearing, km) for bearing in BEARINGS]:
            tried, tried_access = _against(around, readings)
            if tried < odds:
                best, odds, access = around, tried, tried_access
    return best, odds, access


def _against(place: Place, readings: Sequence[_Reading]) -> tuple[float, float]:
    """What speaks against a place (0: nothing), and the access delay that suits it best."""
    fibre = [MS_PER_KM * distance_km(place, each.place) for each in readings]
    access = max(2.0, min(each.milliseconds - expected for each, expected in zip(readings, fibre, strict=True)))
    odds = min(LINE_SLOW, max(0.0, access - ACCESS_MS) / 20.0)
    for each, expected in zip(readings, fibre, strict=True):
        if each.milliseconds < expected * (LIGHT_MS_PER_KM / MS_PER_KM):
            odds += IMPOSSIBLE * each.weight
        else:
            # The detour of cables grows with their length, so what is far may be off by more.
            odds += each.weight * min(8.0, abs(each.milliseconds - access - expected) / (6.0 + 0.25 * expected))
    return odds, access
