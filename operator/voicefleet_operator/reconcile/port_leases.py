"""The fleet's leases of public ports: read all fleets anew, let the model decide, write with the version that was read.

The store is not enough here, since it lags: a claim is bound only by who has read every other fleet after the claim was
written. One list of all fleets shows both at one moment. It is read only while something has to change.
"""

from dataclasses import dataclass
from typing import Any, Final

from voicefleet.contract import Label
from voicefleet_operator.api.conditions import moment, timestamp
from voicefleet_operator.api.voice_fleet import PortLease
from voicefleet_operator.kube.endpoints import CUSTOM, OWNED, POD
from voicefleet_operator.model.manifest import MANAGED_BY, MANAGER
from voicefleet_operator.model.ports import Lease, Plan, State, Terms, Want, plan, wants_of
from voicefleet_operator.model.resources import Fleet
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.observed import Unreadable, pools_of, resource
from voicefleet_operator.reconcile.store import Document

RETRY: Final = 15.0
"""Seconds until a pool that got no port is tried again, at least; a little chance is added."""

_NOT_OF_A_FLEET: Final = f"!{Label.FLEET}"


@dataclass(frozen=True, slots=True)
class Leases:
    """How the leases stand."""

    written: Document | None
    """The fleet with its new status, if that had to change."""
    again: float | None
    """When to look again."""


async def advance(context: Context, fleet: Fleet) -> Leases:
    """The next step of the fleet's leases."""
    stuck = _stuck(context)
    wants = [want for pool in pools_of(context.store, fleet) for want in wants_of(pool)]
    now = context.clock()
    if not _has_to_change(fleet, wants, now, stuck):
        _tell_pools(context, fleet, {})
        return Leases(None, _next_end(fleet, now))
    everywhere = await _all_fleets(context)
    current = next((each for each in everywhere if each["metadata"]["uid"] == fleet.uid), None)
    if current is None:
        return Leases(None, None)
    spec = fleet.spec.ports
    step = plan(
        _leases(current),
        wants,
        [lease for each in everywhere if each is not current for lease in _leases(each)],
        await _taken(context, fleet),
        Terms(spec.range.first, spec.range.last, spec.quarantine),
        now,
        context.random,
        stuck,
    )
    _tell_pools(context, fleet, dict(step.refused))
    written = await _write(context, current, step)
    retry = RETRY * (1 + context.random.random()) if step.refused else None
    return Leases(written, retry if retry is not None else _next_end(fleet, now))


def _stuck(context: Context) -> frozenset[int]:
    now = context.clock()
    context.stuck_ports = {port: until for port, until in context.stuck_ports.items() if until > now}
    return frozenset(context.stuck_ports)


def _has_to_change(fleet: Fleet, wants: list[Want], now: float, stuck: frozenset[int]) -> bool:
    held = {each.pool: each for each in fleet.status.ports if each.state == State.BOUND.value}
    for want in wants:
        lease = held.pop(want.pool, None)
        if lease is None or lease.addresses != want.addresses or want.port not in (None, lease.port):
            return True
        if want.port is None and lease.port in stuck:
            return True
    if held or any(each.state == State.CLAIMED.value for each in fleet.status.ports):
        return True
    end = _next_end(fleet, now)
    return end is not None and end <= 0.0


def _next_end(fleet: Fleet, now: float) -> float | None:
    """Seconds until the next quarantine is over."""
    ends = [
        moment(each.released_at) + fleet.spec.ports.quarantine - now for each in fleet.status.ports if each.released_at
    ]
    return max(0.0, min(ends)) if ends else None


async def _all_fleets(context: Context) -> list[Document]:
    fleets: list[Document] = []
    for namespace in context.namespaces or (None,):
        fleets += await context.cluster.list(CUSTOM["VoiceFleet"], namespace)
    # Items of a list do not say what they are.
    return [{**each, "apiVersion": CUSTOM["VoiceFleet"].api_version, "kind": "VoiceFleet"} for each in fleets]


def _leases(document: Document) -> list[Lease]:
    try:
        fleet: Fleet = resource(document)
    except Unreadable:
        return []
    return [
        Lease(
            each.pool,
            each.port,
            State(each.state),
            each.addresses,
            moment(each.released_at) if each.released_at else None,
        )
        for each in fleet.status.ports
    ]


async def _taken(context: Context, fleet: Fleet) -> dict[int, str]:
    """Ports of nodes that something else has: other Services' node ports, and foreign pods' host ports."""
    taken: dict[int, str] = {}
    for namespace in context.namespaces or (None,):
        for service in await context.cluster.list(OWNED["Service"], namespace):
            # A load balancer's Service has node ports that nobody leased: the API server chose them.
            if not _ours(service) or service["spec"].get("type") == "LoadBalancer":
                taken |= {
                    port["nodePort"]: f"the Service {_name(service)}"
                    for port in service["spec"].get("ports") or ()
                    if port.get("nodePort")
                }
        for pod in await context.cluster.list(POD, namespace, _NOT_OF_A_FLEET):
            if not _ours(pod):
                taken |= {
                    port["hostPort"]: f"the host port of pod {_name(pod)}"
                    for container in pod["spec"].get("containers") or ()
                    for port in container.get("ports") or ()
                    if port.get("hostPort")
                }
    return taken


def _ours(document: Document) -> bool:
    """Relays and their Services: their ports stand in leases, and there alone."""
    labels = document["metadata"].get("labels") or {}
    return bool(labels.get(MANAGED_BY) == MANAGER) or "voicefleet.dev/pool" in labels


def _name(document: Document) -> str:
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"


async def _write(context: Context, current: Document, step: Plan) -> Document | None:
    entries = [
        PortLease(
            pool=lease.pool,
            port=lease.port,
            state=lease.state.value,
            addresses=lease.addresses,
            released_at=timestamp(lease.released_at) if lease.released_at is not None else None,
        ).model_dump(mode="json", by_alias=True, exclude_none=True)
        for lease in step.leases
    ]
    status: dict[str, Any] = current.get("status") or {}
    if entries == (status.get("ports") or []):
        return None
    written = await context.cluster.replace({**current, "status": {**status, "ports": entries}}, "status")
    context.saw(written)
    return written


def _tell_pools(context: Context, fleet: Fleet, refused: dict[str, Any]) -> None:
    """Pools whose answer has changed are looked at."""
    for pool in pools_of(context.store, fleet):
        key = ("RelayPool", pool.namespace, pool.name)
        before = context.refused_ports.get(key)
        after = next((refused[want.pool] for want in wants_of(pool) if want.pool in refused), None)
        if after is None:
            context.refused_ports.pop(key, None)
        else:
            context.refused_ports[key] = after
        if before != after:
            context.wake(key)
