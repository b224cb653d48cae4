"""A fleet in three regions over real processes: each relay and each client in a network of its own, at real distances.

In the middle stand Redis, two replicas of signaling and two transceivers; around it, each behind its cable, a relay and
a client network for each region. What a packet takes from a relay to a client depends on both of their regions.
"""

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from socket import inet_aton
from typing import Any, Final

import aiohttp
from aiohappyeyeballs import AddrInfoType

from tests.support.facts import DEADLINE, eventually_seen
from tests.support.long_cable import LongCable
from tests.support.namespaces import Namespace, address, namespaces, wire
from tests.support.workers import RING
from voicefleet.contract import Env, HealthPath
from voicefleet.net.embedded_redis import redis_program
from voicefleet.wire.certificate import self_signed

MIDDLE: Final = "10.77.0.1"
REGIONS: Final[Mapping[str, tuple[float, float]]] = {
    "fra": (50.11, 8.68), "nyc": (40.71, -74.01), "sin": (1.35, 103.82),
}  # fmt: skip
DELAYS: Final = {
    frozenset(pair.split()): milliseconds
    for pair, milliseconds in {"fra": 4, "nyc": 4, "sin": 4, "fra nyc": 80, "fra sin": 160, "nyc sin": 220}.items()
}
"""Milliseconds there and back between a relay and a client; all of it on the way to the client."""
KEY: Final = "vf-a-key-of-the-test"
START: Final = 3 * DEADLINE


@dataclass(slots=True)
class Running:
    """A process of the fleet, in its namespace."""

    name: str
    namespace: Namespace
    module: str
    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.namespace.enter, sys.executable, "-m", self.module),
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        health = self.environment[Env.HEALTH_LISTEN]
        await eventually_seen(
            lambda: self._answers(f"http://{health}{HealthPath.READY}"),
            lambda: f"{self.name} is ready: {self.log.read_text()[-2000:]}",
            START,
        )

    async def kill(self) -> None:
        """As a machine dies."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def _answers(self, url: str) -> bool:
        assert self.process is not None and self.process.returncode is None, self.log.read_text()[-2000:]
        try:
            async with http_from(self.namespace) as http, http.get(url) as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@dataclass(frozen=True, slots=True)
class Fleet:
    """The fleet, once all of it is ready."""

    middle: Namespace
    clients: Mapping[str, Namespace]
    relays: Mapping[str, Running]
    signaling: Sequence[str]
    """Base URLs of the replicas."""
    processes: list[Running] = field(default_factory=list)

    async def explain(self, region: str, replica: int = 0) -> dict[str, Any]:
        """Why calls of a region's client go where they go."""
        bearer = {"Authorization": f"Bearer {RING.keys[0].api_bearer}"}
        async with (
            http_from(self.middle) as http,
            http.post(
                f"{self.signaling[replica]}/v1/steering/explain", json={"address": client_of(region)}, headers=bearer
            ) as answer,
        ):
            assert answer.status == 200, await answer.text()
            told: dict[str, Any] = await answer.json()
            return told


def relay_of(region: str) -> str:
    """The public address of a region's relay."""
    return f"10.77.{10 + list(REGIONS).index(region)}.2"


def client_of(region: str) -> str:
    """The address of a region's client."""
    return f"10.77.{20 + list(REGIONS).index(region)}.2"


def http_from(namespace: Namespace) -> aiohttp.ClientSession:
    """An HTTP client that stands there."""

    def inside(address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        with namespace.entered():
            return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=inside))


@asynccontextmanager
async def three_regions(directory: Path) -> AsyncIterator[Fleet]:
    """The fleet; gone at the end with all that it ran in."""
    names = list(REGIONS)
    with namespaces("middle", *(f"r{name}" for name in names), *(f"c{name}" for name in names)) as made:
        middle, relays, clients = (
            made[0],
            dict(zip(names, made[1:4], strict=True)),
            dict(zip(names, made[4:], strict=True)),
        )
        async with AsyncExitStack() as stack:
            _cables(stack, middle, relays, clients)
            _redis(stack, middle)
            fleet = _processes(directory, middle, relays, clients)
            for each in fleet.processes:
                stack.push_async_callback(each.kill)
            await asyncio.gather(*(each.start() for each in fleet.processes))
            yield fleet


def _cables(
    stack: AsyncExitStack, middle: Namespace, relays: Mapping[str, Namespace], clients: Mapping[str, Namespace]
) -> None:
    address(middle, "lo", f"{MIDDLE}/32")
    middle.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for region, end in relays.items():
        near = relay_of(region)[:-1] + "1"
        wire(middle, f"relay-{region}", end, "out")
        address(middle, f"relay-{region}", f"{near}/24")
        address(end, "out", f"{relay_of(region)}/24")
        end.ip(f"route add default via {near}")
    for region, end in clients.items():
        stack.enter_context(LongCable(middle, f"client-{region}", end, "out", partial(_seconds, region)))
        address(end, "out", f"{client_of(region)}/32")
        end.ip("route add default dev out")
        middle.ip(f"route add {client_of(region)}/32 dev client-{region}")


def _seconds(region: str, source: bytes) -> float:
    """How long a packet from this address takes to a client there."""
    other = next((each for each in REGIONS if inet_aton(relay_of(each)) == source), None)
    return DELAYS[frozenset({region, other})] / 1000 if other is not None else 0.0


def _redis(stack: AsyncExitStack, middle: Namespace) -> None:
    options = f"--bind {MIDDLE} --port 6379 --protected-mode no --save  --appendonly no".split(" ")
    process = subprocess.Popen(
        [*middle.enter, str(redis_program()), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait)
    stack.callback(process.kill)


def _processes(
    directory: Path, middle: Namespace, relays: Mapping[str, Namespace], clients: Mapping[str, Namespace]
) -> Fleet:
    (directory / "keys").mkdir()
    (directory / "keys" / "shop").write_text(f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}")
    (directory / "keyring.json").write_bytes(RING.dump())
    certificate, key = self_signed(time.time(), timedelta(days=1))
    (directory / "tls.crt").write_bytes(certificate)
    (directory / "tls.key").write_bytes(key)
    common = {name: value for name, value in os.environ.items() if not name.startswith(Env.PREFIX)} | {
        Env.KEY_FILE: str(directory / "keyring.json"),
        Env.REDIS_URL: f"redis://{MIDDLE}:6379",
        Env.LOG_FORMAT: "text",
        Env.WORKERS: "1",
    }

    def running(name: str, where: Namespace, health: int, settings: Mapping[str, str]) -> Running:
        service = name.partition("-")[0]
        environment = {**common, Env.POD: name, Env.HEALTH_LISTEN: f"127.0.0.1:{health}", **settings}
        return Running(name, where, f"voicefleet.services.{service}", environment, directory / f"{name}.log")

    edge = {
        region: running(
            f"relay-{region}",
            where,
            8080,
            {
                Env.POOL: region,
                Env.REGION: region,
                Env.PLACE: f"{REGIONS[region][0]},{REGIONS[region][1]}",
                Env.LISTEN: f"{relay_of(region)}:3478",
                Env.HOP_NETWORKS: f"{MIDDLE}/32",
                Env.NODE: f"node-{region}",
            },
        )
        for region, where in relays.items()
    }
    pods = [
        running(
            f"transceiver-{number}",
            middle,
            8090 + number,
            {
                Env.CERTIFICATE_DIRECTORY: str(directory),
                Env.HOP_LISTEN: f"{MIDDLE}:{4478 + number * 10}",
                Env.API_LISTEN: f"{MIDDLE}:{8190 + number}",
            },
        )
        for number in range(2)
    ]
    networks = [
        {"cidr": f"{client_of(region)}/32", "latitude": place[0], "longitude": place[1]}
        for region, place in REGIONS.items()
    ]
    doors = [
        running(
            f"signaling-{number}",
            middle,
            8070 + number,
            {
                Env.SIGNALING_LISTEN: f"{MIDDLE}:{8088 + number}",
                Env.API_KEYS_DIRECTORY: str(directory / "keys"),
                Env.GEO_NETWORKS: json.dumps(networks),
            },
        )
        for number in range(2)
    ]
    urls = [f"http://{MIDDLE}:{8088 + number}" for number in range(2)]
    return Fleet(middle, clients, edge, urls, [*edge.values(), *pods, *doors])
