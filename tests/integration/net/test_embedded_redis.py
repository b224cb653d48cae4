"""The Redis that local mode and the tests bring along."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.redis import RedisServer, until
from voicefleet.net.embedded_redis import EmbeddedRedis, EmbeddedRedisError, embedded_redis
from voicefleet.net.redis_address import connect


async def test_it_dies_and_is_there_again_at_the_same_address() -> None:
    async with embedded_redis() as redis:
        first, url = redis.pid, redis.url
        os.kill(first, signal.SIGKILL)
        await until(lambda: redis.pid not in (0, first))
        assert redis.url == url
        client = connect(url, 5.0)

        async def answers() -> bool:
            return bool(await client.ping())

        await until(answers)
        await client.aclose()
        last = redis.pid
    assert not alive(last)


async def test_nobody_else_on_this_machine_can_use_it_or_read_its_password() -> None:
    server = RedisServer()
    await server.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import redis; redis.Redis(port={server.port}).get('k')"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "AuthenticationError" in done.stderr
        assert server.password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    finally:
        await server.stop()


async def test_it_writes_nothing_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = RedisServer()
    await server.start()
    async with server.client() as client:
        await client.set("k", "v")
    await server.stop()
    assert list(tmp_path.iterdir()) == []


async def test_it_dies_with_the_process_that_started_it() -> None:
    code = (
        "import asyncio, os, signal\n"
        "from voicefleet.net.embedded_redis import EmbeddedRedis\n"
        "async def main():\n"
        "    redis = EmbeddedRedis()\n"
        "    await redis.start()\n"
        "    print(redis.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    await until(lambda: not alive(int(done.stdout)))


async def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedRedisError, match="argument must be a memory value"):
        await EmbeddedRedis(memory="much").start()
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(EmbeddedRedisError, match="exit code 3"):
        await EmbeddedRedis(program=program).start()


async def test_a_paused_one_can_be_stopped() -> None:
    server = RedisServer()
    await server.start()
    pid = server.pid
    server.pause()
    await server.stop()
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
