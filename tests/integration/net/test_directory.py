"""The directory over a real Redis that is killed, flushed, paused and filled."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tests.support.redis import DEADLINE, RedisServer, linked, redis_server, running, until
from voicefleet.contract import RedisKey
from voicefleet.core.directory import (
    DROP_AFTER,
    Directory,
    Entry,
    HopWorker,
    Kind,
    PublicAddress,
    RelayEntry,
    Tier,
    TransceiverEntry,
)
from voicefleet.core.place import Place
from voicefleet.net import directory
from voicefleet.net.directory import DirectoryReader
from voicefleet.net.directory_entries import EntryError, dump_entry, parse_entry
from voicefleet.net.directory_heartbeat import BEAT_EVERY, Heartbeat
from voicefleet.net.redis_link import RedisLink

FRA = RelayEntry(
    "fra-0", "fra", "eu", Place(50.1, 8.7), (PublicAddress("192.0.2.1", 3478, 3478), PublicAddress("::1", 3478)),
    0.1, Tier.KERNEL, node="n1", zone="a",
)  # fmt: skip
NYC = RelayEntry("nyc-0", "nyc", "us", None, (PublicAddress("192.0.2.2", 3478),), 0.0)
EU = TransceiverEntry(
    "eu-0", "eu", "eu", Place(50.0, 8.0), ("10.0.0.1", 8089), 200, 150, (HopWorker("10.0.0.1", 4478, 7),)
)


class Part:
    """A part of the fleet with an entry that can change."""

    def __init__(self, link: RedisLink, entry: Entry) -> None:
        self.entry = entry
        self.heartbeat = Heartbeat(link, "demo", lambda: self.entry)


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with redis_server() as made:
        yield made


@asynccontextmanager
async def fleet(server: RedisServer, *entries: Entry) -> AsyncIterator[list[Part]]:
    """Parts that beat over links of their own."""
    async with AsyncExitStack() as stack:
        parts = [Part(await stack.enter_async_context(linked(server.url, deadline=0.5)), entry) for entry in entries]
        await stack.enter_async_context(running(*(part.heartbeat.run() for part in parts)))
        yield parts


@asynccontextmanager
async def reader(server: RedisServer, **options: object) -> AsyncIterator[DirectoryReader]:
    async with linked(server.url, deadline=0.5) as link:
        made = DirectoryReader(link, "demo", **options)  # type: ignore[arg-type]
        async with running(made.run()):
            yield made


def holds(*entries: Entry, fresh: bool = True) -> Callable[[Directory], bool]:
    """Exactly these, and all of them fresh."""

    def check(directory: Directory) -> bool:
        known = sorted(directory.entries(), key=lambda entry: entry.id)
        return known == sorted(entries, key=lambda entry: entry.id) and not (
            fresh and any(directory.stale(entry, time.monotonic()) for entry in entries)
        )

    return check


async def test_who_beats_is_known_whether_he_came_before_or_after_the_reader(server: RedisServer) -> None:
    async with fleet(server, FRA), reader(server) as known:
        assert await known.wait(holds(FRA), DEADLINE)
        async with fleet(server, EU):
            assert await known.wait(holds(FRA, EU), DEADLINE)
            assert known.directory.relays() == (FRA,)
            assert known.directory.transceivers() == (EU,)


async def test_a_change_is_told_before_the_next_sync(server: RedisServer) -> None:
    async with fleet(server, FRA) as (part,), reader(server, period=3600.0) as known:
        assert await known.wait(lambda directory: known.listening, DEADLINE)
        for load in (0.2, 0.3, 0.4):
            part.entry = replace(FRA, load=load)
            part.heartbeat.changed()
            assert await known.wait(holds(part.entry), DEADLINE)
        part.entry = replace(FRA, draining=True)
        part.heartbeat.changed()
        assert await known.wait(lambda directory: directory.relays()[0].draining, DEADLINE)


async def test_a_goodbye_takes_an_entry_out_at_once(server: RedisServer) -> None:
    async with reader(server, period=3600.0) as known, linked(server.url) as link:
        part = Part(link, FRA)
        assert await known.wait(lambda directory: known.listening, DEADLINE)
        assert await part.heartbeat.beat()
        assert await known.wait(holds(FRA), DEADLINE)
        assert await part.heartbeat.goodbye()
        assert await known.wait(holds(), DEADLINE)


async def test_a_part_that_was_killed_is_dropped_by_age_and_the_others_stay(server: RedisServer) -> None:
    async with fleet(server, FRA), reader(server) as known:
        async with fleet(server, NYC):
            assert await known.wait(holds(FRA, NYC), DEADLINE)
        assert await known.wait(lambda directory: directory.stale(NYC, time.monotonic()), DEADLINE)
        assert await known.wait(holds(FRA), DEADLINE)


async def test_who_was_silent_for_too_long_and_comes_back_as_it_was_is_known_again(server: RedisServer) -> None:
    async with reader(server) as known, reader(server, follow=False) as looking, fleet(server, NYC):
        async with fleet(server, FRA):
            for each in (known, looking):
                assert await each.wait(holds(FRA, NYC), DEADLINE)
        for each in (known, looking):
            assert await each.wait(holds(NYC), DEADLINE + DROP_AFTER)
        async with fleet(server, FRA):  # Redis has its entry still, and nothing about it changes
            for each in (known, looking):
                assert await each.wait(holds(FRA, NYC), DEADLINE)


async def test_a_flush_loses_nobody(server: RedisServer) -> None:
    async with fleet(server, FRA, EU) as parts, reader(server) as known:
        assert await known.wait(holds(FRA, EU), DEADLINE)
        sizes: list[int] = []
        watching = True

        async def watch() -> None:
            while watching:
                sizes.append(len(known.directory.entries()))
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch())
            await server.flush()
            changed = parts[0].entry = replace(FRA, load=0.9)
            assert await known.wait(holds(changed, EU), DEADLINE)
            async with server.client() as client:
                await until(lambda: client.hexists(RedisKey("demo").directory(Kind.RELAY).entries, "fra-0"))
            watching = False
        assert set(sizes) == {2}


async def test_killed_and_started_again_nobody_is_lost_and_all_are_fresh_again(server: RedisServer) -> None:
    async with fleet(server, FRA, EU), reader(server) as known:
        assert await known.wait(holds(FRA, EU), DEADLINE)
        await server.kill()
        assert await known.wait(lambda directory: not directory.connected(Kind.RELAY), DEADLINE)
        assert holds(FRA, EU, fresh=False)(known.directory)
        assert known.directory.stale(FRA, time.monotonic())
        await server.start()
        assert await known.wait(holds(FRA, EU), DEADLINE)


@pytest.mark.parametrize("how", ["kill", "pause", "fill"])
async def test_while_redis_is_away_everything_is_kept_for_as_long_as_it_takes(server: RedisServer, how: str) -> None:
    async with fleet(server, FRA), reader(server) as known:
        assert await known.wait(holds(FRA), DEADLINE)
        if how == "kill":
            await server.kill()
        elif how == "pause":
            server.pause()
        else:
            await server.fill()
        assert await known.wait(lambda directory: not directory.connected(Kind.RELAY), DEADLINE)
        much_later = time.monotonic() + 3600 + DROP_AFTER
        assert known.directory.expire(much_later) == ()
        assert known.directory.stale(FRA, much_later)
        if how == "kill":
            await server.start()
        elif how == "pause":
            server.resume()
        else:
            await server.empty()
        assert await known.wait(holds(FRA), DEADLINE)


async def test_a_process_that_starts_while_redis_is_away_knows_what_was_there(
    server: RedisServer, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "directory.json"
    async with fleet(server, FRA, EU), reader(server, state=state) as known:
        assert await known.wait(holds(FRA, EU), DEADLINE)
    await server.kill()
    link = RedisLink(None)
    again = DirectoryReader(link, "demo", state=state)
    assert holds(FRA, EU, fresh=False)(again.directory)
    assert again.directory.stale(FRA, time.monotonic())
    assert DirectoryReader(link, "shop", state=state).directory.entries() == ()
    assert DirectoryReader(link, "demo", [Kind.RELAY], state=state).directory.entries() == (FRA,)
    assert DirectoryReader(link, "demo", state=state, wall=lambda: time.time() + 7200).directory.entries() == ()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\n[]", b'{"fleet": "demo", "savedAt": 1}\n[{}]', b"[]\n[]"])
def test_a_state_on_disk_that_cannot_be_read_is_let_be(tmp_path: Path, content: bytes) -> None:
    state = tmp_path / "directory.json"
    state.write_bytes(content)
    assert DirectoryReader(RedisLink(None), "demo", state=state, wall=lambda: 1.0).directory.entries() == ()


async def test_an_entry_that_cannot_be_read_is_counted_and_the_others_are_used(server: RedisServer) -> None:
    async with server.client() as client:
        keys = RedisKey("demo").directory(Kind.RELAY)
        for number, text in enumerate(("{", '{"kind": "relay"}', dump_entry(EU))):
            await client.hset(keys.entries, f"bad-{number}", text)
            await client.zadd(keys.seen, {f"bad-{number}": time.time() * 1000})
    async with fleet(server, FRA), reader(server) as known:
        assert await known.wait(holds(FRA), DEADLINE)
        registry = CollectorRegistry()
        registry.register(known)
        assert (registry.get_sample_value("voicefleet_directory_refused_total", {"kind": "relay"}) or 0) >= 3
        assert registry.get_sample_value("voicefleet_directory_entries", {"kind": "relay", "state": "fresh"}) == 1
        assert registry.get_sample_value("voicefleet_directory_connected", {"kind": "relay"}) == 1


async def test_a_reader_that_only_needs_to_know_who_lives_follows_no_channel(server: RedisServer) -> None:
    async with fleet(server, EU), reader(server, kinds=[Kind.TRANSCEIVER], follow=False, period=0.1) as known:
        assert await known.wait(holds(EU), DEADLINE)
        async with server.client() as client:
            assert await client.pubsub_channels() == []
        async with fleet(server, FRA):
            assert await known.wait(holds(EU), DEADLINE)


async def test_a_broken_subscription_heals_and_loses_no_change(server: RedisServer) -> None:
    async with fleet(server, FRA) as (part,), reader(server, period=0.2) as known:
        assert await known.wait(lambda directory: known.listening, DEADLINE)
        for load in (0.2, 0.4, 0.6):
            async with server.client() as client:
                await client.client_kill_filter(_type="pubsub")
            part.entry = replace(FRA, load=load)
            part.heartbeat.changed()
            assert await known.wait(holds(part.entry), DEADLINE)
        assert await known.wait(lambda directory: known.listening, DEADLINE)


async def test_a_sync_that_overtakes_a_change_waits_for_it_and_reads_nothing_anew(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "OVERTAKING", DEADLINE)
    keys = RedisKey("demo").directory(Kind.RELAY)

    def calls(stats: dict[str, dict[str, int]], command: str) -> int:
        return stats.get(f"cmdstat_{command}", {"calls": 0})["calls"]

    async with server.client() as client, fleet(server, FRA), reader(server, kinds=[Kind.RELAY], period=0.1) as known:
        assert await known.wait(lambda held: known.listening and holds(FRA)(held), DEADLINE)
        told = replace(NYC, load=0.5)
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.zadd(keys.seen, {told.id: time.time() * 1000})
            pipeline.hset(keys.entries, told.id, dump_entry(told))
            pipeline.incr(keys.version)
            pipeline.info("commandstats")
            *_, number, before = await pipeline.execute()

        async def overtaken() -> bool:
            return calls(await client.info("commandstats"), "zcard") > calls(before, "zcard")

        await until(overtaken)
        await client.publish(keys.changes, f"{number} + {dump_entry(told)}")
        assert await known.wait(lambda held: told in held.entries(), DEADLINE)
        assert calls(await client.info("commandstats"), "hgetall") == calls(before, "hgetall")


async def test_what_is_long_gone_leaves_redis_too(server: RedisServer) -> None:
    keys = RedisKey("demo").directory(Kind.RELAY)
    async with server.client() as client, linked(server.url) as link:
        assert await Part(link, NYC).heartbeat.beat()
        await client.zadd(keys.seen, {"nyc-0": time.time() * 1000 - 61_000})
        assert await Part(link, FRA).heartbeat.beat()
        assert await client.hkeys(keys.entries) == ["fra-0"]
        assert await client.zrange(keys.seen, 0, -1) == ["fra-0"]


async def test_a_heartbeat_that_changes_nothing_is_told_to_nobody(server: RedisServer) -> None:
    async with server.client() as client, linked(server.url) as link:
        part = Part(link, FRA)
        assert await part.heartbeat.beat()
        version = await client.get(RedisKey("demo").directory(Kind.RELAY).version)
        for _ in range(5):
            assert await part.heartbeat.beat()
        assert await client.get(RedisKey("demo").directory(Kind.RELAY).version) == version


async def test_a_change_storm_is_told_at_most_ten_times_a_second(server: RedisServer) -> None:
    async with fleet(server, FRA) as (part,), server.client() as client:
        version = RedisKey("demo").directory(Kind.RELAY).version
        await until(lambda: client.exists(version))
        before = int(await client.get(version) or 0)
        started = time.monotonic()
        count = 0
        while time.monotonic() - started < 1.0:
            count += 1
            part.entry = replace(FRA, load=count / 1e6)
            part.heartbeat.changed()
            await asyncio.sleep(0.001)
        told = int(await client.get(version) or 0) - before
        assert 1 <= told <= (time.monotonic() - started) * 10 + 2 < count
        assert BEAT_EVERY == 2.0


@pytest.mark.parametrize("entry", [FRA, NYC, EU])
def test_an_entry_reads_back_as_it_was(entry: Entry) -> None:
    assert parse_entry(dump_entry(entry), entry.kind) == entry


def test_a_newer_version_s_fields_are_let_be_and_nonsense_is_named() -> None:
    newer = json.loads(dump_entry(FRA)) | {"colour": "red"}
    assert parse_entry(json.dumps(newer), Kind.RELAY) == FRA
    with pytest.raises(EntryError, match=r"relay\.load"):
        parse_entry(json.dumps(newer | {"load": "much"}), Kind.RELAY)
    with pytest.raises(EntryError, match="kind: transceiver where relay is expected"):
        parse_entry(dump_entry(EU), Kind.RELAY)
    with pytest.raises(EntryError, match="latitude"):
        parse_entry(json.dumps(newer | {"place": {"latitude": 91, "longitude": 0}}), Kind.RELAY)
