"""How long the operator takes for many pools and shards, and what an idle fleet of that size costs.

A real API server with etcd and the controllers that make pods; pods run as soon as they are there and answer that they
have no calls. Everything shares the machine's cores, so the times say as much of Kubernetes as of the operator.
"""

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from tests.bench.report import Bar, Report, Row
from tests.support.kubernetes.control_plane import ControlPlane, control_plane
from tests.support.kubernetes.kwok import Client, client, kubelets
from tests.support.kubernetes.operator_process import OperatorProcess, operator_process
from tests.support.kubernetes.programs import programs
from voicefleet.contract import HealthPath, InternalApi, Metric, Port
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS

TITLE = "the operator with many pools and shards: from nothing to Ready, idle, and one change"
SIZES: Final = (10, 100, 500, 1000)
A_FLEET: Final = 50
"""Pools and shards of one fleet."""
ACCOUNT: Final = "bench"
APPLIED_AT_ONCE: Final = 8
LOOK: Final = 0.5
"""Seconds between two looks at whether all are Ready; each is a list of all, which is work for the API server."""
IDLE_SECONDS: Final = 20.0
DEADLINE: Final = 240.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one size took."""

    size: int
    ready: float
    """Seconds from the first apply until all are Ready."""
    busy: dict[str, float]
    """Processor seconds of each process in that time."""
    reads: float
    writes: float
    """Requests to the API server in a second while nothing happens, the lease's renewal left out."""
    renewals: float
    cores: float
    """Processor time of the operator while nothing happens."""
    memory: float
    """MiB, at most."""
    change: float
    """Seconds from a changed field of one shard until its Deployment has it."""


def run(quick: bool) -> Report:
    """The curve; quick, its beginning."""
    return _report([asyncio.run(_measure(size)) for size in ((10, 50) if quick else SIZES)])


def _part(size: int) -> Callable[[bool], Report]:
    return lambda quick: _report([asyncio.run(_measure(size))])


PARTS: Final = {str(size): _part(size) for size in SIZES}


def _report(outcomes: list[Outcome]) -> Report:
    rows = []
    for each in outcomes:
        name = f"{each.size} pools and shards"
        rows += [
            Row(name, "from nothing to Ready", each.ready, "s"),
            *(Row(name, f"processor until then, {who}", spent, "s") for who, spent in each.busy.items()),
            Row(name, "reads while idle", each.reads, "/s"),
            Row(name, "writes while idle", each.writes, "/s"),
            Row(name, "renewals of the lease", each.renewals, "/s"),
            Row(name, "processor while idle", each.cores, "cores"),
            Row(name, "memory", each.memory, "MiB"),
            Row(name, "one changed field", each.change, "s"),
        ]
    bars = []
    for each in outcomes:
        if each.size <= 500:
            name = f"{each.size}: "
            bars += [
                Bar.at_most(name + "s to Ready", each.ready, 60.0),
                Bar.at_most(name + "reads/s while idle", each.reads, 1.0),
                Bar.at_most(name + "writes/s while idle", each.writes, 0.0),
                Bar.at_most(name + "MiB", each.memory, 250.0),
                Bar.at_most(name + "s for one change", each.change, 1.0),
            ]
    return Report("operator", rows, bars)


async def _measure(size: int) -> Outcome:
    async with control_plane(programs()) as plane:
        plane.start_controllers("--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-deployment-syncs=10")
        plane.apply(*(definition(kind) for kind in KINDS.values()), _node())
        waited = plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        assert waited.returncode == 0, waited.stderr
        async with (
            client(plane) as api,
            operator_process(plane, ACCOUNT) as operator,
            _pods() as address,
            kubelets(api, address),
        ):
            await api.merge("/api/v1/nodes/node-1/status", {"status": {"addresses": _ADDRESSES}})
            await operator.says("leads as")
            fleets = max(1, size // A_FLEET)
            processes = {**plane.processes, "operator": operator.pid, "the bench's pods": os.getpid()}
            before = {who: _cpu(pid) for who, pid in processes.items()}
            started = time.monotonic()
            await _apply(api, size, fleets)
            try:
                await _until_ready(api, size + fleets)
            except TimeoutError:
                raise AssertionError(operator.log.read_text()[-3000:]) from None
            ready = time.monotonic() - started
            busy = {who: _cpu(pid) - before[who] for who, pid in processes.items()}
            reads, writes, renewals, cores = await _idle(plane, operator)
            change = await _change(api)
            return Outcome(size, ready, busy, reads, writes, renewals, cores, _peak(operator.pid), change)


async def _apply(api: Client, size: int, fleets: int) -> None:
    """Everything at once, several requests at a time: kubectl would apply one after the other."""
    ports = {"range": {"from": 20000, "to": 29999}}
    documents: list[dict[str, Any]] = []
    for fleet in range(fleets):
        namespace = f"bench-{fleet}"
        await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        documents.append(_resource("VoiceFleet", "demo", namespace, {"ports": ports, "signaling": {"replicas": 1}}))
        for number in range(size // fleets):
            kind = ("RelayPool", "TransceiverShard")[number % 2]
            documents.append(_resource(kind, f"part-{number}", namespace, {"fleetRef": "demo"}))
    for at in range(0, len(documents), APPLIED_AT_ONCE):
        await asyncio.gather(*(api.apply(each) for each in documents[at : at + APPLIED_AT_ONCE]))


def _resource(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "voicefleet.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


_ADDRESSES: Final = [{"type": "InternalIP", "address": "127.10.0.1"}]


def _node() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}


async def _until_ready(api: Client, count: int) -> None:
    async with asyncio.timeout(DEADLINE):
        for plural in ("voicefleets", "relaypools", "transceivershards"):
            while not await _all_ready(api, plural):  # noqa: ASYNC110 - the fact is in another process
                await asyncio.sleep(LOOK)


async def _all_ready(api: Client, plural: str) -> bool:
    items = (await api.get(f"/apis/voicefleet.dev/v1alpha1/{plural}"))["items"]
    assert isinstance(items, list)
    return bool(items) and all(
        any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in (each.get("status") or {}).get("conditions") or ()
        )
        for each in items
    )


async def _idle(plane: ControlPlane, operator: OperatorProcess) -> tuple[float, float, float, float]:
    """Reads, writes, renewals of the lease in a second, and processor time, once nothing has happened for a while."""
    await asyncio.sleep(10.0)
    before, cpu = len(_asked(plane)), _cpu(operator.pid)
    started = time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - started
    found = _asked(plane)[before:]
    cores = (_cpu(operator.pid) - cpu) / seconds
    leases = [verb for verb, resource in found if resource == "leases"]
    reads = [verb for verb, resource in found if verb in ("get", "list", "watch") and resource != "leases"]
    writes = len(found) - len(leases) - len(reads)
    reads_of_leases = sum(verb == "get" for verb in leases)
    return (
        (len(reads) + reads_of_leases) / seconds,
        writes / seconds,
        (len(leases) - reads_of_leases) / seconds,
        cores,
    )


def _asked(plane: ControlPlane) -> list[tuple[str, str]]:
    """What the operator has asked for, in order: verb and resource."""
    asked = []
    for line in plane.audit_log.read_text().splitlines():
        if f"system:serviceaccount:default:{ACCOUNT}" in line and '"stage":"ResponseComplete"' in line:
            event = json.loads(line)
            asked.append((event["verb"], event.get("objectRef", {}).get("resource", "")))
    return asked


async def _change(api: Client) -> float:
    path = "/apis/voicefleet.dev/v1alpha1/namespaces/bench-0/transceivershards/part-1"
    started = time.monotonic()
    await api.merge(path, {"spec": {"sessionsPerReplica": 77}})
    while True:
        found = await api.get("/apis/apps/v1/namespaces/bench-0/deployments/part-1-transceiver")
        if '"value": "77"' in json.dumps(found["spec"]):
            return time.monotonic() - started
        await asyncio.sleep(0.01)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


@asynccontextmanager
async def _pods() -> AsyncIterator[str]:
    """One answer for all pods, at an address of this run: transceivers without calls, relays without flows."""

    async def transceiver(_request: web.Request) -> web.Response:
        return web.json_response({"calls": [], "capacity": 200, "draining": False})

    async def relay(_request: web.Request) -> web.Response:
        return web.Response(text=_RELAY)

    transceivers, relays = web.Application(), web.Application()
    transceivers.add_routes([web.get(InternalApi.SESSIONS, transceiver)])
    relays.add_routes([web.get(HealthPath.METRICS, relay)])
    address = f"127.77.{os.getpid() % 250}.{secrets.randbelow(250) + 1}"
    async with AsyncExitStack() as stack:
        for app, port in ((transceivers, Port.TRANSCEIVER_API), (relays, Port.HEALTH)):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address, port).start()
        yield address


_RELAY: Final = f"""\
{Metric.RELAY_FLOWS}{{state="confirmed"}} 0
{Metric.RELAY_PACKETS}_total{{tier="userspace"}} 0
"""
