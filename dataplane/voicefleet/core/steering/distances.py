"""Great-circle distances from a client's place to all pools, kept: a country-wide database repeats its places."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from voicefleet.core.place import Place, distance_km

PLACES: Final = 2048


class Distances:
    """Kilometres by pool for the places that were asked for last."""

    def __init__(self) -> None:
        self._pools: Mapping[str, Place | None] = {}
        self._known: OrderedDict[Place, Mapping[str, float]] = OrderedDict()

    def to(self, place: Place | None, pools: Mapping[str, Place | None]) -> Mapping[str, float]:
        """Pool -> kilometres; without those whose place is not known."""
        if place is None:
            return {}
        if pools is not self._pools:
            if pools != self._pools:
                self._known.clear()
            self._pools = pools
        known = self._known.get(place)
        if known is not None:
            self._known.move_to_end(place)
            return known
        made = {pool: distance_km(place, where) for pool, where in pools.items() if where is not None}
        self._known[place] = made
        if len(self._known) > PLACES:
            self._known.popitem(last=False)
        return made
