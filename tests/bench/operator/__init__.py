"""How long the operator takes for many pools and shards, and what an idle fleet of that size costs.

A real API server with etcd and the controllers that make pods; pods run as soon as they are there and answer that they
have no calls. Everything shares the machine's cores, so the times say as much of Kubernetes as of the operator.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.operator import scaling
from tests.bench.operator.lab import RESOURCES, Idle, Lab, cpu, lab, peak, resource
from tests.bench.report import Bar, Report, Row
from tests.support.kubernetes.kwok import Client

TITLE = "the operator with many pools and shards: from nothing to Ready, idle, one change; and a burst of calls"
SIZES: Final = (10, 100, 500, 1000)
A_FLEET: Final = 50
"""Pools and shards of one fleet."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one size took."""

    size: int
    ready: float
    """Seconds from the first apply until all are Ready."""
    busy: dict[str, float]
    """Processor seconds of each process in that time."""
    idle: Idle
    memory: float
    """MiB, at most."""
    change: float
    """Seconds from a changed field of one shard until its Deployment has it."""


def run(quick: bool) -> Report:
    """The curve, and a burst; quick, where the curve begins."""
    sizes = _report([asyncio.run(_measure(size)) for size in (SIZES[:1] if quick else SIZES)])
    if quick:
        return sizes
    burst = scaling.measure(quick)
    return Report("operator", [*sizes.rows, *burst.rows], [*sizes.bars, *burst.bars])


def _part(size: int) -> Callable[[bool], Report]:
    return lambda quick: _report([asyncio.run(_measure(size))])


PARTS: Final = {**{str(size): _part(size) for size in SIZES}, "scaling": scaling.measure}


def _report(outcomes: list[Outcome]) -> Report:
    rows = []
    for each in outcomes:
        name = f"{each.size} pools and shards"
        rows += [
            Row(name, "from nothing to Ready", each.ready, "s"),
            *(Row(name, f"processor until then, {who}", spent, "s") for who, spent in each.busy.items()),
            Row(name, "reads while idle", each.idle.reads, "/s"),
            Row(name, "writes while idle", each.idle.writes, "/s"),
            Row(name, "renewals of the lease", each.idle.renewals, "/s"),
            Row(name, "processor while idle", each.idle.cores, "cores"),
            Row(name, "memory", each.memory, "MiB"),
            Row(name, "one changed field", each.change, "s"),
        ]
    bars = []
    for each in outcomes:
        if each.size <= 500:
            name = f"{each.size}: "
            bars += [
                Bar.at_most(name + "s to Ready", each.ready, 60.0),
                Bar.at_most(name + "reads/s while idle", each.idle.reads, 1.0),
                Bar.at_most(name + "writes/s while idle", each.idle.writes, 0.0),
                Bar.at_most(name + "MiB", each.memory, 250.0),
                Bar.at_most(name + "s for one change", each.change, 1.0),
            ]
    return Report("operator", rows, bars)


async def _measure(size: int) -> Outcome:
    async with lab() as here:
        fleets = max(1, size // A_FLEET)
        processes = {**here.plane.processes, "operator": here.operator.pid, "the bench's pods": os.getpid()}
        before = {who: cpu(pid) for who, pid in processes.items()}
        started = time.monotonic()
        await _apply(here, size, fleets)
        await here.until_ready("voicefleets", "relaypools", "transceivershards")
        ready = time.monotonic() - started
        busy = {who: cpu(pid) - before[who] for who, pid in processes.items()}
        idle = await here.idle()
        change = await _change(here.api)
        return Outcome(size, ready, busy, idle, peak(here.operator.pid), change)


async def _apply(here: Lab, size: int, fleets: int) -> None:
    ports = {"range": {"from": 20000, "to": 29999}}
    documents: list[dict[str, Any]] = []
    for fleet in range(fleets):
        namespace = f"bench-{fleet}"
        await here.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        documents.append(resource("VoiceFleet", "demo", namespace, {"ports": ports, "signaling": {"replicas": 1}}))
        for number in range(size // fleets):
            kind = ("RelayPool", "TransceiverShard")[number % 2]
            documents.append(resource(kind, f"part-{number}", namespace, {"fleetRef": "demo"}))
    await here.apply(documents)


async def _change(api: Client) -> float:
    path = f"{RESOURCES}/namespaces/bench-0/transceivershards/part-1"
    started = time.monotonic()
    await api.merge(path, {"spec": {"sessionsPerReplica": 77}})
    while True:
        found = await api.get("/apis/apps/v1/namespaces/bench-0/deployments/part-1-transceiver")
        if '"value": "77"' in json.dumps(found["spec"]):
            return time.monotonic() - started
        await asyncio.sleep(0.01)
