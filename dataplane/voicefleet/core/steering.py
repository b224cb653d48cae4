"""Which transceivers to ask for a call, and which relays to offer the client. Pure: a directory in, an order out.

Draining parts get nothing new. Parts that nobody can vouch for at the moment (their heartbeats stopped, or Redis did)
come last, because they may well be alive: they answer for themselves.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from voicefleet.core.directory import Directory, RelayEntry, TransceiverEntry

TRIES: Final = 3
"""Transceivers asked before the client is told to come back."""
RELAYS: Final = 2
"""Relays offered: the second is for when the first dies; more would only make the client check more paths."""


def transceivers_for_call(directory: Directory, now: float, random: Random) -> list[TransceiverEntry]:
    """The transceivers to ask, in order: the freer one of two drawn by chance, again and again.

    The choice of the best of two spreads load nearly as well as the best of all does, and cannot send every replica's
    calls to one that has just started.
    """
    pool = [entry for entry in directory.transceivers() if not entry.draining and entry.free > 0]
    order: list[TransceiverEntry] = []
    while pool and len(order) < TRIES:
        drawn = random.sample(pool, min(2, len(pool)))
        best = min(drawn, key=lambda entry: (directory.stale(entry, now), -entry.free / max(1, entry.capacity)))
        pool.remove(best)
        order.append(best)
    return order


def relays_for_call(directory: Directory, now: float, random: Random) -> list[RelayEntry]:
    """The relays to offer, best first; the second in another failure domain than the first, if there is one."""
    usable = [entry for entry in directory.relays() if not entry.draining and entry.addresses]
    random.shuffle(usable)
    usable.sort(key=lambda entry: (directory.stale(entry, now), round(entry.load, 1)))
    chosen = usable[:1]
    while usable and len(chosen) < RELAYS:
        rest = [entry for entry in usable if entry not in chosen]
        if not rest:
            break
        chosen.append(min(rest, key=lambda entry: _shared_domains(entry, chosen)))
    return chosen


def _shared_domains(entry: RelayEntry, chosen: Sequence[RelayEntry]) -> tuple[bool, bool, bool]:
    return (
        any(entry.node == other.node for other in chosen if entry.node),
        any(entry.zone == other.zone for other in chosen if entry.zone),
        any(entry.pool == other.pool for other in chosen),
    )
