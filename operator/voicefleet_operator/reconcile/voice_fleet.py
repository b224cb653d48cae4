"""VoiceFleet: its Secrets, its ports, signaling and the session map; and what its pools and shards add up to."""

from voicefleet.contract import Component
from voicefleet_operator.api.conditions import Condition, ConditionType, condition, timestamp
from voicefleet_operator.api.voice_fleet import FleetCounts
from voicefleet_operator.kube.endpoints import SECRET
from voicefleet_operator.kube.errors import NotFound
from voicefleet_operator.model.fleet_manifests import fleet_manifests
from voicefleet_operator.model.manifest import fleet_selector, session_map_name, signaling_name
from voicefleet_operator.model.relay_manifests import on_host_network
from voicefleet_operator.model.resources import Fleet
from voicefleet_operator.model.workload import Progress, progress, rollout_conditions
from voicefleet_operator.reconcile import port_leases, secrets
from voicefleet_operator.reconcile.applying import bring_about
from voicefleet_operator.reconcile.belonging import by_hand
from voicefleet_operator.reconcile.context import Again, Context
from voicefleet_operator.reconcile.observed import pods_of, pools_of, shards_of
from voicefleet_operator.reconcile.statuses import write_status

MISSING_SECRET_AGAIN = 5.0
"""Seconds; the Secrets of users are not watched."""


async def reconcile_fleet(context: Context, fleet: Fleet) -> Again | None:
    """One look at a fleet."""
    if fleet.deleting:
        return None  # what it owns goes with it; its pools and shards say that it is missing
    if state := by_hand(fleet, fleet):
        ready = next((each for each in fleet.status.conditions if each.type == ConditionType.READY), None)
        await write_status(context, fleet, [*([ready] if ready else []), *state])
        return None
    made = await secrets.ensure(context, fleet)
    missing = await _missing_secrets(context, fleet)
    leases = await port_leases.advance(context, fleet)
    if leases.written is not None:
        return Again(0.0)  # the status is another one now; the rest is decided on it
    pools, shards = pools_of(context.store, fleet), shards_of(context.store, fleet)
    on_nodes = any(map(on_host_network, pools))
    refused = await bring_about(context, fleet, fleet_manifests(fleet, context.here, on_nodes))
    signaling = _progress(context, fleet, signaling_name(fleet.name), Component.SIGNALING)
    parts = {"signaling": signaling}
    if fleet.spec.session_map.type == "Embedded":
        parts["session map"] = _progress(context, fleet, session_map_name(fleet.name), Component.SESSION_MAP)
    await write_status(
        context,
        fleet,
        _conditions(parts, missing, refused),
        counts=FleetCounts(
            relay_pools=len(pools),
            shards=len(shards),
            calls=sum(shard.status.calls for shard in shards),
            capacity=sum(shard.status.capacity for shard in shards),
        ),
        endpoint=_endpoint(fleet),
        addresses=_addresses(context, fleet),
        signaling_ready=f"{signaling.ready}/{signaling.wanted}",
        key_rotated_at=timestamp(made.rotated_at),
        rotation_handled=made.rotation_handled,
    )
    waits = [each for each in (leases.again, made.again, MISSING_SECRET_AGAIN if missing else None) if each is not None]
    if refused:
        waits.append(10.0)
    return Again(min(waits)) if waits else None


def _progress(context: Context, fleet: Fleet, name: str, component: str) -> Progress:
    return progress(
        context.store.get("Deployment", fleet.namespace, name),
        pods_of(context.store, fleet.namespace, fleet_selector(fleet, component)),
    )


async def _missing_secrets(context: Context, fleet: Fleet) -> list[str]:
    """What the fleet refers to and is not there, each with what should be in it."""
    spec = fleet.spec
    wanted: list[tuple[str, str | None, str]] = []
    if spec.signaling.api_keys_secret_ref is not None:
        wanted.append((spec.signaling.api_keys_secret_ref.name, None, "the applications' API keys"))
    if spec.session_map.external is not None:
        ref = spec.session_map.external.url_secret_ref
        wanted.append((ref.name, ref.key, "the URL of Redis"))
    if spec.agent.realtime is not None and spec.agent.realtime.api_key_secret_ref is not None:
        ref = spec.agent.realtime.api_key_secret_ref
        wanted.append((ref.name, ref.key, "the key of the model"))
    missing = []
    for name, key, purpose in wanted:
        try:
            secret = await context.cluster.get(SECRET, fleet.namespace, name)
        except NotFound:
            missing.append(f"there is no Secret {name} ({purpose}); create it in namespace {fleet.namespace}")
            continue
        if key is None and not secret.get("data"):
            missing.append(f"the Secret {name} is empty ({purpose}); add one")
        if key is not None and key not in (secret.get("data") or {}):
            missing.append(f"the Secret {name} has no key {key} ({purpose}); add it")
    return missing


def _conditions(parts: dict[str, Progress], missing: list[str], refused: list[str]) -> list[Condition]:
    progressing, degraded = rollout_conditions(parts)
    waiting = [
        f"{each.ready} of {each.wanted} of {name} are ready" for name, each in parts.items() if not each.complete
    ]
    if missing:
        ready = condition(ConditionType.READY, False, "SecretMissing", "; ".join(missing))
    elif refused:
        ready = condition(ConditionType.READY, False, "Refused", "; ".join(refused))
    elif degraded.status == "True":
        ready = condition(ConditionType.READY, False, degraded.reason, degraded.message)
    elif waiting:
        ready = condition(ConditionType.READY, False, "Starting", "; ".join(waiting))
    else:
        ready = condition(ConditionType.READY, True, "PartsReady")
    conditions = [ready, progressing, degraded]
    if "session map" in parts:
        there = parts["session map"].ready > 0
        reason = "Running" if there else "NotRunning"
        message = "" if there else "live calls go on without it; new ones are placed by what is known"
        conditions.append(condition(ConditionType.SESSION_MAP, there, reason, message))
    return conditions


def _endpoint(fleet: Fleet) -> str:
    host = fleet.spec.signaling.host
    return f"https://{host}" if host else f"http://{signaling_name(fleet.name)}.{fleet.namespace}.svc"


def _addresses(context: Context, fleet: Fleet) -> tuple[str, ...]:
    service = context.store.get("Service", fleet.namespace, signaling_name(fleet.name)) or {}
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    return tuple(each.get("ip") or each.get("hostname", "") for each in ingress)
