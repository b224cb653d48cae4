"""`voicefleet drain NAME`: a transceiver or relay takes no more calls, and is replaced when those it has have ended.

In a cluster its pod is deleted, which is how Kubernetes drains: the pod has its grace period, and its workload makes
another one at once. On one machine `voicefleet up` does the same with its processes.
"""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from voicefleet.cli.cluster_api import ClusterFleet, explained
from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.fleet_api import FleetApi
from voicefleet.cli.local.key_material import requests_directory
from voicefleet.cli.output import say, say_json
from voicefleet.cli.reach import choose, local_fleet
from voicefleet.cli.target import Target
from voicefleet.net.local_requests import LocalRequests, Request
from voicefleet_operator.kube.endpoints import POD
from voicefleet_operator.kube.errors import KubernetesError

LOOK: Final = 0.5


def drain(target: Target, name: str, *, wait: float, as_json: bool) -> None:
    """Drain one; with `wait` seconds, until it has no more calls."""
    asyncio.run(_drain(target, name, wait, as_json))


async def _drain(target: Target, name: str, wait: float, as_json: bool) -> None:
    async with choose(target) as fleet:
        view = await fleet.ask("GET", "/v1/fleet")
        kind = _kind(view, name)
        if isinstance(fleet, ClusterFleet):
            try:
                await fleet.cluster.delete(POD, fleet.namespace, name)
            except KubernetesError as error:
                raise explained(error) from None
        elif target.url:
            if kind == "relay":
                raise Failure(f"{name} is a relay, which only its machine can drain", "end it there by SIGTERM")
            await fleet.ask("POST", f"/v1/fleet/transceivers/{name}/drain")
        else:
            _request(target, name)
        left = await _wait(fleet, name, wait, quiet=as_json) if wait else _calls(view, name)
    if as_json:
        say_json({"name": name, "kind": kind, "draining": True, "callsLeft": left})
    else:
        say(
            f"{kind} {name} {'drains' if left or not wait else 'has drained'}"
            + (f"; calls left: {left}" if left else "")
        )
    if wait and left:
        raise Failure(f"{name} still has {left} calls after {wait:g} s", "wait longer with --wait")


def _kind(view: dict[str, Any], name: str) -> str:
    for kind in ("relay", "transceiver"):
        if any(each["id"] == name for each in view[f"{kind}s"]):
            return kind
    known = ", ".join(each["id"] for each in (*view["relays"], *view["transceivers"]))
    raise Failure(f"there is no relay or transceiver {name}", f"there are: {known or 'none'}", Exit.NOT_FOUND)


def _calls(view: dict[str, Any], name: str) -> int:
    return next((int(each["calls"] or 0) for each in view["transceivers"] if each["id"] == name), 0)


async def _wait(fleet: FleetApi | ClusterFleet, name: str, seconds: float, *, quiet: bool) -> int:
    deadline, said = time.monotonic() + seconds, -1
    while True:
        left = _calls(await fleet.ask("GET", "/v1/fleet"), name)
        if not left or time.monotonic() > deadline:
            return left
        if left != said and not quiet:
            say(f"{name} drains; calls left: {left}")
            said = left
        await asyncio.sleep(LOOK)


def _request(target: Target, name: str) -> None:
    """Ask `voicefleet up`, which drains it and starts another one."""
    ready = local_fleet(target)
    if ready is None or name not in ready.processes:
        raise Failure(f"{name} is not a process of a fleet on this machine", "drain it where it runs", Exit.NOT_FOUND)
    LocalRequests(requests_directory(Path(ready.logs))).put(Request.DRAIN, name)
