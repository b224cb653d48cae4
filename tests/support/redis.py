"""A real Redis for tests: started, killed, paused, filled and flushed as a test needs it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis

from voicefleet.net.embedded_redis import EmbeddedRedis
from voicefleet.net.redis_address import connect
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.redis_target import RedisTarget

DEADLINE = 30.0


class RedisServer(EmbeddedRedis):
    """One server at one address over its deaths."""

    async def kill(self) -> None:
        """As the kernel's memory killer would."""
        await self.stop(signal.SIGKILL)

    def pause(self) -> None:
        """It keeps its connections and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        os.kill(self.pid, signal.SIGCONT)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """A client of the test's own."""
        made = connect(self.url, 5.0)
        try:
            yield made
        finally:
            await made.aclose()

    async def flush(self) -> None:
        """Everything in it is gone."""
        async with self.client() as client:
            await client.flushall()

    async def fill(self) -> None:
        """It takes no more data."""
        async with self.client() as client:
            await client.config_set("maxmemory-policy", "noeviction")
            await client.config_set("maxmemory", "1")

    async def empty(self) -> None:
        """It takes data again."""
        async with self.client() as client:
            await client.config_set("maxmemory", "0")


@asynccontextmanager
async def redis_server() -> AsyncIterator[RedisServer]:
    """A running server with no supervisor: what a test kills stays dead until it starts it."""
    server = RedisServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def linked(url: str, *, deadline: float = 5.0) -> AsyncIterator[RedisLink]:
    """A link that is up; patient, unless the test is about impatience."""
    link = RedisLink(RedisTarget(url), deadline=deadline)
    async with running(link.run()):
        assert await link.wait_up(DEADLINE)
        yield link


@asynccontextmanager
async def running(*work: Awaitable[None]) -> AsyncIterator[None]:
    """What a service would run in its task group; an exception in it is the test's."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def until(fact: Callable[[], Any], deadline: float = DEADLINE) -> None:
    """Wait for a fact; it may be a coroutine function."""
    async with asyncio.timeout(deadline):
        while True:
            value = fact()
            if await value if asyncio.iscoroutine(value) else value:
                return
            await asyncio.sleep(0.01)
