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
    before = next((each for each in pool.status.conditions if each.type == ConditionType.REACHABLE), None)
    running = [each for each in pods if _is_ready(each)]
    secret = context.store.get("Secret", fleet.namespace, keys_name(fleet.name))
    proven = _proven(before, pool, port, advertised)
    if port is None or not running or not advertised.known or secret is None:
        context.probes.forget(key)
        return reachable(before, proven, None), None
    found = context.probes.last(key)
    wait = 0.0 if found is None else next_round(before, found) - context.probes.age(key)
    if wait <= 0 and not context.probes.running(key):
        ring = KeyRing.parse(base64.b64decode((secret.get("data") or {}).get("keyring.json", "")))
        network = next((each for each in fleet.spec.hop_networks if ":" not in each), fleet.spec.hop_networks[0])
        targets = _targets(port, advertised, running)
        context.probes.begin(key, targets, ring, context.clock(), str(ip_network(network)))
    return reachable(before, proven, found), wait if wait > 0 else SECONDS


def is_first(context: Context, pool: Pool) -> bool:
    """Whether a first check is under way: what it finds is worth its second."""
    key = (pool.kind, pool.namespace, pool.name)
    known = any(each.type == ConditionType.REACHABLE and each.reason != "NotTried" for each in pool.status.conditions)
    return not known and context.probes.running(key) and context.probes.last(key) is None


def _proven(before: Condition | None, pool: Pool, port: int | None, advertised: Advertised) -> bool:
    """Whether these very addresses have answered once, so that silence means something."""
    if before is None or before.status == "Unknown" or port is None:
        return False
    return set(advertised.first(port)) <= set(pool.status.addresses)


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
