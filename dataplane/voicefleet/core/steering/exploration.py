"""Which pools are worth offering only to be measured: a call tells the round trip to each relay that it was offered.

An explored relay stands after the one that shall carry the call, so nobody is worse off for it; only where the network
may well be elsewhere and the first relay would answer before any other is checked, a call is carried by it. A pool is
explored while it could turn out to be the nearest: because cables may be shorter than thought, or because the network
may stand where the database does not put it. What is measured is known, so each pool is explored once or twice in a day
or two.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final

from voicefleet.core.place import Place
from voicefleet.core.steering.belief import LIGHT_MS_PER_KM, Belief, Ground, odds_against
from voicefleet.core.steering.relay_choice import Candidate, RankedPool, Standing
from voicefleet.core.steering.round_trips import Measured

SHORTEST: Final = 1.25
"""How much longer than the straight line the best cables are."""
WORTH_MS: Final = 2.0
"""What a pool has to promise to be explored."""
SLOW_MS: Final = 28.0
"""An access delay above which the database may as well be wrong: one line in fifty is slower."""
TWICE: Final = 1.5
"""Measurements below which one may have been held up in a queue, and another is worth having."""
POSSIBLE: Final = 1.0
"""How much worse than the database's place a pool's may explain what was measured, to be where the network is; a line
that is only slow runs out of such places after a few measurements."""
ALONE_MS: Final = 48.0
"""A relay that answers within this time is the only one that Chromium checks."""
IN_DOUBT: Final = 2
"""Pools explored by one call while the network may be anywhere; else one."""


def explore(
    ranked: Sequence[RankedPool],
    offered: Sequence[str],
    belief: Belief,
    measured: Mapping[str, Measured],
    places: Mapping[str, Place | None],
) -> list[RankedPool]:
    """The pools to offer beside those `offered`; none where nothing is to be learnt."""
    unknown = [
        each
        for each in ranked
        if (each.measured is None or each.measured.weight < TWICE)
        and each.standing is Standing.GOOD
        and each.pool.place is not None
        and each.pool.name not in offered
    ]
    if not measured or not unknown:
        return []
    if belief.ground is Ground.DATABASE and in_doubt(belief):
        bar = odds_against(belief.place, places, measured) + POSSIBLE
        odds = [(odds_against(each.pool.place, places, measured), each) for each in unknown]
        return [each for against, each in sorted(odds, key=itemgetter(0)) if against <= bar][:IN_DOUBT]
    best = min(each.milliseconds for each in ranked if each.measured is not None or each.pool.name in offered)
    hopeful = [each for each in unknown if _at_best(each, belief) + WORTH_MS < best]
    hopeful.sort(key=lambda each: _at_best(each, belief))
    return hopeful[: IN_DOUBT if belief.ground is Ground.MEASURED else 1]


def in_doubt(belief: Belief) -> bool:
    """Whether the network may well be elsewhere."""
    return belief.ground is Ground.MEASURED or (belief.ground is Ground.DATABASE and belief.access_ms > SLOW_MS)


def heard_of(candidates: Sequence[Candidate], belief: Belief) -> list[str]:
    """The pools that a call with these candidates measures by itself."""
    counted = candidates[:1] if _never_doubted(candidates, belief) else candidates
    return [each.relay.pool for each in counted]


def in_order(candidates: Sequence[Candidate], tried: Sequence[Candidate], belief: Belief) -> tuple[Candidate, ...]:
    """Where those to be measured stand: browsers check relays in order, and none after the first answer.

    Behind the others, unless the network may well be elsewhere: then before the second relay, for the call or two that
    it takes. Where the first would never be doubted, the call itself tries, once with each pool.
    """
    if not tried or not in_doubt(belief):
        return (*candidates, *tried)
    if _never_doubted(candidates, belief):
        lead = tried[0]
        if lead.ranked.measured is not None:
            return tuple(candidates)
        return (lead, *(each for each in candidates if each.relay.pool != lead.relay.pool))
    return (candidates[0], *tried, *candidates[1:])


def _never_doubted(candidates: Sequence[Candidate], belief: Belief) -> bool:
    """Whether the first relay is in the wrong place, perhaps, and answers before a browser checks another."""
    first = candidates[0].ranked.measured
    return in_doubt(belief) and first is not None and first.milliseconds < ALONE_MS


def _at_best(each: RankedPool, belief: Belief) -> float:
    """What the round trip would be over the shortest of cables."""
    return belief.access_ms + SHORTEST * LIGHT_MS_PER_KM * (each.distance_km or 0.0)
