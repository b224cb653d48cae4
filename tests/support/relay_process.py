"""A relay as a process of its own: `python -m voicefleet.services.relay`, killed and started as a test needs it."""

import asyncio
import copy
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Self

import aiohttp
from aiohappyeyeballs import AddrInfoType
from prometheus_client.parser import text_string_to_metric_families

from tests.support.facts import DEADLINE, eventually
from tests.support.namespaces import Namespace
from voicefleet.contract import Env, HealthPath
from voicefleet.net.tcp_stream import bind_tcp
from voicefleet.net.udp import udp_socket
from voicefleet.wire.keyring import KeyRing

Address = tuple[str, int]
START = 3 * DEADLINE
"""Seconds that two interpreters have to start."""


class RelayProcess:
    """One relay at one address over its deaths."""

    def __init__(
        self,
        directory: Path,
        ring: KeyRing,
        host: str,
        settings: dict[str, str],
        namespace: Namespace | None = None,
    ) -> None:
        self.key_file = directory / "keyring.json"
        self.key_file.write_bytes(ring.dump())
        self._namespace = namespace
        with self._inside():
            self.address: Address = (host, relay_port(host))
            self.health: Address = ("127.0.0.1", free_port(socket.SOCK_STREAM))
        shown = f"[{host}]:{self.address[1]}" if ":" in host else f"{host}:{self.address[1]}"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(Env.PREFIX)}
        self.environment = {
            **inherited,
            Env.KEY_FILE: str(self.key_file),
            Env.LISTEN: shown,
            Env.HOP_NETWORKS: "127.0.0.1/32,::1/128",
            Env.WORKERS: "1",
            Env.HEALTH_LISTEN: f"{self.health[0]}:{self.health[1]}",
            Env.LOG_FORMAT: "text",
            Env.STATE_DIRECTORY: str(directory),
            **settings,
        }
        self.successors: list[RelayProcess] = []
        """Those of this one, and of them; ended with it."""
        self.process: asyncio.subprocess.Process | None = None
        self.output: list[str] = []
        self._reading: asyncio.Task[None] | None = None

    def successor(self) -> Self:
        """Another one for the same address, not started yet."""
        other = copy.copy(self)
        other.process, other.output, other._reading = None, [], None
        other.environment = dict(self.environment)
        self.successors.append(other)
        return other

    async def says(self, text: str) -> None:
        """Wait for a line of its output."""
        try:
            await eventually(lambda: any(text in line for line in self.output), f"it says {text!r}", START)
        except AssertionError as error:
            raise AssertionError(f"{error}: {''.join(self.output)}") from None

    @property
    def pid(self) -> int:
        """Of the control process."""
        assert self.process is not None
        return self.process.pid

    def packet_processes(self) -> list[int]:
        """The children of the control process."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    async def launch(self) -> None:
        """Start it, and do not wait."""
        self.process = await asyncio.create_subprocess_exec(
            *(() if self._namespace is None else self._namespace.enter),
            *(sys.executable, "-m", "voicefleet.services.relay"),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.ensure_future(self._read(self.process))

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        await self.launch()
        await self.ready()

    async def ready(self, pause: float = 0.02) -> None:
        """Wait until it says that it is ready; it is asked again after `pause` seconds."""
        assert self.process is not None
        try:
            async with asyncio.timeout(START):
                while await self.probe(HealthPath.READY) != 200:
                    assert self.process.returncode is None, "".join(self.output)
                    await asyncio.sleep(pause)
        except TimeoutError:
            raise AssertionError("the relay is not ready: " + "".join(self.output)) from None

    async def probe(self, path: str) -> int:
        """The status that a kubelet gets; 0 while nobody listens."""
        try:
            async with self._http() as http, http.get(self._url(path)) as answer:
                return answer.status
        except aiohttp.ClientConnectionError:
            return 0

    async def metrics(self) -> dict[str, float]:
        """Each sample by its name and labels, as `name{reason=x}`."""
        async with self._http() as http, http.get(self._url(HealthPath.METRICS)) as answer:
            text = await answer.text()
        return {
            sample.name
            + "".join(f"{{{label}={value}}}" for label, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def dropped(self, reason: str) -> float:
        """Packets that went nowhere for this reason."""
        return (await self.metrics())[f"voicefleet_relay_dropped_packets_total{{reason={reason}}}"]

    async def counts(self, name: str, at_least: float) -> None:
        """Wait until a metric has reached this."""
        value = -1.0
        try:
            async with asyncio.timeout(DEADLINE):
                while (value := (await self.metrics()).get(name, -1.0)) < at_least:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{name} is {value:g}, expected {at_least:g}") from None

    async def drops(self, reason: str, at_least: float) -> None:
        """Wait until so many packets were dropped for this reason."""
        await self.counts(f"voicefleet_relay_dropped_packets_total{{reason={reason}}}", at_least)

    async def end(self, number: signal.Signals) -> int:
        """Signal it and wait for its end."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; its exit status."""
        assert self.process is not None and self._reading is not None
        status = await asyncio.wait_for(self.process.wait(), DEADLINE)
        await self._reading
        return status

    def _inside(self) -> AbstractContextManager[None]:
        return nullcontext() if self._namespace is None else self._namespace.entered()

    def _http(self) -> aiohttp.ClientSession:
        def socket_inside(address: AddrInfoType) -> socket.socket:
            family, kind, protocol, _, _ = address
            with self._inside():
                return socket.socket(family, kind, protocol)

        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=socket_inside))

    def _url(self, path: str) -> str:
        return f"http://{self.health[0]}:{self.health[1]}{path}"

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.output.append(line.decode())


def free_port(kind: socket.SocketKind, host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def relay_port(host: str) -> int:
    """A port that is free for UDP and TCP, and that the system gives to nobody who asks for any."""
    for port in random.sample(range(20_000, 30_000), 100):
        try:
            udp_socket((host, port)).close()
            bind_tcp((host, port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")


@asynccontextmanager
async def relay_process(
    directory: Path, ring: KeyRing, host: str = "127.0.0.1", *, namespace: Namespace | None = None, **settings: str
) -> AsyncIterator[RelayProcess]:
    """A relay that is ready; settings by the names of their variables."""
    named = {f"{Env.PREFIX}{name}": value for name, value in settings.items()}
    relay = RelayProcess(directory, ring, host, named, namespace)
    await relay.start()
    try:
        yield relay
    finally:
        for each in (*relay.successors, relay):
            if each.process is not None and each.process.returncode is None:
                await each.end(signal.SIGKILL)


@asynccontextmanager
async def relay_processes(directory: Path, ring: KeyRing, *hosts: str) -> AsyncIterator[list[RelayProcess]]:
    """A relay at each of these addresses."""
    async with AsyncExitStack() as stack:
        relays: list[RelayProcess] = []
        for number, host in enumerate(hosts):
            (own := directory / f"relay-{number}").mkdir()
            relays.append(await stack.enter_async_context(relay_process(own, ring, host)))
        yield relays
