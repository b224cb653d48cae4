"""The session map: where each flow's packets go, and what is known of each session. A cache; a flush ends no call.

A relay writes its confirmed flows behind and reads one on a miss, so that after a restart media flows before the next
check. A transceiver writes its sessions' records. Both write again at `REFRESH` what still lives, so whatever Redis
lost is there again within that time. What is read is a hint: a hop address from here must be checked against the
fleet's hop networks like one from a token.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from prometheus_client import Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from pydantic import TypeAdapter, ValidationError

from voicefleet.contract import Metric as Name
from voicefleet.contract import RedisKey
from voicefleet.net.redis_link import Answer, Fault, RedisLink, Unavailable
from voicefleet.net.write_behind import WriteBehind

FLOW_SECONDS: Final = 180.0
"""How long a flow outlives its last refresh: longer than any client keeps silent on a live call."""
SESSION_SECONDS: Final = 60.0
REFRESH: Final = 3
"""Owners write again after a third of these times, so one lost write loses nothing."""
MISSING_SECONDS: Final = 5.0
"""How long a flow that Redis did not have is not asked for again."""
MISSING_BOUND: Final = 20_000
WAITING_BOUND: Final = 100_000
LOOKUP_BOUND: Final = 256
"""Clients in one look-up."""

Address: TypeAlias = tuple[str, int]


class FlowMap(Collector):
    """The flows of one relay pool; the collector of its metrics."""

    def __init__(self, link: RedisLink, fleet: str, pool: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._keys = RedisKey(fleet)
        self._pool = pool
        self._clock = clock
        self._writes = WriteBehind(link, "flows", WAITING_BOUND)
        self._missing: dict[Address, float] = {}
        self._lookups = Counter(Name.FLOW_LOOKUPS, "Clients looked up by outcome.", ["result"], registry=None)

    @property
    def waiting(self) -> int:
        """Writes that have not reached Redis."""
        return self._writes.waiting

    def put(self, client: Address, hop: Address) -> None:
        """This client's packets go there; say it again after `FLOW_SECONDS / REFRESH` while the flow lives."""
        self._missing.pop(client, None)
        self._writes.set(self._keys.flow(self._pool, *client), f"{hop[0]}|{hop[1]}", FLOW_SECONDS)

    def remove(self, client: Address) -> None:
        """The flow has ended."""
        self._writes.delete(self._keys.flow(self._pool, *client))

    async def find(self, clients: Sequence[Address]) -> dict[Address, Address]:
        """The hop addresses of those that Redis knows: at most `LOOKUP_BOUND` at once, one round trip, no exception."""
        now = self._clock()
        wanted = [client for client in dict.fromkeys(clients) if self._missing.get(client, 0.0) <= now]
        self._lookups.labels("known_missing").inc(len(set(clients)) - len(wanted))
        self._lookups.labels("too_many").inc(max(0, len(wanted) - LOOKUP_BOUND))
        wanted = wanted[:LOOKUP_BOUND]
        if not wanted:
            return {}
        keys = [self._keys.flow(self._pool, *client) for client in wanted]
        answer = await self._link.ask("flow_lookup", lambda redis: redis.mget(keys))
        if isinstance(answer, Unavailable):
            self._lookups.labels("unavailable").inc(len(wanted))
            return {}
        found: dict[Address, Address] = {}
        for client, text in zip(wanted, answer, strict=True):
            hop = _hop(text)
            if hop is not None:
                found[client] = hop
            else:
                self._miss(client, now)
        self._lookups.labels("found").inc(len(found))
        self._lookups.labels("missing").inc(len(wanted) - len(found))
        return found

    async def run(self) -> None:
        """Write until cancelled."""
        await self._writes.run()

    async def flush(self) -> bool:
        """Send what is waiting, before an end; whether Redis took it."""
        return await self._writes.send()

    def collect(self) -> Iterator[Metric]:
        """Writes and look-ups; the registry calls it."""
        yield from self._writes.families()
        yield from self._lookups.collect()

    def _miss(self, client: Address, now: float) -> None:
        if len(self._missing) >= MISSING_BOUND:
            self._missing = {each: until for each, until in self._missing.items() if until > now}
            if len(self._missing) >= MISSING_BOUND:
                self._missing.clear()  # a flood of strangers: forgetting costs a look-up, remembering costs memory
        self._missing[client] = now + MISSING_SECONDS


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What anybody in the fleet can look up about a session."""

    session: str
    transceiver: str
    """Id of its owner in the directory."""
    api: tuple[str, int]
    """The owner's internal API."""
    started_at: float
    """Unix seconds."""
    state: str = "live"
    shard: str = ""
    region: str = ""
    pools: tuple[str, ...] = ()
    """Relay pools that were offered, best first."""
    key: str = ""
    """Name of the API key that it was opened with."""
    worker: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)
    """The last measurements, by name."""


_RECORD: Final = TypeAdapter(SessionRecord)


class SessionMap(Collector):
    """The sessions of a fleet: owners put their own, everybody reads."""

    def __init__(self, link: RedisLink, fleet: str, *, wall: Callable[[], float] = time.time) -> None:
        self._link = link
        self._keys = RedisKey(fleet)
        self._wall = wall
        self._writes = WriteBehind(link, "sessions", WAITING_BOUND)

    def put(self, record: SessionRecord) -> None:
        """Say it again after `SESSION_SECONDS / REFRESH` while the session lives, with what has changed."""
        self._writes.set(self._keys.session(record.session), _RECORD.dump_json(record).decode(), SESSION_SECONDS)

    def remove(self, session: str) -> None:
        """The session has ended."""
        self._writes.delete(self._keys.session(session))

    async def get(self, session: str) -> Answer[SessionRecord | None]:
        """The record, None if there is no such session, or why that cannot be said."""
        answer = await self._link.ask("session_lookup", lambda redis: redis.get(self._keys.session(session)))
        if answer is None or isinstance(answer, Unavailable):
            return answer
        try:
            return _RECORD.validate_json(answer)
        except ValidationError:
            return Unavailable(Fault.BROKEN, "the record cannot be read")

    async def run(self) -> None:
        """Write until cancelled."""
        await self._writes.run()

    async def flush(self) -> bool:
        """Send what is waiting, before an end; whether Redis took it."""
        return await self._writes.send()

    def collect(self) -> Iterator[Metric]:
        """Writes; the registry calls it."""
        yield from self._writes.families()


def _hop(text: str | bytes | None) -> Address | None:
    address, _, port = text.partition("|") if isinstance(text, str) else ("", "", "")
    return (address, int(port)) if address and port.isascii() and port.isdigit() and int(port) < 65536 else None
