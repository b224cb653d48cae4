"""Writes to Redis that nobody waits for: gathered, the latest value of a key wins, sent in batches with an expiry.

While Redis is away what is waiting stays, up to a bound; what it refuses because it is full is let go of and counted,
since the owner refreshes all that lives anyway. Nothing here raises or waits in a caller.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric

from voicefleet.contract import Metric as Name
from voicefleet.net.redis_library import Redis, exceptions
from voicefleet.net.redis_link import Fault, RedisLink, Unavailable, fault_of

BATCH: Final = 500
"""Commands in one round trip: about 2 ms of Redis's time, so that others are not kept waiting."""
GATHER: Final = 0.02
"""Seconds that writes wait for company."""
RETRY_PAUSE: Final = 0.2


class _Write(NamedTuple):
    """What a key is set to; None deletes it."""

    value: str | None
    seconds: int


class WriteBehind:
    """One kind of writes with their bound; `run` sends them."""

    def __init__(self, link: RedisLink, operation: str, bound: int) -> None:
        self._link = link
        self._operation = operation
        self._bound = bound
        self._waiting: dict[str, _Write] = {}
        self._some = asyncio.Event()
        self._writes = Counter(
            Name.SESSION_MAP_WRITES, "Writes to the session map by outcome.", ["kind", "result"], registry=None
        )

    def set(self, key: str, value: str, seconds: float) -> None:
        """Set a key soon, to be forgotten by Redis after so many seconds."""
        self._put(key, _Write(value, max(1, round(seconds))))

    def delete(self, key: str) -> None:
        """Delete a key soon."""
        self._put(key, _Write(None, 0))

    @property
    def waiting(self) -> int:
        """Writes that have not reached Redis."""
        return len(self._waiting)

    async def run(self) -> None:
        """Send until cancelled."""
        await keep_sending(self._some, self.send, self._link, GATHER, RETRY_PAUSE)

    async def send(self) -> bool:
        """Send all that is waiting now; False if Redis is away, in which case what was not sent goes on waiting."""
        while self._waiting:
            keys = list(self._waiting)[:BATCH]
            batch = {key: self._waiting.pop(key) for key in keys}
            try:
                answer = await self._link.ask(self._operation, partial(_send, batch=batch))
            except BaseException:
                self._waiting = batch | self._waiting
                raise
            if isinstance(answer, Unavailable):
                if answer.fault is not Fault.FULL:
                    self._waiting = batch | self._waiting
                    return False
                self._count(answer.fault.value, len(batch))
                continue
            for result in answer:
                self._count(fault_of(result).value if isinstance(result, Exception) else "ok", 1)
        self._some.clear()
        return True

    def families(self) -> Iterator[Metric]:
        """Outcomes, and what waits."""
        waiting = GaugeMetricFamily(
            Name.SESSION_MAP_WAITING, "Writes to the session map that have not been sent.", labels=["kind"]
        )
        waiting.add_metric([self._operation], len(self._waiting))
        yield waiting
        yield from self._writes.collect()

    def _put(self, key: str, write: _Write) -> None:
        if self._link.state is Fault.OFF:
            return
        if len(self._waiting) >= self._bound and key not in self._waiting:
            self._count("no_room", 1)
            return
        self._waiting[key] = write
        self._some.set()

    def _count(self, result: str, times: int) -> None:
        self._writes.labels(self._operation, result).inc(times)


async def keep_sending(
    some: asyncio.Event, send: Callable[[], Awaitable[bool]], link: RedisLink, gather: float, pause: float
) -> None:
    """Until cancelled: when there is something, wait for its company and send; while Redis is away, wait for it."""
    while True:
        await some.wait()
        await asyncio.sleep(gather)
        if not await send():
            await asyncio.sleep(pause)
            await link.wait_up()


async def _send(redis: Redis, batch: dict[str, _Write]) -> list[object]:
    pipeline = redis.pipeline(transaction=False)
    for key, write in batch.items():
        if write.value is None:
            pipeline.delete(key)
        else:
            pipeline.set(key, write.value, ex=write.seconds)
    results: list[object] = await pipeline.execute(raise_on_error=False)
    if results and all(isinstance(result, exceptions.RedisError) for result in results):
        raise results[0]  # type: ignore[misc]
    return results
