"""Flows and sessions in a real Redis that is killed, flushed, paused and filled."""

import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from tests.support.redis import DEADLINE, RedisServer, linked, redis_server, running, until
from voicefleet.contract import RedisKey
from voicefleet.net.redis_link import Fault, RedisLink, Unavailable
from voicefleet.net.session_map import (
    FLOW_SECONDS,
    LOOKUP_BOUND,
    MISSING_SECONDS,
    FlowMap,
    SessionMap,
    SessionRecord,
)
from voicefleet.net.write_behind import WriteBehind

HOP = ("10.0.0.1", 4478)
CLIENT = ("192.0.2.7", 5000)


def client(number: int) -> tuple[str, int]:
    return (f"192.0.2.{number % 250}", 1024 + number)


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with redis_server() as made:
        yield made


async def test_a_restarted_relay_finds_every_flow_of_its_predecessor(server: RedisServer) -> None:
    flows = {client(number): ("10.0.0.1", 4478 + number % 4) for number in range(1000)}
    flows[("2001:db8::7", 5000)] = ("fd00::1", 4478)
    async with linked(server.url) as link:
        before = FlowMap(link, "demo", "fra")
        for each, hop in flows.items():
            before.put(each, hop)
        assert before.waiting == len(flows)
        assert await before.flush()
        assert before.waiting == 0
    async with linked(server.url) as link:
        after = FlowMap(link, "demo", "fra")
        found: dict[tuple[str, int], tuple[str, int]] = {}
        wanted = list(flows)
        for start in range(0, len(wanted), LOOKUP_BOUND):
            found |= await after.find(wanted[start : start + LOOKUP_BOUND])
        assert found == flows
        assert await FlowMap(link, "demo", "nyc").find([CLIENT]) == {}


async def test_writes_arrive_without_anybody_waiting_and_expire_by_themselves(server: RedisServer) -> None:
    async with linked(server.url) as link, server.client() as other:
        flows = FlowMap(link, "demo", "fra")
        async with running(flows.run()):
            flows.put(CLIENT, ("10.0.0.9", 1))
            flows.put(CLIENT, HOP)
            key = RedisKey("demo").flow("fra", *CLIENT)
            await until(lambda: other.exists(key))
            assert await other.get(key) == "10.0.0.1|4478"
            assert FLOW_SECONDS - 30 < await other.ttl(key) <= FLOW_SECONDS
            flows.remove(CLIENT)

            async def gone() -> bool:
                return not await other.exists(key)

            await until(gone)


async def test_what_redis_does_not_have_is_not_asked_for_again_at_once(server: RedisServer) -> None:
    now = 100.0
    async with linked(server.url) as link:
        flows = FlowMap(link, "demo", "fra", clock=lambda: now)
        registry = CollectorRegistry()
        registry.register(flows)

        def count(result: str) -> float:
            return registry.get_sample_value("voicefleet_flow_lookups_total", {"result": result}) or 0.0

        for _ in range(10):
            assert await flows.find([CLIENT, CLIENT]) == {}
        assert (count("missing"), count("known_missing")) == (1, 9)
        now += MISSING_SECONDS
        assert await flows.find([CLIENT]) == {}
        assert count("missing") == 2
        flows.put(CLIENT, HOP)
        assert await flows.flush()
        assert await flows.find([CLIENT]) == {CLIENT: HOP}


async def test_a_flood_of_strangers_costs_bounded_memory_and_one_bounded_command(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicefleet.net.session_map.MISSING_BOUND", 500)
    async with linked(server.url) as link:
        flows = FlowMap(link, "demo", "fra")
        for start in range(0, 4000, 1000):
            assert await flows.find([client(number) for number in range(start, start + 1000)]) == {}
            assert len(flows._missing) <= 500


async def test_while_redis_is_away_the_latest_is_kept_and_written_when_it_is_back(server: RedisServer) -> None:
    async with linked(server.url) as link:
        flows = FlowMap(link, "demo", "fra")
        async with running(flows.run()):
            await server.kill()
            for number in range(100):
                flows.put(client(number), HOP)
                flows.put(CLIENT, ("10.0.0.2", number))
            await until(lambda: not link.up)
            assert flows.waiting == 101
            assert await flows.find([CLIENT]) == {}
            await server.start()
            await until(lambda: flows.waiting == 0)
            assert await flows.find([CLIENT]) == {CLIENT: ("10.0.0.2", 99)}


async def test_paused_nothing_is_lost_and_nobody_waits(server: RedisServer) -> None:
    async with linked(server.url, deadline=0.5) as link:
        flows = FlowMap(link, "demo", "fra")
        async with running(flows.run()):
            server.pause()
            started = time.perf_counter()
            for number in range(2000):
                flows.put(client(number), HOP)
            assert time.perf_counter() - started < 1.0
            await until(lambda: not link.up)
            assert flows.waiting == 2000
            server.resume()
            await until(lambda: flows.waiting == 0)
            assert len(await flows.find([client(number) for number in range(200)])) == 200


async def test_full_writes_are_let_go_and_counted(server: RedisServer) -> None:
    async with linked(server.url) as link:
        await server.fill()
        flows = FlowMap(link, "demo", "fra")
        registry = CollectorRegistry()
        registry.register(flows)
        flows.put(CLIENT, HOP)
        assert await flows.flush()
        assert flows.waiting == 0
        labels = {"kind": "flows", "result": "full"}
        assert registry.get_sample_value("voicefleet_session_map_writes_total", labels) == 1
        await server.empty()
        flows.put(CLIENT, HOP)
        assert await flows.flush()
        assert await flows.find([CLIENT]) == {CLIENT: HOP}


async def test_flushed_a_refresh_brings_the_flow_back(server: RedisServer) -> None:
    async with linked(server.url) as link:
        flows = FlowMap(link, "demo", "fra")
        flows.put(CLIENT, HOP)
        assert await flows.flush()
        await server.flush()
        assert await flows.find([CLIENT]) == {}
        flows.put(CLIENT, HOP)
        assert await flows.flush()
        assert await flows.find([CLIENT]) == {CLIENT: HOP}


async def test_what_waits_is_bounded() -> None:
    link = RedisLink(None)
    link.state = Fault.GONE
    writes = WriteBehind(link, "flows", bound=10)
    for number in range(20):
        writes.set(f"k{number}", "v", 60)
        writes.set("k0", f"{number}", 60)
    assert writes.waiting == 10
    assert not await writes.send()
    assert writes.waiting == 10


async def test_without_redis_nothing_is_kept_waiting() -> None:
    flows = FlowMap(RedisLink(None), "demo", "fra")
    flows.put(CLIENT, HOP)
    assert flows.waiting == 0
    assert await flows.find([CLIENT]) == {}


@pytest.mark.parametrize("text", ["", "|", "10.0.0.1", "10.0.0.1|", "10.0.0.1|x", "10.0.0.1|70000", "|80"])
async def test_nonsense_in_redis_is_no_flow(server: RedisServer, text: str) -> None:
    async with linked(server.url) as link, server.client() as other:
        await other.set(RedisKey("demo").flow("fra", *CLIENT), text)
        assert await FlowMap(link, "demo", "fra").find([CLIENT]) == {}


RECORD = SessionRecord(
    "rtc_1", "eu-0", ("10.0.0.1", 8089), 1_800_000_000.0, shard="eu", region="eu", pools=("fra", "nyc"), key="shop",
    worker=1, measures={"rtt_ms": 41.5, "mos": 4.2},
)  # fmt: skip


async def test_any_part_finds_a_session_s_owner(server: RedisServer) -> None:
    async with linked(server.url) as owner, linked(server.url) as anybody:
        sessions = SessionMap(owner, "demo")
        async with running(sessions.run()):
            sessions.put(RECORD)
            lookup = SessionMap(anybody, "demo")

            async def there() -> bool:
                return await lookup.get("rtc_1") == RECORD

            await until(there)
            assert await lookup.get("rtc_2") is None
            sessions.remove("rtc_1")

            async def gone() -> bool:
                return await lookup.get("rtc_1") is None

            await until(gone)


async def test_a_session_that_cannot_be_looked_up_is_told_apart_from_one_that_is_not_there(
    server: RedisServer,
) -> None:
    async with linked(server.url) as link, server.client() as other:
        sessions = SessionMap(link, "demo")
        await other.set(RedisKey("demo").session("rtc_1"), "{}")
        assert await sessions.get("rtc_1") == Unavailable(Fault.BROKEN, "the record cannot be read")
        await server.kill()
        answer = await sessions.get("rtc_1")
        assert isinstance(answer, Unavailable) and answer.fault is Fault.GONE
        await server.start()
        assert await link.wait_up(DEADLINE)
        assert await sessions.get("rtc_1") is None
