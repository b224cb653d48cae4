"""Round trips between client networks and relay pools, shared through Redis: transceivers report, signaling follows.

A stream of bounded length: each reader makes its own averages of it, all alike; one that starts reads what is there.
Redis stamps the entries, so that hosts' clocks do not matter. Without Redis a reader goes on with the averages it has.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicefleet.contract import Metric as Name
from voicefleet.contract import RedisKey
from voicefleet.core.steering.round_trips import RoundTrips
from voicefleet.net.redis_library import Redis
from voicefleet.net.redis_link import RedisLink, Unavailable
from voicefleet.net.write_behind import keep_sending

LENGTH: Final = 100_000
"""Entries that the stream keeps, about 12 MB of Redis's memory."""
QUIET: Final = 20.0
"""Seconds in which one transceiver reports a network and pool once: a large office says no more than a small one."""
REMEMBERED: Final = 10_000
"""Reports remembered for that."""
WAITING: Final = 2_000
"""Reports that wait for Redis at most; older ones make room."""
GATHER: Final = 0.25
"""Seconds that reports wait for company."""
RETRY_PAUSE: Final = 1.0
LOOK_EVERY: Final = 1.0
CHUNK: Final = 500
"""Entries that a reader takes at once, some milliseconds of its time."""


class RoundTripReports(Collector):
    """A transceiver's side; `run` sends. Also the collector of its metrics."""

    def __init__(self, link: RedisLink, fleet: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._key = RedisKey(fleet).round_trips()
        self._clock = clock
        self._told: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._waiting: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._some = asyncio.Event()
        self._reports = Counter(
            Name.ROUND_TRIPS_REPORTED, "Round trips of client networks by what became of them.", ["result"],
            registry=None,
        )  # fmt: skip

    def report(self, network: str, pool: str, milliseconds: float) -> None:
        """A call of this network was measured through a relay of this pool."""
        now, name = self._clock(), (network, pool)
        if now - self._told.get(name, -math.inf) < QUIET:
            self._reports.labels("said_lately").inc()
            return
        self._told[name] = now
        self._told.move_to_end(name)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._waiting[name] = milliseconds
        while len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
            self._reports.labels("no_room").inc()
        self._some.set()

    async def run(self) -> None:
        """Send until cancelled."""
        await keep_sending(self._some, self.send, self._link, GATHER, RETRY_PAUSE)

    async def send(self) -> bool:
        """Send what waits; False if Redis did not take it."""
        while self._waiting:
            names = list(self._waiting)[:CHUNK]
            batch = [(name, self._waiting[name]) for name in names]
            answer = await self._link.ask("round trips", lambda redis, batch=batch: self._add(redis, batch))  # type: ignore[misc]
            if isinstance(answer, Unavailable):
                return False
            for name, milliseconds in batch:
                if self._waiting.get(name) == milliseconds:
                    del self._waiting[name]
            self._reports.labels("sent").inc(len(batch))
        self._some.clear()
        return True

    def collect(self) -> Iterator[Metric]:
        """Reports by what became of them; the registry calls it."""
        yield from self._reports.collect()

    async def _add(self, redis: Redis, batch: Sequence[tuple[tuple[str, str], float]]) -> None:
        async with redis.pipeline(transaction=False) as pipeline:
            for (network, pool), milliseconds in batch:
                fields: dict[Any, Any] = {"network": network, "pool": pool, "ms": f"{milliseconds:.1f}"}
                pipeline.xadd(self._key, fields, maxlen=LENGTH, approximate=True)
            await pipeline.execute()


class RoundTripReader(Collector):
    """Signaling's side: keeps averages while `run` runs. Also the collector of its metrics."""

    def __init__(
        self, link: RedisLink, fleet: str, measured: RoundTrips, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` is the one by which the averages are asked."""
        self._link = link
        self._key = RedisKey(fleet).round_trips()
        self._measured = measured
        self._clock = clock
        self._last = "0-0"
        self._read = 0
        self._refused = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self._link.wait_up()
            while await self.take() == CHUNK:  # noqa: ASYNC110 - others get a turn
                await asyncio.sleep(0)
            await asyncio.sleep(LOOK_EVERY)

    async def take(self) -> int:
        """Take up what was reported since; how many entries that were, at most a chunk."""
        answer = await self._link.ask("round trips", self._since)
        if isinstance(answer, Unavailable):
            return 0
        (seconds, micros), streams = answer
        redis_ms, now = seconds * 1000 + micros / 1000, self._clock()
        if int(self._last.partition("-")[0]) > redis_ms + 60_000:
            self._last = "0-0"  # another Redis, whose clock is behind that of the one before
        entries = streams[0][1] if streams else []
        for number, fields in entries:
            self._last = number
            age = max(0.0, redis_ms - int(number.partition("-")[0])) / 1000
            try:
                taken = self._measured.record(fields["network"], fields["pool"], float(fields["ms"]), now - age)
            except (KeyError, ValueError):
                taken = None
            self._read += taken is not None
            self._refused += taken is None
        return len(entries)

    def collect(self) -> Iterator[Metric]:
        """Networks that are known, and entries; the registry calls it."""
        networks = GaugeMetricFamily(Name.ROUND_TRIP_NETWORKS, "Client networks of which round trips are known.")
        networks.add_metric([], len(self._measured))
        entries = GaugeMetricFamily(Name.ROUND_TRIPS_READ, "Reports read since the start.", labels=["result"])
        entries.add_metric(["taken"], self._read)
        entries.add_metric(["refused"], self._refused)
        yield from (networks, entries)

    async def _since(self, redis: Redis) -> Any:
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.xread({self._key: self._last}, count=CHUNK)
            return await pipeline.execute()
