"""Have a pool's addresses checked now and then, and say what came of it."""

import base64
from ipaddress import ip_address, ip_network
from typing import Any, Final

from voicefleet.wire.keyring import KeyRing
from voicefleet_operator.api.conditions import Condition, ConditionType
from voicefleet_operator.model.manifest import keys_name
from voicefleet_operator.model.reachability import next_round, reachable
from voicefleet_operator.model.relay_manifests import Advertised
from voicefleet_operator.model.resources import Fleet, Pool
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.probes import SECONDS, Target
from voicefleet_operator.reconcile.store import Document

MOST: Final = 8
"""Addresses of a pool that are checked; as many as its status shows."""
INSIDE: Final = 2
"""Pods that are checked at their own addresses, for what silence outside means."""


def look(
    context: Context, pool: Pool, fleet: Fleet, port: int | None, advertised: Advertised, pods: list[Document]
) -> tuple[Condition, float | None]:
    """The condition by what is known now, and seconds until there is more; None while there is nothing to check."""
    key = (pool.kind, pool.namespace, pool.name)
    before = _before(pool, port, advertised)
    running = [each for each in pods if _is_ready(each)]
    ring = _ring(context.store.get("Secret", fleet.namespace, keys_name(fleet.name)))
    if port is None or not running or not advertised.known or ring is None:
        context.probes.forget(key)
        return reachable(before, None), None
    targets = _targets(port, advertised, running)
    found = context.probes.last(key)
    if found is not None and found.answered | found.silent != {each.text for each in targets if not each.inside}:
        context.probes.forget(key)  # clients are told something else now
        found = None
    wait = 0.0 if found is None else next_round(before, found) - context.probes.age(key)
    if wait <= 0 and not context.probes.running(key):
        network = next((each for each in fleet.spec.hop_networks if ":" not in each), fleet.spec.hop_networks[0])
        context.probes.begin(key, targets, ring, context.clock(), str(ip_network(network)))
    return reachable(before, found), wait if wait > 0 else SECONDS


def is_first(context: Context, pool: Pool) -> bool:
    """Whether a first check is under way: what it finds is worth its second."""
    key = (pool.kind, pool.namespace, pool.name)
    known = any(each.type == ConditionType.REACHABLE and each.reason != "NotTried" for each in pool.status.conditions)
    return not known and context.probes.running(key) and context.probes.last(key) is None


def _before(pool: Pool, port: int | None, advertised: Advertised) -> Condition | None:
    """The condition as it was, if it was about these addresses: what others did says nothing of them."""
    if port is None or not set(advertised.first(port)) <= set(pool.status.addresses):
        return None
    return next((each for each in pool.status.conditions if each.type == ConditionType.REACHABLE), None)


def _ring(secret: Document | None) -> KeyRing | None:
    try:
        return None if secret is None else KeyRing.parse(base64.b64decode((secret.get("data") or {})["keyring.json"]))
    except (KeyError, ValueError):
        return None  # said of the fleet, whose Secret it is


def _targets(port: int, advertised: Advertised, running: list[Document]) -> list[Target]:
    outside = advertised.everywhere
    if not outside:  # only nodes with a relay answer
        nodes = {each["spec"].get("nodeName", "") for each in running}
        outside = tuple(
            address for node, some in advertised.by_node if node in nodes or "" in nodes for address in some
        )
    inside = [each["status"]["podIP"] for each in running[:INSIDE] if each["status"].get("podIP")]
    return [
        *(Target(str(ip_address(each)), port) for each in dict.fromkeys(outside[:MOST])),
        *(Target(str(ip_address(each)), port, inside=True) for each in inside),
    ]


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
