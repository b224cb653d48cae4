"""Redis killed, paused, filled, locked: always a state, never an exception in a caller."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from tests.support.redis import DEADLINE, RedisServer, linked, redis_server, running, until
from voicefleet.net.child_process import die_with_parent
from voicefleet.net.embedded_redis import redis_program
from voicefleet.net.redis_address import RedisAddressError, connect
from voicefleet.net.redis_link import Fault, RedisLink, Unavailable
from voicefleet.net.redis_target import RedisTarget


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with redis_server() as made:
        yield made


async def set_key(redis: Redis) -> object:
    return await redis.set("k", "v")


async def get_key(redis: Redis) -> object:
    return await redis.get("k")


async def test_a_command_is_answered(server: RedisServer) -> None:
    async with linked(server.url) as link:
        assert await link.ask("set", set_key) is True
        assert await link.ask("get", get_key) == "v"


async def test_without_a_configured_redis_asking_is_free() -> None:
    link = RedisLink(None)
    async with running(link.run()):
        assert await link.ask("get", get_key) == Unavailable(Fault.OFF, "not connected")
        assert not await link.wait_up(0.01)


async def test_killed_and_started_again_it_is_away_and_back(server: RedisServer) -> None:
    async with linked(server.url) as link:
        await server.kill()
        await until(lambda: not link.up)
        answer = await link.ask("get", get_key)
        assert isinstance(answer, Unavailable) and answer.fault is Fault.GONE
        await server.start()
        assert await link.wait_up(DEADLINE)
        assert link.epoch == 2
        assert await link.ask("get", get_key) is None


async def test_a_kill_in_the_middle_of_many_commands_raises_nowhere(server: RedisServer) -> None:
    async with linked(server.url) as link:
        answers: list[object] = []

        async def caller() -> None:
            while link.epoch == 1 or not link.up:
                answers.append(await link.ask("set", set_key))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks, asyncio.timeout(DEADLINE):
            for _ in range(20):
                tasks.create_task(caller())
            await until(lambda: answers.count(True) > 100)
            await server.kill()
            await until(lambda: not link.up)
            await server.start()
        faults = {answer.fault for answer in answers if isinstance(answer, Unavailable)}
        assert Fault.GONE in faults and faults <= {Fault.GONE, Fault.LOADING}


async def test_while_it_is_away_asking_does_not_wait(server: RedisServer) -> None:
    async with linked(server.url) as link:
        await server.kill()
        await until(lambda: not link.up)
        started = time.perf_counter()
        for _ in range(1000):
            assert isinstance(await link.ask("get", get_key), Unavailable)
        assert time.perf_counter() - started < 5.0, "a thousand questions cost less than ten deadlines"


async def test_paused_it_costs_a_deadline_then_counts_as_away_and_answers_are_never_mixed_up(
    server: RedisServer,
) -> None:
    async with linked(server.url, deadline=0.5) as link:
        assert await link.ask("set", set_key) is True
        server.pause()
        answers = [await link.ask("get", get_key) for _ in range(3)]
        assert [answer.fault for answer in answers if isinstance(answer, Unavailable)] == [Fault.SLOW] * 3
        assert link.state is Fault.SLOW
        server.resume()
        assert await link.wait_up(DEADLINE)
        for number in range(50):

            async def echo(redis: Redis, said: str = f"{number}") -> object:
                return await redis.echo(said)

            assert await link.ask("echo", echo) == f"{number}"


async def test_one_slow_command_does_not_end_the_link(server: RedisServer) -> None:
    async with linked(server.url, deadline=0.5) as link, server.client() as other:
        await other.client_pause(900, all=True)
        answer = await link.ask("get", get_key)
        assert isinstance(answer, Unavailable) and answer.fault is Fault.SLOW
        assert link.up and link.epoch == 1
        await until(lambda: other.ping())
        assert await link.ask("get", get_key) is None


async def test_full_it_still_reads(server: RedisServer) -> None:
    async with linked(server.url) as link:
        assert await link.ask("set", set_key) is True
        await server.fill()
        answer = await link.ask("set", set_key)
        assert isinstance(answer, Unavailable) and answer.fault is Fault.FULL
        assert link.up
        assert await link.ask("get", get_key) == "v"
        await server.empty()
        assert await link.ask("set", set_key) is True


async def test_a_key_of_another_type_is_a_fault_of_that_command_only(server: RedisServer) -> None:
    async with linked(server.url) as link:
        await link.ask("set", set_key)
        answer = await link.ask("list", lambda redis: redis.lrange("k", 0, 1))
        assert isinstance(answer, Unavailable) and answer.fault is Fault.BROKEN
        assert link.up


async def test_a_replica_takes_no_writes_and_the_link_looks_for_a_master(server: RedisServer) -> None:
    async with linked(server.url) as link, server.client() as other:
        await other.replicaof("127.0.0.1", 9)
        answer = await link.ask("set", set_key)
        assert isinstance(answer, Unavailable) and answer.fault is Fault.READ_ONLY
        await other.replicaof("NO", "ONE")
        assert await link.wait_up(DEADLINE)
        assert await link.ask("set", set_key) is True


async def test_a_changed_password_is_read_from_its_file_at_the_next_connection(
    server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "url"
    file.write_text(server.url + "\n")
    link = RedisLink(RedisTarget(file=file))
    async with running(link.run()):
        assert await link.wait_up(DEADLINE)
        old, server.password = server.password, "a-new-password"
        await server.kill()
        await server.start()
        await until(lambda: link.state is Fault.REFUSED)
        file.write_text(server.url)
        assert await link.wait_up(DEADLINE)
    assert old not in caplog.text and server.password not in caplog.text


async def test_a_command_that_the_user_may_not_use_is_a_fault_of_that_command_only(server: RedisServer) -> None:
    async with server.client() as admin:
        await admin.acl_setuser("voice", enabled=True, passwords=["+pw"], keys=["*"], commands=["+get", "+ping"])
    async with linked(f"redis://voice:pw@127.0.0.1:{server.port}/0") as link:
        answer = await link.ask("set", set_key)
        assert isinstance(answer, Unavailable) and answer.fault is Fault.FORBIDDEN
        assert await link.ask("get", get_key) is None


async def test_a_file_that_is_not_there_yet_is_waited_for(server: RedisServer, tmp_path: Path) -> None:
    link = RedisLink(RedisTarget(file=tmp_path / "url"))
    async with running(link.run()):
        await asyncio.sleep(0)
        assert not link.up
        (tmp_path / "url").write_text(server.url)
        assert await link.wait_up(DEADLINE)


async def test_each_change_is_logged_once(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "voicefleet")
    async with linked(server.url) as link:
        await server.kill()
        await until(lambda: not link.up)
        for _ in range(100):
            await link.ask("get", get_key)
        await server.start()
        assert await link.wait_up(DEADLINE)
        said = [record.getMessage() for record in caplog.records if record.name == "voicefleet.net.redis_link"]
    assert said == ["redis answers", "redis is away", "redis answers"]


async def test_state_and_outcomes_are_metrics(server: RedisServer) -> None:
    async with linked(server.url) as link:
        registry = CollectorRegistry()
        registry.register(link)
        await link.ask("set", set_key)
        assert registry.get_sample_value("voicefleet_redis_up", {"state": "ok"}) == 1
        assert registry.get_sample_value("voicefleet_redis_calls_total", {"operation": "set", "result": "ok"}) == 1
        assert registry.get_sample_value("voicefleet_redis_call_seconds_count", {"operation": "set"}) == 1
        await server.kill()
        await until(lambda: not link.up)
        await link.ask("set", set_key)
        assert registry.get_sample_value("voicefleet_redis_up", {"state": "gone"}) == 1
        assert registry.get_sample_value("voicefleet_redis_calls_total", {"operation": "set", "result": "gone"}) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://redis",
        "redis+sentinel://host",
        "redis+sentinel:///master",
        "redis+sentinel://host:x/master",
        "redis+sentinel://host/master/x",
        "redis://host:port",
    ],
)
def test_a_url_that_names_no_redis_says_why(url: str) -> None:
    with pytest.raises(RedisAddressError):
        connect(url, 1.0)


@asynccontextmanager
async def sentinel(master: RedisServer, directory: Path) -> AsyncIterator[str]:
    """One sentinel that watches a master; gives its host and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = directory / "sentinel.conf"
    file.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass guard\nsentinel monitor voice 127.0.0.1 {master.port} 1\n"
        f"sentinel auth-pass voice {master.password}\nsentinel down-after-milliseconds voice 300\n"
        "sentinel failover-timeout voice 3000\n"
    )
    child = await asyncio.create_subprocess_exec(
        redis_program(), file, "--sentinel", stdout=asyncio.subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        child.kill()
        await child.wait()


async def test_a_master_is_found_by_its_sentinels_and_found_anew_after_a_fail_over(tmp_path: Path) -> None:
    async with redis_server() as first, redis_server() as second:
        async with second.client() as replica:
            await replica.config_set("masterauth", first.password)
            await replica.replicaof("127.0.0.1", str(first.port))
            await replica.config_set("requirepass", first.password)
        second.password = first.password
        async with sentinel(first, tmp_path) as place:
            link = RedisLink(RedisTarget(f"redis+sentinel://:{first.password}@{place}/voice/0?sentinelPassword=guard"))
            async with running(link.run()), second.client() as replica:
                assert await link.wait_up(DEADLINE)
                assert await link.ask("set", set_key) is True

                async def replicated() -> bool:
                    return bool(await replica.get("k") == "v")

                await until(replicated)
                await until(lambda: known_replicas(place))
                await first.kill()
                await until(lambda: not link.up)
                assert await link.wait_up(DEADLINE)
                assert await link.ask("get", get_key) == "v"
                assert await link.ask("set", set_key) is True


async def known_replicas(place: str) -> int:
    """How many replicas the sentinel could promote."""
    client = connect(f"redis://:guard@{place}", 5.0)
    try:
        replies = await client.execute_command("SENTINEL", "REPLICAS", "voice")  # type: ignore[no-untyped-call]
        return len(replies)
    finally:
        await client.aclose()
