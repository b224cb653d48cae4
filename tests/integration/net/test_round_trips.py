"""Round trips that transceivers report and every replica of signaling averages, over a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from redis.asyncio import Redis

from tests.support.facts import eventually
from tests.support.redis import linked, redis_server
from voicefleet.contract import RedisKey
from voicefleet.core.steering.round_trips import RoundTrips
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.round_trips import CHUNK, LENGTH, QUIET, WAITING, RoundTripReader, RoundTripReports

HOME, OFFICE = "198.51.100.0/24", "2001:db8:7::/48"


@asynccontextmanager
async def running(*tasks: RoundTripReports | RoundTripReader) -> AsyncIterator[None]:
    started = [asyncio.ensure_future(each.run()) for each in tasks]
    try:
        yield
    finally:
        for task in started:
            task.cancel()


def known(measured: RoundTrips, now: float) -> dict[tuple[str, str], float]:
    return {(network, pool): round(each.milliseconds, 1) for network, pool, each in measured}


async def _add(redis: Redis, key: str, fields: dict[Any, Any]) -> None:
    await redis.xadd(key, fields)


async def test_what_one_transceiver_reports_every_replica_knows_whenever_it_started() -> None:
    async with redis_server() as server, linked(server.url) as link, linked(server.url) as other:
        clock = [1000.0]
        reports = RoundTripReports(link, "demo", lambda: clock[0])
        early, late = RoundTrips(), RoundTrips()
        async with running(reports, RoundTripReader(other, "demo", early, lambda: 50.0)):
            reports.report(HOME, "fra", 20.0)
            reports.report(OFFICE, "nyc", 80.0)
            expected = {(HOME, "fra"): 20.0, (OFFICE, "nyc"): 80.0}
            await eventually(lambda: known(early, 50.0) == expected, "the first replica knows")
        async with running(RoundTripReader(other, "demo", late, lambda: 9000.0)):
            await eventually(lambda: known(late, 9000.0) == expected, "a replica that starts later knows")
        assert all(0.0 <= 9000.0 - each.at < 60.0 for _, _, each in late)


async def test_an_office_that_calls_all_the_time_is_reported_now_and_then() -> None:
    async with redis_server() as server, linked(server.url) as link:
        clock = [1000.0]
        reports, measured = RoundTripReports(link, "demo", lambda: clock[0]), RoundTrips()
        reader = RoundTripReader(link, "demo", measured)
        for number in range(100):
            reports.report(OFFICE, "fra", 20.0 + number)
        clock[0] += QUIET
        assert await reports.send() and await reader.take() == 1
        reports.report(OFFICE, "fra", 30.0)
        assert await reports.send() and await reader.take() == 1
        assert known(measured, 0.0) == {(OFFICE, "fra"): 25.0}


async def test_the_stream_and_what_waits_for_redis_stay_within_bounds() -> None:
    async with redis_server() as server, linked(server.url) as link:
        reports = RoundTripReports(link, "demo")
        for number in range(WAITING + 500):
            reports.report(f"net {number}", "fra", 20.0)
        assert await reports.send()
        length = await link.ask("length", lambda redis: redis.xlen(RedisKey("demo").round_trips()))
        assert length == WAITING < LENGTH
        measured = RoundTrips()
        reader = RoundTripReader(link, "demo", measured)
        taken = [await reader.take() for _ in range(WAITING // CHUNK + 1)]
        assert sum(taken) == WAITING and len(measured) == WAITING


async def test_replicas_go_on_when_redis_is_flushed_or_away_and_reports_wait_for_it() -> None:
    async with redis_server() as server, linked(server.url) as link:
        reports, measured = RoundTripReports(link, "demo"), RoundTrips()
        async with running(reports, RoundTripReader(link, "demo", measured)):
            reports.report(HOME, "fra", 20.0)
            await eventually(lambda: (HOME, "fra") in known(measured, 0.0), "the first is known")
            await link.ask("flush", lambda redis: redis.flushall())
            reports.report(HOME, "nyc", 90.0)
            await eventually(lambda: (HOME, "nyc") in known(measured, 0.0), "one after the flush is known")
            await server.kill()
            reports.report(OFFICE, "fra", 30.0)
            await eventually(lambda: not link.up, "the link has noticed")
            assert len(measured) == 1
            await server.start()
            await eventually(lambda: (OFFICE, "fra") in known(measured, 0.0), "what waited is known")


async def test_entries_that_nobody_can_read_are_counted_and_harm_nothing() -> None:
    async with redis_server() as server, linked(server.url) as link:
        key = RedisKey("demo").round_trips()
        for fields in (
            {"network": HOME},
            {"network": HOME, "pool": "fra", "ms": "soon"},
            {"network": HOME, "pool": "fra", "ms": "nan"},
        ):
            await link.ask("add", partial(_add, key=key, fields=fields))
        await link.ask("add", lambda redis: redis.xadd(key, {"network": HOME, "pool": "fra", "ms": "12.5"}))
        measured = RoundTrips()
        reader = RoundTripReader(link, "demo", measured)
        assert await reader.take() == 4
        assert known(measured, 0.0) == {(HOME, "fra"): 12.5}
        samples = {(s.name, s.labels.get("result")): s.value for family in reader.collect() for s in family.samples}
        assert samples[("voicefleet_round_trips_read", "refused")] == 3


async def test_without_redis_there_is_nothing_to_wait_for() -> None:
    link = RedisLink(None)
    reports = RoundTripReports(link, "demo")
    reports.report(HOME, "fra", 20.0)
    assert not await reports.send()
    assert await RoundTripReader(link, "demo", RoundTrips()).take() == 0
