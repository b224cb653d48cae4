"""Which transceivers are asked for a call: near the first relay, the freer of two drawn, again and again.

The choice of the best of two spreads load nearly as well as the best of all does, and cannot send every replica's calls
to one that has just started. What a directory says of free slots is up to two seconds old; what this replica placed
since is taken off. A transceiver that is new counts for less until its caches and its machine are warm.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from voicefleet.core.directory import RelayEntry, TransceiverEntry
from voicefleet.core.steering.fleet_view import FleetView
from voicefleet.core.steering.policy import Policy

TRIES: Final = 3
"""Transceivers asked before the client is told to come back."""
NEAR_MS: Final = 12.0
"""Sites that are this much farther than the nearest still count as near: room matters more."""
SLOW_START: Final = 30.0
"""Seconds in which a new transceiver comes to count in full."""
SPREAD: Final = 0.5
"""How much having all of a key's recent calls counts against a transceiver, in shares of its capacity."""
KEYS: Final = 2048
CALLS_EACH: Final = 64
"""Keys whose calls are remembered, and calls after which older ones count half."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A transceiver to ask, and why it stands where it does."""

    transceiver: TransceiverEntry
    milliseconds: float
    """About the round trip from the first relay."""
    free: int
    """What the directory says, less what was placed since."""
    warm: float
    """0 just started to 1."""
    of_key: int
    """Recent calls of this key there."""
    silent: bool = False


class TransceiverChoice:
    """Remembers what this replica did lately: bounded, and lost with it without harm."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._since: dict[str, tuple[tuple[int, ...], float]] = {}
        """When each was first seen, with its workers' generations: a restart makes it new."""
        self._placed: dict[str, tuple[int, int]] = {}
        """Free slots as the directory said, and calls placed since it said so."""
        self._of_key: OrderedDict[str, Counter[str]] = OrderedDict()
        self._looked = False

    def seen(self, view: FleetView, now: float) -> None:
        """Take up a new view: who is new, and whose free slots were told anew."""
        entries = [*view.silent, *(each for site in view.sites.values() for each in site)]
        since, placed = {}, {}
        for entry in entries:
            generations = tuple(worker.generation for worker in entry.workers)
            before = self._since.get(entry.id)
            # What was there when we started is not new, it is we who are.
            fresh = now if self._looked else now - SLOW_START
            since[entry.id] = before if before and before[0] == generations else (generations, fresh)
            kept = self._placed.get(entry.id)
            placed[entry.id] = kept if kept and kept[0] == entry.free else (entry.free, 0)
        self._since, self._placed = since, placed
        self._looked = self._looked or bool(entries)

    def choose(
        self, view: FleetView, first: RelayEntry | None, key: str, policy: Policy, now: float
    ) -> tuple[Asked, ...]:
        """The transceivers to ask, in order."""
        region, place = (first.region, first.place) if first is not None else (policy.default_region, None)
        sites = sorted(
            (site.milliseconds_from(region, place), number, entries)
            for number, (site, entries) in enumerate(view.sites.items())
            if policy.allows(site.region)
        )
        order: list[Asked] = []
        while sites and len(order) < TRIES:
            farthest = sites[0][0] + NEAR_MS
            near = [
                self._asked(entry, milliseconds, key, now)
                for milliseconds, _, entries in sites
                if milliseconds <= farthest
                for entry in entries
            ]
            order += self._draw(near, TRIES - len(order))
            sites = [each for each in sites if each[0] > farthest]
        silent = [self._asked(entry, 0.0, key, now, True) for entry in view.silent if policy.allows(entry.region)]
        return (*order, *self._draw(silent, TRIES - len(order)))

    def placed(self, transceiver: str, key: str) -> None:
        """A call of this key went there."""
        free, count = self._placed.get(transceiver, (0, 0))
        self._placed[transceiver] = (free, count + 1)
        calls = self._of_key.setdefault(key, Counter())
        self._of_key.move_to_end(key)
        calls[transceiver] += 1
        if calls.total() > CALLS_EACH:
            self._of_key[key] = Counter({each: count // 2 for each, count in calls.items() if count > 1})
        while len(self._of_key) > KEYS:
            self._of_key.popitem(last=False)

    def _asked(self, entry: TransceiverEntry, milliseconds: float, key: str, now: float, silent: bool = False) -> Asked:
        since = self._since.get(entry.id, ((), now))[1]
        warm = min(1.0, max(0.0, (now - since) / SLOW_START))
        free = entry.free - self._placed.get(entry.id, (0, 0))[1]
        of_key = self._of_key[key][entry.id] if key in self._of_key else 0
        return Asked(entry, milliseconds, free, warm, of_key, silent)

    def _draw(self, pool: Sequence[Asked], count: int) -> list[Asked]:
        left = list(pool)
        order: list[Asked] = []
        while left and len(order) < count:
            drawn = left if len(left) == 1 else self._random.sample(left, 2)
            calls = sum(each.of_key for each in drawn)
            best = min(drawn, key=lambda each: _fullness(each, calls))
            left.remove(best)
            order.append(best)
        return order


def _fullness(asked: Asked, calls_of_key: int) -> float:
    share = max(0.0, asked.free / max(1, asked.transceiver.capacity)) * asked.warm
    return SPREAD * asked.of_key / max(1, calls_of_key) - share if asked.free > 0 else 1.0
