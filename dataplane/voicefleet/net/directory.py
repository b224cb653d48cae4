"""Keeps a process's `Directory` like the one in Redis: changes as they are told, all of it when one was missed.

Every period one script answers who was seen when, and everything if the version is one that changes on their way to us
cannot explain; between that, changes arrive by pub/sub. So a lost message, a broken subscription, a flush and a restart
of Redis all heal within a period. The last state is kept on disk: a process that starts while Redis is away knows what
was there.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicefleet.contract import Metric as Name
from voicefleet.contract import RedisKey
from voicefleet.core.directory import Directory, Entry, Kind
from voicefleet.net.directory_entries import EntryError, dump_entries, parse_entries, parse_entry
from voicefleet.net.redis_library import PubSub, exceptions
from voicefleet.net.redis_link import RedisLink, Unavailable

SYNC_EVERY: Final = 2.0
UNKNOWN: Final = -1
"""A version that makes the next sync bring everything."""
SAVE_EVERY: Final = 30.0
LARGEST_AGE: Final = 3600.0
"""Seconds after which a state on disk says nothing any more about who is there."""
RESUBSCRIBE_PAUSE: Final = 0.2
SUBSCRIPTION_SILENT: Final = 10.0
"""Seconds without even an answer to our ping after which a subscription is made anew."""

LATE: Final = 2.5
"""Seconds since its last heartbeat after which an entry's age is told; the many that are not late cost nothing."""
ON_THEIR_WAY: Final = 1000
"""Changes that may be told and not have arrived; the version starts at Redis's time, so a flush is further away."""
OVERTAKING: Final = 0.5
"""Seconds in which they must arrive, or they are lost."""
CHUNK: Final = 100
"""Entries that are read from a snapshot before others get a turn: about 2 ms."""

# KEYS: entries, seen, version, read.
# ARGV: the version that we know, milliseconds after which one is late, changes that may be on their way to us.
# The write shows whether heartbeats can arrive: in a full or read-only Redis they cannot, and ages would lie.
_SYNC: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', KEYS[4], string.format('%.0f', now), 'PX', 60000)
local version = redis.call('GET', KEYS[3]) or '0'
local count = redis.call('ZCARD', KEYS[2])
now = string.format('%.0f', now)
local ahead = version - ARGV[1]
if ahead >= 0 and ahead <= tonumber(ARGV[3]) then
    return {version, now, count, redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[2], 'WITHSCORES'), false}
end
return {version, now, count, redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'), redis.call('HGETALL', KEYS[1])}
"""

_log = logging.getLogger(__name__)


class DirectoryReader(Collector):
    """A directory that follows Redis while `run` runs; the collector of its metrics.

    A part that needs only to know who is alive leaves `follow` off and takes a longer period: it costs Redis less.
    """

    def __init__(
        self,
        link: RedisLink,
        fleet: str,
        kinds: Sequence[Kind] = tuple(Kind),
        *,
        state: Path | None = None,
        period: float = SYNC_EVERY,
        follow: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.directory = Directory()
        self.listening = False
        """Whether changes arrive as they happen."""
        self._link = link
        self._keys = {kind: RedisKey(fleet).directory(kind) for kind in kinds}
        self._fleet = fleet
        self._state = state
        self._period = period
        self._follow = follow
        self._wall = wall
        self._versions: dict[Kind, int] = dict.fromkeys(kinds, UNKNOWN)
        self._present: dict[Kind, set[str]] = {kind: set() for kind in kinds}
        """Ids whose heartbeats Redis holds, as of the version that we know."""
        self._lapsed: dict[Kind, set[str]] = {kind: set() for kind in kinds}
        """Of those, who was not heard of for so long that the directory forgot them."""
        self._synced: dict[Kind, float | None] = dict.fromkeys(kinds)
        self._moved = asyncio.Condition()
        self._saved = 0
        self._refused = Counter(Name.DIRECTORY_REFUSED, "Entries that could not be read.", ["kind"], registry=None)
        self._restore()

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_in_step())
                if self._follow:
                    tasks.create_task(self._listen())
                if self._state is not None:
                    tasks.create_task(self._keep_on_disk())
        finally:
            self._save()

    async def wait(self, until: Callable[[Directory], bool], timeout: float | None = None) -> bool:
        """Wait until this holds, looking whenever the directory moves; whether it does."""
        try:
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait_for(lambda: until(self.directory))
        except TimeoutError:
            return False
        return True

    def collect(self) -> Iterator[Metric]:
        """Entries by freshness, and how well the directory is followed; the registry calls it."""
        now = time.monotonic()
        entries = GaugeMetricFamily(Name.DIRECTORY_ENTRIES, "Entries by kind and state.", labels=["kind", "state"])
        connected = GaugeMetricFamily(Name.DIRECTORY_CONNECTED, "1 while Redis tells who is there.", labels=["kind"])
        age = GaugeMetricFamily(Name.DIRECTORY_AGE, "Seconds since Redis last told.", labels=["kind"])
        for kind in self._keys:
            known = [entry for entry in self.directory.entries() if entry.kind is kind]
            stale = sum(self.directory.stale(entry, now) for entry in known)
            entries.add_metric([kind, "stale"], stale)
            entries.add_metric([kind, "fresh"], len(known) - stale)
            connected.add_metric([kind], float(self.directory.connected(kind)))
            if (synced := self._synced[kind]) is not None:
                age.add_metric([kind], now - synced)
        yield from (entries, connected, age)
        yield from self._refused.collect()

    async def _keep_in_step(self) -> None:
        while True:
            for kind in self._keys:
                await self._sync(kind)
            for entry in self.directory.expire(time.monotonic()):
                _log.info("no longer heard of", extra={"kind": entry.kind.value, "id": entry.id})
                self._lapsed[entry.kind].add(entry.id)
            await self._tell()
            await (self._link.wait_down(self._period) if self._link.up else self._link.wait_up(self._period))

    async def _sync(self, kind: Kind) -> None:
        keys = self._keys[kind]
        expected = ON_THEIR_WAY if self.listening else 0
        answer = await self._link.ask(
            "directory",
            lambda redis: redis.register_script(_SYNC)(
                [keys.entries, keys.seen, keys.version, keys.read], [self._versions[kind], LATE * 1000, expected]
            ),
        )
        if isinstance(answer, Unavailable):
            self.directory.source_is_gone(kind)
            return
        version, redis_now, count, seen, flat = answer
        ages = {id: (float(redis_now) - float(score)) / 1000 for id, score in _pairs(seen).items()}
        entries = None if flat is None else await self._parse(kind, _pairs(flat))
        now = time.monotonic()
        self.directory.source_is_there(kind, now)
        self._synced[kind] = now
        if entries is None:
            if not await self.wait(lambda _: self._versions[kind] >= int(version), OVERTAKING):
                self._versions[kind] = UNKNOWN
                await self._sync(kind)
                return
            on_time = self._present[kind] - ages.keys()
            self.directory.alive(kind, ages | dict.fromkeys(on_time, 0.0), now)
            # Who comes back as it was changes no version, and what it said has been forgotten here.
            back = on_time & self._lapsed[kind]
            in_step = len(self._present[kind]) == count and not back
            self._versions[kind] = self._versions[kind] if in_step else UNKNOWN
            return
        for entry in entries:
            if entry.id in ages:
                self.directory.heard(entry, now, ages[entry.id])
        self._present[kind], self._lapsed[kind] = set(ages), set()
        self._versions[kind] = int(version)

    async def _parse(self, kind: Kind, texts: dict[str, str]) -> list[Entry]:
        entries = []
        for number, text in enumerate(texts.values(), 1):
            if (entry := self._read(kind, text)) is not None:
                entries.append(entry)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        return entries

    async def _listen(self) -> None:
        while True:
            await self._link.wait_up()
            subscriber = self._link.subscriber()
            if subscriber is None:
                await asyncio.sleep(RESUBSCRIBE_PAUSE)
                continue
            try:
                async with asyncio.timeout(SUBSCRIPTION_SILENT):
                    await subscriber.subscribe(*(keys.changes for keys in self._keys.values()))
                await self._hear(subscriber)
            except (exceptions.RedisError, OSError) as error:
                _log.info("the directory's subscription ended", extra={"why": str(error)})
            finally:
                self.listening = False
                with suppress(exceptions.RedisError, OSError):
                    await subscriber.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(RESUBSCRIBE_PAUSE)

    async def _hear(self, subscriber: PubSub) -> None:
        heard = time.monotonic()
        while True:
            message = await subscriber.get_message(timeout=SUBSCRIPTION_SILENT / 3)
            if message is not None:
                heard = time.monotonic()
                self.listening = True
                if message["type"] == "message":
                    self._change(message["channel"], message["data"])
                await self._tell()
            elif time.monotonic() - heard > SUBSCRIPTION_SILENT:
                raise exceptions.ConnectionError("silent")
            else:
                await subscriber.ping()

    def _change(self, channel: str, text: str) -> None:
        """Take up one change if it is the next one; after a gap the next sync brings everything."""
        kind = next((kind for kind, keys in self._keys.items() if keys.changes == channel), None)
        number, _, change = text.partition(" ")
        if (
            kind is None
            or not number.isdigit()
            or int(number) <= self._versions[kind]
            or self._versions[kind] == UNKNOWN
        ):
            return
        if int(number) == self._versions[kind] + 1:
            self._versions[kind] += 1
        if change.startswith("+ "):
            if (entry := self._read(kind, change[2:])) is not None:
                self.directory.heard(entry, time.monotonic())
                self._present[kind].add(entry.id)
        elif change.startswith("- "):
            self.directory.gone(kind, change[2:])
            self._present[kind].discard(change[2:])

    def _read(self, kind: Kind, text: str) -> Entry | None:
        try:
            return parse_entry(text, kind)
        except EntryError as error:
            self._refused.labels(kind).inc()
            _log.warning("a directory entry cannot be read", extra={"kind": kind.value, "why": str(error)})
            return None

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _keep_on_disk(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY)
            self._save()

    def _save(self) -> None:
        """Half a megabyte for a thousand entries, so not worth a thread."""
        if self._state is None or self._saved == self.directory.version:
            return
        head = json.dumps({"fleet": self._fleet, "savedAt": self._wall()}).encode()
        try:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            beside = self._state.with_name(self._state.name + ".new")
            beside.write_bytes(head + b"\n" + dump_entries(self.directory.entries()))
            beside.replace(self._state)
        except OSError as error:
            _log.warning("the directory cannot be kept on disk", extra={"why": error.strerror})
        self._saved = self.directory.version

    def _restore(self) -> None:
        if self._state is None or not self._state.exists():
            return
        try:
            head, _, entries = self._state.read_bytes().partition(b"\n")
            about = json.loads(head)
            if about["fleet"] != self._fleet or not 0 <= self._wall() - about["savedAt"] <= LARGEST_AGE:
                return
            known = [entry for entry in parse_entries(entries) if entry.kind in self._keys]
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("the directory's last state cannot be read", extra={"why": str(error)})
            return
        self.directory.restore(known)
        self._saved = self.directory.version


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
