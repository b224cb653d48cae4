"""Whether watches are alive: what this operator wrote has to come back by them.

A stream that died without a word looks like a quiet one. kopf opens a stream anew in which nothing came for 70 s, not
even a bookmark; this is the check of that check, from the other end: it sees what happens to be lost on the way from
there to the store as well.
"""

from collections.abc import Callable
from typing import Final

from voicefleet_operator.reconcile.store import Document, Key, key_of

LATE: Final = 100.0
"""Seconds after which a watch should have told us; longer than kopf takes to notice a dead stream, and to list anew."""
LOST: Final = 300.0
"""Seconds after which no mend from inside is hoped for."""


class Echoes:
    """Writes of ours that no watch has told of yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._written: dict[Key, tuple[str, float]] = {}

    def wrote(self, document: Document) -> None:
        """The API server answered a write of ours with this."""
        key = key_of(document)
        # The first write counts: later ones must not hide that nothing has come for minutes.
        since = self._written.get(key, ("", self._clock()))[1]
        self._written[key] = (document["metadata"].get("resourceVersion", ""), since)

    def heard(self, document: Document, gone: bool) -> None:
        """A watch told of an object."""
        key = key_of(document)
        expected = self._written.get(key)
        if expected is not None and (gone or _at_least(document["metadata"].get("resourceVersion", ""), expected[0])):
            del self._written[key]

    def clear(self) -> None:
        """Nothing is expected any more: everything has just been read."""
        self._written.clear()

    def missing(self, longer_than: float) -> list[Key]:
        """What should have come back by now."""
        limit = self._clock() - longer_than
        return [key for key, (_, since) in self._written.items() if since < limit]


def _at_least(version: str, other: str) -> bool:
    """Resource versions of one object can be compared as numbers since Kubernetes 1.35; before, they are anyway."""
    return version == other or (version.isdigit() and other.isdigit() and int(version) >= int(other))
