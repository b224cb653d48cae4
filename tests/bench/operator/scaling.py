"""How soon a ScalingPolicy writes a shard's new number when calls come, and what a hundred of them cost.

Every shard has a policy of its own. Calls come to all of them at one moment, which is the worst one: from there until
the API server got the write of each is counted, by its own audit log.
"""

import asyncio
import statistics
from datetime import UTC, datetime
from typing import Any, Final

from tests.bench.operator.lab import DEADLINE, Idle, Lab, cpu, lab, resource
from tests.bench.report import Bar, Report, Row

SHARDS: Final = 100
A_FLEET: Final = 50
ROOM: Final = 10
"""Calls that a pod takes."""
FREE: Final = 3
BEFORE: Final = 2
"""Calls of each pod until the burst, for which one is enough."""
AFTER: Final = 8
"""Calls of each from then on: one pod has too little room left, and two have enough."""
PROMISED: Final = 10.0
"""Seconds."""


def measure(quick: bool) -> Report:
    """The control loop with many shards."""
    return asyncio.run(_measure(10 if quick else SHARDS))


async def _measure(shards: int) -> Report:
    async with lab() as here:
        here.pods.calls = BEFORE
        fleets = max(1, shards // A_FLEET)
        for fleet in range(fleets):
            await here.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"bench-{fleet}"}})
        places = [(f"part-{number}", f"bench-{number % fleets}") for number in range(shards)]
        await here.apply(_fleet(f"bench-{fleet}") for fleet in range(fleets))
        await here.apply(_shard(*place) for place in places)
        await here.until_ready("voicefleets", "transceivershards")
        without = await here.idle()
        await here.apply(_policy(*place) for place in places)
        await here.until_ready("scalingpolicies")
        steady = await here.idle()
        assert not _writes(here), "a policy that has what it asks for has written"
        took, spent = await _burst(here, shards)
        await _until_all_run(here, 2)
    return _report(shards, without, steady, took, spent)


def _report(shards: int, without: Idle, steady: Idle, took: list[float], spent: float) -> Report:
    name = f"scaling, {shards} shards"
    rows = [
        Row(name, "burst until the scale is written, median", statistics.median(took), "s"),
        Row(name, "burst until the scale is written, slowest", max(took), "s"),
        Row(name, "processor until all are written", spent, "s"),
        Row(name, "processor without policies", without.cores, "cores"),
        Row(name, "processor with a policy each", steady.cores, "cores"),
        Row(name, "reads with a policy each", steady.reads, "/s"),
        Row(name, "writes with a policy each", steady.writes, "/s"),
    ]
    bars = [
        Bar.at_most(f"{name}: slowest reaction to a burst, s", max(took), PROMISED),
        Bar.at_most(f"{name}: writes/s while nothing changes", steady.writes, 0.0),
    ]
    return Report("operator", rows, bars)


async def _burst(here: Lab, shards: int) -> tuple[list[float], float]:
    """Seconds until each shard's number was written, and of the processor until all were."""
    began, before = datetime.now(UTC), cpu(here.operator.pid)
    here.pods.calls = AFTER
    async with asyncio.timeout(DEADLINE):
        while len(_writes(here)) < shards:  # noqa: ASYNC110 - the fact is in another process
            await asyncio.sleep(0.5)
    spent = cpu(here.operator.pid) - before
    return [(each - began).total_seconds() for each in _writes(here).values()], spent


def _writes(here: Lab) -> dict[str, datetime]:
    """When the number of each shard was written for the first time."""
    found: dict[str, datetime] = {}
    for each in here.asked():
        if (each.resource, each.subresource) == ("transceivershards", "scale") and not each.reads:
            found.setdefault(each.name, datetime.fromisoformat(each.at))
    return found


async def _until_all_run(here: Lab, replicas: int) -> None:
    """Until every shard has so many pods: what was written is what was right."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = (await here.api.get("/apis/voicefleet.dev/v1alpha1/transceivershards"))["items"]
            assert isinstance(found, list)
            if {each["status"]["readyReplicas"] for each in found} == {replicas}:
                return
            await asyncio.sleep(0.5)


def _fleet(namespace: str) -> dict[str, Any]:
    return resource("VoiceFleet", "demo", namespace, {"signaling": {"replicas": 1}})


def _shard(name: str, namespace: str) -> dict[str, Any]:
    return resource("TransceiverShard", name, namespace, {"fleetRef": "demo", "sessionsPerReplica": ROOM})


def _policy(name: str, namespace: str) -> dict[str, Any]:
    target = {"kind": "TransceiverShard", "name": name}
    return resource("ScalingPolicy", name, namespace, {"targetRef": target, "maxReplicas": 5, "freeSessions": FREE})
