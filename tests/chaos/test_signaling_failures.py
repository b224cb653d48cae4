"""A stream of calls to two replicas of signaling, while what they lean on dies: none is refused because of it."""

import asyncio
import hashlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.facts import DEADLINE, eventually_seen
from tests.support.redis import redis_server
from tests.support.relay_process import free_port
from tests.support.transceiver_process import TransceiverProcess, transceiver_process
from tests.support.workers import RING
from voicefleet.contract import Env

ROOT = Path(__file__).parents[2]
OFFER = (ROOT / "tests" / "vectors" / "offers" / "chromium.sdp").read_text()
KEY = "vf-a-key-of-the-test"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/sdp"}
REPLICAS = 2


@dataclass(slots=True)
class Stream:
    """Calls that are started and hung up one after the other, at one replica and then at the other."""

    http: aiohttp.ClientSession
    replicas: list[str]
    answers: list[tuple[int, str]] = field(default_factory=list)
    running: list[tuple[str, str]] = field(default_factory=list)

    async def call(self) -> int:
        """One call; its status."""
        base = self.replicas[len(self.answers) % len(self.replicas)]
        async with self.http.post(f"{base}/v1/realtime/calls", data=OFFER, headers=HEADERS) as answer:
            self.answers.append((answer.status, await answer.text() if answer.status != 201 else ""))
            if answer.status == 201:
                self.running.append((base, answer.headers["Location"]))
            return answer.status

    async def hang_up(self) -> None:
        """End what was started, where that is still possible."""
        for base, location in self.running:
            async with self.http.post(f"{base}{location}/hangup", headers=HEADERS):
                pass
        self.running.clear()

    async def calls(self, count: int) -> None:
        """So many calls, and their ends."""
        for _ in range(count):
            await self.call()
        await self.hang_up()

    def refused(self) -> list[tuple[int, str]]:
        """What was not answered with a call."""
        return [answer for answer in self.answers if answer[0] != 201]


@asynccontextmanager
async def _signaling(directory: Path, redis_url: str) -> AsyncIterator[str]:
    port, health = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    keys = directory / "keys"
    keys.mkdir(parents=True)
    (keys / "shop").write_text(f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}")
    (directory / "keyring.json").write_bytes(RING.dump())
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(Env.PREFIX)}
    settings = {
        Env.KEY_FILE: str(directory / "keyring.json"),
        Env.HEALTH_LISTEN: f"127.0.0.1:{health}",
        Env.REDIS_URL: redis_url,
        f"{Env.PREFIX}SIGNALING_LISTEN": f"127.0.0.1:{port}",
        f"{Env.PREFIX}API_KEYS_DIRECTORY": str(keys),
        f"{Env.PREFIX}CALLS_PER_NETWORK": "1000",
        f"{Env.PREFIX}CALLS_PER_NETWORK_BURST": "1000",
        Env.LOG_FORMAT: "text",
    }
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicefleet.services.signaling"),
            env=inherited | settings,
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), DEADLINE)


@asynccontextmanager
async def _stream(tmp_path: Path, redis_url: str) -> AsyncIterator[tuple[Stream, list[TransceiverProcess]]]:
    async with AsyncExitStack() as stack:
        pods = []
        for number in range(2):
            directory = tmp_path / f"transceiver-{number}"
            directory.mkdir()
            settings = {"POD": f"transceiver-{number}", "WORKERS": "1", "REDIS_URL": redis_url}
            pods.append(await stack.enter_async_context(transceiver_process(directory, **settings)))
        replicas = [
            await stack.enter_async_context(_signaling(tmp_path / f"signaling-{number}", redis_url))
            for number in range(REPLICAS)
        ]
        http = await stack.enter_async_context(aiohttp.ClientSession())
        stream = Stream(http, replicas)

        async def both_transceivers_are_known() -> bool:
            try:
                for _ in range(4 * REPLICAS):
                    await stream.call()
                seen = [bool((await pod.calls())["calls"]) for pod in pods]
                await stream.hang_up()
                return all(seen)
            except aiohttp.ClientConnectionError:
                return False

        await eventually_seen(both_transceivers_are_known, lambda: f"both take calls: {stream.answers[-3:]}")
        stream.answers.clear()
        yield stream, pods


async def test_redis_killed_and_started_again_during_a_stream_of_calls_refuses_none(tmp_path: Path) -> None:
    async with redis_server() as redis, _stream(tmp_path, redis.url) as (stream, _pods):
        await stream.calls(10)
        await redis.kill()
        await stream.calls(30)
        await redis.start()
        await stream.calls(30)
        assert len(stream.answers) == 70 and stream.refused() == []


async def test_a_killed_transceivers_calls_go_to_the_other_and_none_is_refused(tmp_path: Path) -> None:
    async with redis_server() as redis, _stream(tmp_path, redis.url) as (stream, pods):
        await stream.calls(10)
        await pods[0].end(signal.SIGKILL)
        await stream.calls(40)
        assert len(stream.answers) == 50 and stream.refused() == []
        listed = await pods[1].calls()
        assert listed["calls"] == []
