"""Who is there: relays and transceivers, where they stand and how loaded they are. For choosing, never for routing.

Pure; the clock is an argument. Entries arrive one by one, as a snapshot, or from disk after a restart. An entry that is
not heard of any more is dropped by its age, but only while its source could have told: with the source gone (Redis
killed, full or unreachable) everything stays, marked stale, since the world has not changed because we cannot see it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias

from voicefleet.core.place import Place

STALE_AFTER: Final = 5.0
"""Seconds without a heartbeat (one is due every 2) after which an entry is marked."""
DROP_AFTER: Final = 10.0
"""Seconds after which it is dropped, counted from when its source came back if that was later."""


class Kind(StrEnum):
    """What an entry is about; the value of the metric label `kind` and part of its keys."""

    RELAY = "relay"
    TRANSCEIVER = "transceiver"


class Tier(StrEnum):
    """How a relay forwards."""

    USERSPACE = "userspace"
    KERNEL = "kernel"


class PublicAddress(NamedTuple):
    """Where clients reach a relay; without `tcp` there is no ICE-TCP there."""

    address: str
    udp: int
    tcp: int | None = None


class HopWorker(NamedTuple):
    """One worker process of a transceiver: its hop address, and the generation that its tokens carry."""

    address: str
    port: int
    generation: int


@dataclass(frozen=True, slots=True)
class RelayEntry:
    """A relay as it describes itself."""

    id: str
    """Unique in the fleet: the pod's name."""
    pool: str
    region: str
    place: Place | None
    addresses: tuple[PublicAddress, ...]
    load: float
    """0 idle to 1 full; round it (steps of 0.02 will do), since each change is told to everybody."""
    tier: Tier = Tier.USERSPACE
    draining: bool = False
    node: str = ""
    zone: str = ""
    kind: Literal[Kind.RELAY] = Kind.RELAY


@dataclass(frozen=True, slots=True)
class TransceiverEntry:
    """A transceiver as it describes itself."""

    id: str
    """Unique in the fleet: the pod's name."""
    shard: str
    region: str
    place: Place | None
    api: tuple[str, int]
    """Host and port of its internal API."""
    capacity: int
    free: int
    """Sessions that it would take now."""
    workers: tuple[HopWorker, ...]
    draining: bool = False
    direct: bool = False
    """Clients reach it without a relay, by an address of its own."""
    node: str = ""
    zone: str = ""
    kind: Literal[Kind.TRANSCEIVER] = Kind.TRANSCEIVER


Entry: TypeAlias = RelayEntry | TransceiverEntry


@dataclass(frozen=True, slots=True)
class Known:
    """An entry and how fresh it is."""

    entry: Entry
    seen_at: float
    """When it was last heard of; minus infinity for what was only read from disk."""


class Directory:
    """The live table. `version` changes whenever an entry does: what is derived from it can be kept until then."""

    def __init__(self) -> None:
        self.version = 0
        self._known: dict[Kind, dict[str, Known]] = {kind: {} for kind in Kind}
        self._connected: dict[Kind, float | None] = dict.fromkeys(Kind)

    def relays(self) -> tuple[RelayEntry, ...]:
        """All relays, stale and draining ones included."""
        return tuple(each.entry for each in self._known[Kind.RELAY].values() if isinstance(each.entry, RelayEntry))

    def transceivers(self) -> tuple[TransceiverEntry, ...]:
        """All transceivers, stale and draining ones included."""
        known = self._known[Kind.TRANSCEIVER].values()
        return tuple(each.entry for each in known if isinstance(each.entry, TransceiverEntry))

    def entries(self) -> tuple[Entry, ...]:
        """Everything, for keeping it on disk."""
        return (*self.relays(), *self.transceivers())

    def stale(self, entry: Entry, now: float) -> bool:
        """Whether nobody can say that this one is still there."""
        known = self._known[entry.kind].get(entry.id)
        return known is None or self._connected[entry.kind] is None or now - known.seen_at > STALE_AFTER

    def connected(self, kind: Kind) -> bool:
        """Whether the source of this kind of entries is there."""
        return self._connected[kind] is not None

    def source_is_there(self, kind: Kind, now: float) -> None:
        """The source answered; from when it came back, entries have `DROP_AFTER` to be heard of."""
        if self._connected[kind] is None:
            self._connected[kind] = now

    def source_is_gone(self, kind: Kind) -> None:
        """The source does not answer, or takes no heartbeats: nothing is dropped until it does."""
        self._connected[kind] = None

    def heard(self, entry: Entry, now: float, age: float = 0.0) -> None:
        """An entry arrived, as a change or in a snapshot, `age` seconds after its heartbeat."""
        known = self._known[entry.kind]
        before = known.get(entry.id)
        seen_at = now - max(age, 0.0)
        if before is None or before.entry != entry:
            self.version += 1
        elif before.seen_at > seen_at:
            return
        known[entry.id] = Known(entry, seen_at)

    def alive(self, kind: Kind, ages: Mapping[str, float], now: float) -> None:
        """Heartbeats that changed nothing: how many seconds ago each was seen."""
        known = self._known[kind]
        for each, age in ages.items():
            before = known.get(each)
            seen_at = now - max(age, 0.0)
            if before is not None and seen_at > before.seen_at:
                known[each] = Known(before.entry, seen_at)

    def gone(self, kind: Kind, id: str) -> None:
        """One said goodbye."""
        if self._known[kind].pop(id, None) is not None:
            self.version += 1

    def restore(self, entries: Iterable[Entry]) -> None:
        """What an earlier process knew; never replaces what this one has heard."""
        for entry in entries:
            if entry.id not in self._known[entry.kind]:
                self._known[entry.kind][entry.id] = Known(entry, float("-inf"))
                self.version += 1

    def expire(self, now: float) -> tuple[Entry, ...]:
        """Drop what should have been heard of and was not; tells which."""
        dropped = []
        for kind, known in self._known.items():
            since = self._connected[kind]
            if since is None:
                continue
            for id, each in list(known.items()):
                if now - max(each.seen_at, since) > DROP_AFTER:
                    dropped.append(each.entry)
                    del known[id]
        self.version += bool(dropped)
        return tuple(dropped)
