"""A local fleet as a user starts it: `voicefleet up`, in processes of its own."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.aiortc_caller import AiortcCaller
from tests.support.facts import DEADLINE, eventually
from tests.support.namespaces import Namespace
from tests.support.nat import Nat


class Refused(AssertionError):
    """Signaling did not start the call."""


@dataclass(frozen=True, slots=True)
class RunningFleet:
    """A fleet that is ready, as its ready file describes it."""

    command: asyncio.subprocess.Process
    ready: dict[str, Any]
    ready_file: Path
    output: list[str]

    @property
    def base_url(self) -> str:
        """What a client is given as base URL."""
        url: str = self.ready["baseUrl"]
        return url

    @property
    def bearer(self) -> dict[str, str]:
        """The header of an application."""
        return {"Authorization": f"Bearer {self.ready['apiKey']}"}

    async def call(self, caller: AiortcCaller, through: Nat | None = None) -> str:
        """Start a call, perhaps through a NAT; where it can be found."""
        headers = self.bearer | {"Content-Type": "application/sdp"}
        offer = await caller.offer()
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.base_url}/realtime/calls", data=offer, headers=headers) as answer,
        ):
            text = await answer.text()
            if answer.status != 201:
                raise Refused(f"{answer.status}: {text}")
            if through is not None:
                host, _, port = self.ready["relays"][0].rpartition(":")
                text = text.replace(f" {host} {port} typ host", f" {through.address[0]} {through.address[1]} typ host")
            await caller.answer(text)
            return answer.headers["Location"]


@asynccontextmanager
async def local_fleet(
    directory: Path, namespace: Namespace | None = None, *, file: Path | None = None, options: Sequence[str] = ()
) -> AsyncIterator[RunningFleet]:
    """`voicefleet up` until it is ready; ended by SIGINT, as Ctrl-C does."""
    ready_file = directory / "ready.json"
    command = await asyncio.create_subprocess_exec(
        *(() if namespace is None else namespace.enter),
        str(Path(sys.executable).with_name("voicefleet")),
        "up",
        "--port=0",
        f"--ready-file={ready_file}",
        *(() if file is None else (f"--file={file}",)),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output: list[str] = []
    reading = asyncio.ensure_future(_read(command, output))
    try:
        await eventually(lambda: ready_file.exists() or command.returncode is not None, "the fleet is up", 2 * DEADLINE)
        assert ready_file.exists(), "".join(output)
        yield RunningFleet(command, json.loads(ready_file.read_text()), ready_file, output)
    finally:
        if command.returncode is None:
            command.send_signal(signal.SIGINT)
        await asyncio.wait_for(command.wait(), DEADLINE)
        await reading


async def _read(command: asyncio.subprocess.Process, output: list[str]) -> None:
    assert command.stdout is not None
    async for line in command.stdout:
        output.append(line.decode())
