"""RelayPool: with its port and its addresses known, relays are made; what they say becomes its conditions."""

import logging
from typing import Final

from voicefleet.contract import Port
from voicefleet_operator.api.conditions import Condition, ConditionType, condition
from voicefleet_operator.model.manifest import pool_selector, relay_name, selector_text
from voicefleet_operator.model.ports import Problem, State, health_of
from voicefleet_operator.model.relay_manifests import Advertised, advertised_addresses, on_host_network, relay_manifests
from voicefleet_operator.model.relay_rollouts import held
from voicefleet_operator.model.resources import Fleet, Pool
from voicefleet_operator.model.workload import Progress, progress, rollout_conditions
from voicefleet_operator.reconcile import reach
from voicefleet_operator.reconcile.applying import bring_about
from voicefleet_operator.reconcile.belonging import by_hand, fleet_of
from voicefleet_operator.reconcile.context import Again, Context
from voicefleet_operator.reconcile.looks import COUNT_LOOK, count_look
from voicefleet_operator.reconcile.observed import pods_of, staying
from voicefleet_operator.reconcile.probes import SECONDS
from voicefleet_operator.reconcile.relay_turns import turn
from voicefleet_operator.reconcile.relays import Sample, ask
from voicefleet_operator.reconcile.statuses import write_status
from voicefleet_operator.reconcile.store import Document

_log = logging.getLogger(__name__)

SILENT_LOOK: Final = 6.0
"""The same while a relay is silent, since each such look has to wait for it."""
PORT_WAIT: Final = 2.0
"""Seconds that a new pool is given to get its port, until it says that it has none."""
PORT_REFUSED: Final = "provided port is already allocated"
"""In the API server's words."""
REFUSED_FOR: Final = 8.0
"""Seconds that it is tried for."""
STUCK: Final = 600.0
"""Seconds for which such a port is left alone; the API server finds ports that were cut off in minutes."""
_PUBLIC_FIRST: Final = ("ExternalIP", "InternalIP")


async def reconcile_pool(context: Context, pool: Pool) -> Again | None:
    """One look at a pool."""
    if pool.deleting:
        return None  # its relays go with it, and drain as they go
    fleet = await fleet_of(context, pool)
    if fleet is None:
        return None
    port, health = _leased(fleet, pool.name), int(Port.HEALTH)
    if on_host_network(pool):
        own = _leased(fleet, health_of(pool.name))
        port, health = (None, health) if own is None else (port, own)
    advertised = advertised_addresses(pool, node_addresses(context, pool), balancer_addresses(context, pool))
    refused: list[str] = []
    stuck, waits_for = False, ""
    state = by_hand(pool, fleet)
    if not state and _is_about_to_get_a_port(context, pool, port):
        return Again(PORT_WAIT)
    if not state and port is not None:
        manifests = relay_manifests(pool, fleet, context.here, port, advertised, health)
        with turn(context, fleet, pool, manifests) as waits_for:
            if waits_for:
                manifests = tuple(held(each) if each["kind"] == pool.spec.workload else each for each in manifests)
            refused = await bring_about(context, pool, manifests)
        stuck = _leave_alone_what_is_stuck(context, pool, port, refused)
    every_pod = pods_of(context.store, pool.namespace, pool_selector(pool))
    pods = staying(every_pod)
    carried = await _carried(context, pool, pods, health)
    workload = progress(context.store.get(pool.spec.workload, pool.namespace, relay_name(pool.name)), every_pod)
    reached, check_again = reach.look(context, pool, fleet, port, advertised, pods)
    found = _conditions(context, pool, port, advertised, workload, refused, stuck, waits_for)
    if found[0].status == "True" and reach.is_first(context, pool):
        return Again(SECONDS)  # it is Ready with what the first check says, or when that is over
    conditions = [*found, reached, *state]
    await write_status(
        context,
        pool,
        conditions,
        replicas=workload.pods,
        ready_replicas=workload.ready,
        selector=selector_text(pool_selector(pool)),
        port=port,
        addresses=advertised.first(port) if port is not None else (),
        flows=carried.flows if carried is not None else 0,
        load=min(100, 100 * carried.most_flows // pool.spec.limits.flows) if carried is not None else 0,
    )
    if refused:
        return Again(10.0)
    if carried is None:
        later = [each for each in (COUNT_LOOK if waits_for else None, check_again) if each is not None]
        return Again(min(later)) if later else None
    look = count_look(context, (pool.kind, pool.namespace, pool.name))
    look = look if carried.complete else max(look, SILENT_LOOK)
    return Again(look if check_again is None else min(look, check_again))


async def _carried(context: Context, pool: Pool, pods: list[Document], health: int) -> Sample | None:
    """What the pool's running relays carry; nothing while there are none."""
    running = {
        each["metadata"]["name"]: (each["status"]["podIP"], health)
        for each in pods
        if each.get("status", {}).get("phase") == "Running" and each["status"].get("podIP")
    }
    key = (pool.kind, pool.namespace, pool.name)
    if not running:
        context.carried.pop(key, None)
        return None
    before = context.carried.get(key)
    # Another look may come at any moment; rates of less than a count's time would be noise.
    if before is not None and context.clock() - before[1].at < COUNT_LOOK / 2:
        return before[1]
    sample = await ask(context.http(), running, context.clock())
    context.carried[key] = (before[1] if before is not None else None, sample)
    return sample


def _leave_alone_what_is_stuck(context: Context, pool: Pool, port: int, refused: list[str]) -> bool:
    """Whether the pool's node port is in use by what nobody sees: a Service in a namespace that is not ours, or a
    request that was cut off half way. A pool that may have any port gets another one.

    Not at once: a Service that is on its way out, like that of a pool which was made anew, has its port for a moment.
    """
    if pool.spec.expose.type != "NodePort" or not any(PORT_REFUSED in each for each in refused):
        context.port_refused_since.pop(port, None)
        return False
    if context.clock() - context.port_refused_since.setdefault(port, context.clock()) < REFUSED_FOR:
        return False
    context.stuck_ports[port] = context.clock() + STUCK
    if pool.spec.expose.port is None:
        _log.warning("RelayPool %s/%s: the API server gives port %d to nobody; another one is leased", *pool.key, port)
        context.wake(("VoiceFleet", pool.namespace, pool.spec.fleet_ref))
    return True


def _is_about_to_get_a_port(context: Context, pool: Pool, port: int | None) -> bool:
    """Whether the pool is so new that its fleet has not come to it; then there is nothing to say yet."""
    key = (pool.kind, pool.namespace, pool.name)
    if port is not None or key in context.refused_ports or pool.status.conditions:
        context.arrived.pop(key, None)
        return False
    return context.clock() < context.arrived.setdefault(key, context.clock()) + PORT_WAIT


def _leased(fleet: Fleet, pool: str) -> int | None:
    return next(
        (each.port for each in fleet.status.ports if each.pool == pool and each.state == State.BOUND.value), None
    )


def node_addresses(context: Context, pool: Pool) -> dict[str, tuple[str, ...]]:
    """The addresses of the nodes that the pool may run on, the public ones where there are some."""
    found = {}
    for node in context.store.all("Node"):
        labels = node["metadata"].get("labels") or {}
        if all(labels.get(key) == value for key, value in pool.spec.node_selector.items()):
            some = node["status"]["addresses"]
            kind = next((kind for kind in _PUBLIC_FIRST if any(each["type"] == kind for each in some)), "")
            found[node["metadata"]["name"]] = tuple(each["address"] for each in some if each["type"] == kind)
    return found


def balancer_addresses(context: Context, pool: Pool) -> tuple[str, ...]:
    """What the pool's UDP load balancer got."""
    service = context.store.get("Service", pool.namespace, f"{relay_name(pool.name)}-udp") or {}
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    return tuple(each["ip"] for each in ingress if each.get("ip"))


def _conditions(
    context: Context,
    pool: Pool,
    port: int | None,
    advertised: Advertised,
    workload: Progress,
    refused: list[str],
    stuck: bool,
    waits_for: str,
) -> list[Condition]:
    if stuck:
        message = f"port {port} is in use by something that the operator cannot see; choose another, or Auto"
        ports = condition(ConditionType.PORTS_ALLOCATED, False, Problem.CONFLICT, message)
    elif port is not None:
        ports = condition(ConditionType.PORTS_ALLOCATED, True, "PortLeased", f"port {port}")
    elif (refusal := context.refused_ports.get(("RelayPool", *pool.key))) is not None:
        ports = condition(ConditionType.PORTS_ALLOCATED, False, refusal.problem.value, refusal.message)
    else:
        ports = condition(ConditionType.PORTS_ALLOCATED, False, "Waiting", "the fleet has not leased a port yet")
    addresses = _addresses_condition(pool, advertised)
    parts = {"relays": workload} if port is not None and advertised.known else {}
    progressing, degraded = rollout_conditions(parts)
    if waits_for:
        message = f"its relays stay until those of pool {waits_for} are new"
        progressing = condition(ConditionType.PROGRESSING, True, "WaitsForPool", message)
    obstacles = [each for each in (ports, addresses) if each.status != "True"]
    if obstacles:
        ready = condition(ConditionType.READY, False, obstacles[0].reason, obstacles[0].message)
    elif refused:
        ready = condition(ConditionType.READY, False, "Refused", "; ".join(refused))
    elif degraded.status == "True" and workload.lacks_pods:
        ready = condition(ConditionType.READY, False, degraded.reason, degraded.message)
    elif workload.ready < max(1, workload.wanted) and pool.spec.replicas:
        message = f"{workload.ready} of {workload.wanted} relays are ready"
        ready = condition(ConditionType.READY, False, "RelaysStarting", message)
    else:
        ready = condition(ConditionType.READY, True, "RelaysReady", f"{workload.ready} relays are ready")
    return [ready, progressing, degraded, ports, addresses]


def _addresses_condition(pool: Pool, advertised: Advertised) -> Condition:
    if advertised.known:
        return condition(ConditionType.ADDRESSES_KNOWN, True, "Known")
    if pool.spec.expose.type == "LoadBalancer":
        message = (
            f"the Service {relay_name(pool.name)}-udp has no IP address yet; "
            "does the cluster have a provider of UDP load balancers? or set spec.expose.advertise"
        )
        return condition(ConditionType.ADDRESSES_KNOWN, False, "LoadBalancerPending", message)
    message = "no node matches spec.nodeSelector; label one, or set spec.expose.advertise"
    return condition(ConditionType.ADDRESSES_KNOWN, False, "NoNode", message)
