"""A transceiver as a process of its own: `python -m voicefleet.services.transceiver`, reachable without a relay."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.facts import DEADLINE, eventually_seen
from tests.support.relay_process import free_port
from tests.support.workers import RING
from voicefleet.contract import Env, HealthPath, InternalApi
from voicefleet.wire.certificate import self_signed

START_DEADLINE = 3 * DEADLINE
"""Seconds for processes to import their libraries, one after the other, while a whole test run wants the processor."""
BEARER = {"Authorization": f"Bearer {RING.keys[0].api_bearer}"}


class TransceiverProcess:
    """One pod: its process, and the workers under it."""

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        (directory / "keyring.json").write_bytes(RING.dump())
        certificate, key = self_signed(time.time(), timedelta(days=1))
        (directory / "tls.crt").write_bytes(certificate)
        (directory / "tls.key").write_bytes(key)
        self.api_port, health_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
        self.api = f"http://127.0.0.1:{self.api_port}"
        self._health = f"http://127.0.0.1:{health_port}"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(Env.PREFIX)}
        self.environment = {
            **inherited,
            Env.KEY_FILE: str(directory / "keyring.json"),
            Env.CERTIFICATE_DIRECTORY: str(directory),
            Env.HOP_LISTEN: "127.0.0.1:0",
            f"{Env.PREFIX}DIRECT_LISTEN": "127.0.0.1:0",
            Env.API_LISTEN: f"127.0.0.1:{self.api_port}",
            Env.HEALTH_LISTEN: f"127.0.0.1:{health_port}",
            Env.LOG_FORMAT: "text",
            **settings,
        }
        self.process: asyncio.subprocess.Process | None = None
        self.output: list[str] = []
        self._reading: asyncio.Task[None] | None = None
        self.http = aiohttp.ClientSession(headers=BEARER)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voicefleet.services.transceiver"),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.ensure_future(self._read(self.process))
        await eventually_seen(self._ready, lambda: "it is ready: " + "".join(self.output), START_DEADLINE)

    async def all_up(self, workers: int) -> None:
        """Wait until so many workers serve."""

        async def up() -> bool:
            shown = await self.metrics()
            return sum(shown.get(f"voicefleet_worker_up{{worker={number}}}", 0) for number in range(workers)) == workers

        await eventually_seen(up, lambda: "all workers are up: " + "".join(self.output), START_DEADLINE)

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        assert self.process is not None
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def create(self, offer: str) -> dict[str, Any]:
        """Have it take a call."""
        async with self.http.post(self.api + InternalApi.SESSIONS, json={"offer": offer}) as answer:
            body: dict[str, Any] = await answer.json()
            return {"status": answer.status, **body}

    async def look(self, call: str) -> tuple[int, dict[str, Any]]:
        """What it knows of a call."""
        async with self.http.get(f"{self.api}{InternalApi.SESSIONS}/{call}") as answer:
            return answer.status, await answer.json()

    async def calls(self) -> dict[str, Any]:
        """All its calls."""
        async with self.http.get(self.api + InternalApi.SESSIONS) as answer:
            listed: dict[str, Any] = await answer.json()
            return listed

    async def metrics(self) -> dict[str, float]:
        """Each sample by its name and labels, as `name{reason=x}`."""
        async with self.http.get(self._health + HealthPath.METRICS) as answer:
            text = await answer.text()
        return {
            sample.name
            + "".join(f"{{{label}={value}}}" for label, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def end(self, number: signal.Signals) -> int:
        """Signal it and wait for its end; its exit status."""
        assert self.process is not None and self._reading is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        status = await asyncio.wait_for(self.process.wait(), DEADLINE)
        await self._reading
        return status

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, "".join(self.output)
        try:
            async with self.http.get(self._health + HealthPath.READY) as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.output.append(line.decode())


@asynccontextmanager
async def transceiver_process(directory: Path, **settings: str) -> AsyncIterator[TransceiverProcess]:
    """A transceiver that is ready; settings by the names of their variables."""
    pod = TransceiverProcess(directory, {f"{Env.PREFIX}{name}": value for name, value in settings.items()})
    try:
        await pod.start()
        yield pod
    finally:
        if pod.process is not None and pod.process.returncode is None:
            await pod.end(signal.SIGKILL)
        await pod.http.close()
