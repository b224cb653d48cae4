"""Rate limits across replicas, against a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.redis import RedisServer, linked, redis_server
from voicefleet.core.rate_limit import Rate
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.shared_rate_limit import SharedRateLimit

SLOW = Rate(0.001, 6)
FAST = Rate(1000.0, 1000)


@asynccontextmanager
async def replicas(server: RedisServer) -> AsyncIterator[list[SharedRateLimit]]:
    async with linked(server.url) as one, linked(server.url) as other:
        yield [SharedRateLimit(link, "demo") for link in (one, other)]


async def test_two_replicas_together_let_no_more_through_than_the_limit() -> None:
    async with redis_server() as server, replicas(server) as both:
        names = {("key", "shop"): SLOW, ("network", "198.51.100.0/24"): FAST}
        waits = await asyncio.gather(*(both[number % 2].take(names) for number in range(20)))
        assert sum(wait == 0.0 for wait in waits) == SLOW.burst
        assert all(wait > 1.0 for wait in waits if wait)
        assert await both[0].take({("key", "another"): SLOW}) == 0.0


async def test_what_is_refused_by_one_limit_costs_nothing_of_the_other() -> None:
    async with redis_server() as server, replicas(server) as both:
        used_up, fresh = ("key", "used up"), ("network", "fresh")
        for _ in range(SLOW.burst):
            await both[0].take({used_up: SLOW})
        for _ in range(10):
            assert await both[0].take({used_up: SLOW, fresh: SLOW}) > 0.0
        assert [await both[1].take({fresh: SLOW}) == 0.0 for _ in range(SLOW.burst)] == [True] * SLOW.burst


async def test_without_redis_nobody_is_refused_because_of_it() -> None:
    shared = SharedRateLimit(RedisLink(None), "demo")
    assert [await shared.take({("key", "shop"): SLOW}) for _ in range(20)] == [0.0] * 20
    async with redis_server() as server, replicas(server) as both:
        await server.kill()
        assert [await both[0].take({("key", "shop"): SLOW}) for _ in range(20)] == [0.0] * 20
