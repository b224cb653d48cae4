"""What one process of signaling answers: calls a second and how long each takes, as a client sees it.

The process is the product's, with a real Redis, a geo database and rate limits; clients come from random networks by a
trusted proxy. In front of a stub transceiver with one key and two relays; with 10,000 keys and 2,000 relays whose
heartbeats go on; and end to end, in front of a transceiver that makes an answer of its own for each offer.
"""

import asyncio
import hashlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from tests.bench.report import Bar, Report, Row
from tests.bench.signaling.load import Callers, Served
from tests.bench.steering.cities import METROPOLISES
from tests.support.geo_files import write_geo_database
from tests.support.redis import redis_server
from tests.support.relay_process import free_port
from tests.support.transceiver_process import transceiver_process
from tests.support.workers import RING
from voicefleet.contract import Env, HealthPath

TITLE = "signaling: calls a second of one process, with 10,000 keys and 2,000 relays, and end to end"
KEYS: Final = 10_000
RELAYS: Final = 2_000
CONNECTIONS: Final = 32
FEW: Final = 4
"""Of them where a transceiver works on each offer: it refuses what would be too much for it."""
REST: Final = 2.0
"""Seconds for a transceiver to see that it has room again."""
WANTED: Final = 400.0
"""Calls a second with a stub transceiver, and twice what p99 is measured at."""
P99_MS: Final = 25.0
END_TO_END: Final = 60.0
SET_UPS: Final = {
    "few": "stub, 1 key, 2 relays",
    "many": f"stub, {KEYS:,} keys, {RELAYS:,} relays",
    "end_to_end": "end to end",
}
"""What is measured, by the name of its part."""
_TICK: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """A running signaling."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


@dataclass(frozen=True, slots=True)
class Outcome:
    """One set-up: as fast as it can, and at a rate that leaves it time."""

    fast: Served
    cpu_each: float
    """Milliseconds of processor time a call."""
    calm: Served
    refusals: str


async def _measure(
    process: Process, keys: Sequence[str], rate: float, seconds: float, connections: int = CONNECTIONS
) -> Outcome:
    """Stubs take any number of calls; of a transceiver's each ends at once, so that it is not full."""
    callers = Callers(process.port, keys, hang_up=connections != CONNECTIONS)
    await callers.closed(connections, min(2.0, seconds))
    before = process.cpu()
    fast = await callers.closed(connections, seconds)
    cpu_each = (process.cpu() - before) / max(1, len(fast.times)) * 1000
    await asyncio.sleep(REST)
    calm = await callers.open(rate, seconds)
    return Outcome(
        fast, cpu_each, calm, ", ".join(f"{count} x {why.decode()}" for why, count in callers.refusals.items())
    )


@asynccontextmanager
async def _child(*command: str) -> AsyncIterator[str]:
    """A program of this bench; its first line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def _signaling(directory: Path, redis_url: str, keys: Sequence[str]) -> AsyncIterator[Process]:
    (directory / "keys").mkdir(parents=True)
    for number, key in enumerate(keys):
        (directory / "keys" / f"key-{number}").write_text(f"sha256:{hashlib.sha256(key.encode()).hexdigest()}")
    (directory / "keyring.json").write_bytes(RING.dump())
    random = Random(2)
    places = [place for _, place, _ in METROPOLISES]
    records = {
        f"{first}.{second * 16}.0.0/12": {"location": {"latitude": place.latitude, "longitude": place.longitude}}
        for first in range(11, 100)
        for second in range(16)
        for place in [random.choice(places)]
    }
    write_geo_database(directory / "geo.mmdb", records)
    port, health = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    settings = {
        Env.KEY_FILE: str(directory / "keyring.json"),
        Env.HEALTH_LISTEN: f"127.0.0.1:{health}",
        Env.REDIS_URL: redis_url,
        Env.SIGNALING_LISTEN: f"127.0.0.1:{port}",
        Env.API_KEYS_DIRECTORY: str(directory / "keys"),
        Env.GEO_DATABASE: str(directory / "geo.mmdb"),
        Env.TRUSTED_PROXIES: "127.0.0.0/8",
        Env.CALLS_PER_KEY: "100000",
        Env.CALLS_PER_KEY_BURST: "100000",
        Env.LOG_FORMAT: "json",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(Env.PREFIX)}
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicefleet.services.signaling"), env=inherited | settings, stdout=log, stderr=log
        )
    try:
        await _ready(f"http://127.0.0.1:{health}{HealthPath.READY}")
        yield Process(port, process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


async def _ready(url: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)


async def _stubbed(directory: Path, keys: int, relays: int, seconds: float) -> Outcome:
    named = [f"vf-key-of-the-bench-{number}" for number in range(keys)]
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server())
        port = await stack.enter_async_context(_child("tests.bench.signaling.stub"))
        pods = ("tests.bench.signaling.pods", redis.url, str(relays), *(port,) * 4)
        await stack.enter_async_context(_child(*pods))
        process = await stack.enter_async_context(_signaling(directory, redis.url, named))
        return await _measure(process, named, WANTED / 2, seconds)


async def _end_to_end(directory: Path, seconds: float) -> Outcome:
    named = ["vf-key-of-the-bench"]
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server())
        await stack.enter_async_context(_child("tests.bench.signaling.pods", redis.url, "2"))
        pod = directory / "pod"
        pod.mkdir()
        settings = {"WORKERS": "1", "REDIS_URL": redis.url, "SESSIONS": "10000", "LOG_LEVEL": "error"}
        await stack.enter_async_context(transceiver_process(pod, **settings))
        process = await stack.enter_async_context(_signaling(directory / "signaling", redis.url, named))
        return await _measure(process, named, END_TO_END / 2, seconds, FEW)


async def _outcome(part: str, seconds: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="voicefleet-bench-") as name:
        directory = Path(name)
        match part:
            case "few":
                return await _stubbed(directory, 1, 2, seconds)
            case "many":
                return await _stubbed(directory, KEYS, RELAYS, seconds)
            case _:
                return await _end_to_end(directory, seconds)


def _measured(parts: Iterable[str], quick: bool) -> Report:
    rows, bars, notes = [], [], []
    for part in parts:
        name, each = SET_UPS[part], asyncio.run(_outcome(part, 2.0 if quick else 8.0))
        wanted = END_TO_END if part == "end_to_end" else WANTED
        calm = f"at {wanted / 2:.0f}/s"
        rows += [
            Row(name, "answered", each.fast.rate, "calls/s"),
            Row(name, "processor time", each.cpu_each, "ms/call"),
            Row(name, f"{calm}, p50", each.calm.quantile(0.5), "ms"),
            Row(name, f"{calm}, p99", each.calm.quantile(0.99), "ms"),
            Row(name, "refused, as fast as it can", each.fast.refused, "calls"),
            Row(name, f"refused {calm}", each.calm.refused, "calls"),
        ]
        bars += [
            Bar.at_least(f"{name}: calls/s", each.fast.rate, wanted),
            Bar.at_most(f"{name}: p99 {calm}, ms", each.calm.quantile(0.99), P99_MS),
            Bar.at_most(f"{name}: refused {calm}", each.calm.refused, 0),
        ]
        notes += [f"{name}: refused were {each.refusals}"] if each.refusals else []
    return Report("signaling", rows, bars, notes)


PARTS: Final = {part: partial(_measured, (part,)) for part in SET_UPS}


def run(quick: bool) -> Report:
    """About half a minute of load; a quick run a third of it."""
    return _measured(SET_UPS, quick)
