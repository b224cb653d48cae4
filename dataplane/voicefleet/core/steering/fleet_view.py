"""The directory as steering looks at it: usable relays by pool, usable transceivers by site. Made anew now and then.

With two thousand relays the directory changes many times a second and a call every few milliseconds asks; so the view
is kept for a moment. A change shows that much later, which is less than what a heartbeat takes.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from voicefleet.core.directory import Directory, Kind, RelayEntry, TransceiverEntry
from voicefleet.core.place import Place, distance_km
from voicefleet.core.steering.belief import MS_PER_KM

KEEP: Final = 0.2
"""Seconds that a view is kept although the directory has changed."""
KEEP_EMPTY: Final = 0.02
"""The same where calls have to be refused: whoever comes first ends that."""
STALE_LOOK: Final = 1.0
"""Seconds after which it is made anew although it has not: entries grow stale without a change."""
ELSEWHERE_MS: Final = 100.0
"""A round trip to another region, where no places are known."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """One relay pool as far as it can be offered."""

    name: str
    region: str
    place: Place | None
    relays: tuple[RelayEntry, ...]
    """Usable ones; those that fell silent only if there are no others."""
    silent: bool
    """Nobody has heard of any of them lately, although they could have been heard."""
    load: float
    """Mean of the usable."""


class Site(NamedTuple):
    """Where transceivers stand; those of one site are equally near to any relay."""

    region: str
    place: Place | None

    def milliseconds_from(self, region: str, place: Place | None) -> float:
        """About the round trip from a relay there."""
        if self.place is not None and place is not None:
            return MS_PER_KM * distance_km(self.place, place)
        return 0.0 if self.region == region else ELSEWHERE_MS


@dataclass(frozen=True, slots=True)
class FleetView:
    """What can be chosen from, as of `made_at`."""

    made_at: float
    version: int
    pools: tuple[PoolView, ...]
    gone: Mapping[str, str]
    """Pools of which nothing can be offered, and why."""
    sites: Mapping[Site, tuple[TransceiverEntry, ...]]
    silent: tuple[TransceiverEntry, ...]
    """Transceivers that nobody has heard of lately: they are asked last, and answer for themselves."""
    places: Mapping[str, Place | None]
    """Of every pool that is known, usable or not: what was measured through it still tells where a client is."""
    direct: bool
    """Whether a transceiver is known, with room or not, that clients reach without a relay."""

    def old(self, directory: Directory, now: float) -> bool:
        """Whether it is time to look again."""
        age = now - self.made_at
        if not 0.0 <= age < STALE_LOOK:
            return True
        keep = KEEP if self.pools and self.sites else KEEP_EMPTY
        return self.version != directory.version and age >= keep


NOTHING: Final = FleetView(-inf, -1, (), {}, {}, (), {}, False)


def look(directory: Directory, now: float) -> FleetView:
    """The view of the directory as it is now."""
    by_pool: dict[str, list[RelayEntry]] = defaultdict(list)
    for relay in directory.relays():
        by_pool[relay.pool].append(relay)
    pools, gone = [], {}
    for name, relays in sorted(by_pool.items()):
        usable = [relay for relay in relays if not relay.draining and relay.addresses]
        if not usable:
            gone[name] = "all its relays are draining" if any(each.draining for each in relays) else "has no address"
            continue
        heard = [relay for relay in usable if not _silent(directory, relay, now)]
        chosen = tuple(heard or usable)
        load = sum(relay.load for relay in chosen) / len(chosen)
        pools.append(PoolView(name, chosen[0].region, _place_of(chosen), chosen, not heard, load))
    sites: dict[Site, list[TransceiverEntry]] = defaultdict(list)
    silent = []
    for each in directory.transceivers():
        if each.draining or each.free <= 0:
            continue
        if _silent(directory, each, now):
            silent.append(each)
        else:
            sites[Site(each.region, each.place)].append(each)
    return FleetView(
        now,
        directory.version,
        tuple(pools),
        gone,
        {site: tuple(entries) for site, entries in sites.items()},
        tuple(silent),
        {name: _place_of(tuple(relays)) for name, relays in by_pool.items()},
        any(each.direct for each in directory.transceivers()),
    )


def _silent(directory: Directory, entry: RelayEntry | TransceiverEntry, now: float) -> bool:
    """Not heard of although its source could tell; with the source gone everybody is silent, which tells nothing."""
    kind = Kind.RELAY if isinstance(entry, RelayEntry) else Kind.TRANSCEIVER
    return directory.connected(kind) and directory.stale(entry, now)


def _place_of(relays: tuple[RelayEntry, ...]) -> Place | None:
    return next((relay.place for relay in relays if relay.place is not None), None)
