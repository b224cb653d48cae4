"""Where the operator is measured: a real API server with etcd and the controllers that make pods, and nothing else.

Pods run as soon as they are seen. All of them answer alike, and a bench may say what.
"""

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiohttp import web

from tests.support.kubernetes.control_plane import ControlPlane, control_plane
from tests.support.kubernetes.kwok import Client, client, kubelets
from tests.support.kubernetes.operator_process import OperatorProcess, operator_process
from tests.support.kubernetes.programs import programs
from voicefleet.contract import HealthPath, InternalApi, Metric, Port
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS

ACCOUNT: Final = "bench"
APPLIED_AT_ONCE: Final = 8
LOOK: Final = 0.5
"""Seconds between two looks at whether all are Ready; each is a list of all, which is work for the API server."""
SETTLES: Final = 10.0
"""Seconds after which nothing of what was done before is still under way."""
IDLE_SECONDS: Final = 20.0
DEADLINE: Final = 240.0
RESOURCES: Final = "/apis/voicefleet.dev/v1alpha1"


@dataclass(slots=True)
class Pods:
    """What all pods say of themselves."""

    address: str
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Lab:
    """The programs, while they run."""

    plane: ControlPlane
    api: Client
    operator: OperatorProcess
    pods: Pods

    async def apply(self, documents: Iterable[dict[str, Any]]) -> None:
        """Everything at once, several requests at a time: kubectl would apply one after the other."""
        each = list(documents)
        for at in range(0, len(each), APPLIED_AT_ONCE):
            await asyncio.gather(*map(self.api.apply, each[at : at + APPLIED_AT_ONCE]))

    async def until_ready(self, *plurals: str) -> None:
        """Until all objects of these kinds are Ready."""
        try:
            async with asyncio.timeout(DEADLINE):
                for plural in plurals:
                    while not await self._all_ready(plural):  # noqa: ASYNC110 - the fact is in another process
                        await asyncio.sleep(LOOK)
        except TimeoutError:
            raise AssertionError(self.operator.log.read_text()[-3000:]) from None

    async def _all_ready(self, plural: str) -> bool:
        items = (await self.api.get(f"{RESOURCES}/{plural}"))["items"]
        assert isinstance(items, list)
        return bool(items) and all(
            any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in (each.get("status") or {}).get("conditions") or ()
            )
            for each in items
        )

    async def idle(self) -> "Idle":
        """What the operator does while nothing happens."""
        await asyncio.sleep(SETTLES)
        before, spent = len(self.asked()), cpu(self.operator.pid)
        started = time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        seconds = time.monotonic() - started
        found = self.asked()[before:]
        cores = (cpu(self.operator.pid) - spent) / seconds
        renewals = sum(each.resource == "leases" and not each.reads for each in found)
        reads = sum(each.reads for each in found)
        return Idle(reads / seconds, (len(found) - reads - renewals) / seconds, renewals / seconds, cores)

    def asked(self) -> "list[Asked]":
        """What the operator has asked the API server for, in order."""
        asked = []
        for line in self.plane.audit_log.read_text().splitlines():
            if f"system:serviceaccount:default:{ACCOUNT}" in line and '"stage":"ResponseComplete"' in line:
                event = json.loads(line)
                of = event.get("objectRef", {})
                names = (of.get("resource", ""), of.get("subresource", ""), of.get("name", ""))
                asked.append(Asked(event["verb"], *names, event["requestReceivedTimestamp"]))
        return asked


class Idle(NamedTuple):
    """In a second: requests to the API server, the lease's renewal apart, and seconds of the processor."""

    reads: float
    writes: float
    renewals: float
    cores: float


class Asked(NamedTuple):
    """One request."""

    verb: str
    resource: str
    subresource: str
    name: str
    at: str

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.verb in ("get", "list", "watch")


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """All programs, with one node and an operator that leads."""
    async with control_plane(programs()) as plane:
        plane.start_controllers("--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-deployment-syncs=10")
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
        plane.apply(*(definition(kind) for kind in KINDS.values()), node)
        waited = plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        assert waited.returncode == 0, waited.stderr
        async with (
            client(plane) as api,
            operator_process(plane, ACCOUNT) as operator,
            _pods() as pods,
            kubelets(api, pods.address),
        ):
            addresses = [{"type": "InternalIP", "address": "127.10.0.1"}]
            await api.merge("/api/v1/nodes/node-1/status", {"status": {"addresses": addresses}})
            await operator.says("leads as")
            yield Lab(plane, api, operator, pods)


def resource(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    """One of ours."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "voicefleet.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def cpu(pid: int) -> float:
    """Seconds of the processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def peak(pid: int) -> float:
    """MiB that a process has had at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


@asynccontextmanager
async def _pods() -> AsyncIterator[Pods]:
    """One answer for all pods, at an address of this run: transceivers and their calls, relays without flows."""
    pods = Pods(f"127.77.{os.getpid() % 250}.{secrets.randbelow(250) + 1}")

    async def transceiver(_request: web.Request) -> web.Response:
        calls = [{"id": f"rtc_{number}", "age": 100.0} for number in range(pods.calls)]
        return web.json_response({"calls": calls, "capacity": 200, "draining": False})

    async def relay(_request: web.Request) -> web.Response:
        return web.Response(text=_RELAY)

    transceivers, relays = web.Application(), web.Application()
    transceivers.add_routes([web.get(InternalApi.SESSIONS, transceiver)])
    relays.add_routes([web.get(HealthPath.METRICS, relay)])
    async with AsyncExitStack() as stack:
        for app, port in ((transceivers, Port.TRANSCEIVER_API), (relays, Port.HEALTH)):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, pods.address, port).start()
        yield pods


_RELAY: Final = f"""\
{Metric.RELAY_FLOWS}{{state="confirmed"}} 0
{Metric.RELAY_PACKETS}_total{{tier="userspace"}} 0
"""
