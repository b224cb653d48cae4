"""TransceiverShard: a Deployment whose count goes down only by pods without calls."""

from collections.abc import Mapping
from typing import Final

from voicefleet.contract import Component, Label, Port
from voicefleet_operator.api.conditions import Condition, ConditionType, condition, moment, timestamp
from voicefleet_operator.api.transceiver_shard import DrainingPod
from voicefleet_operator.kube.endpoints import POD
from voicefleet_operator.kube.errors import NotFound
from voicefleet_operator.model.drain import DrainPlan, PodState, plan_drain
from voicefleet_operator.model.manifest import keys_name, selector_text, shard_selector, transceiver_name
from voicefleet_operator.model.relay_manifests import on_host_network
from voicefleet_operator.model.resources import Fleet, Shard
from voicefleet_operator.model.shard_rollouts import Verdict, held
from voicefleet_operator.model.transceiver_manifests import transceiver_manifests
from voicefleet_operator.model.workload import Progress, progress, rollout_conditions
from voicefleet_operator.reconcile.applying import bring_about
from voicefleet_operator.reconcile.belonging import by_hand, fleet_of
from voicefleet_operator.reconcile.context import Again, Context, Counted
from voicefleet_operator.reconcile.looks import count_look
from voicefleet_operator.reconcile.observed import pods_of, pools_of, staying
from voicefleet_operator.reconcile.shard_trials import is_newest, ready_since, template_of, trial, trial_conditions
from voicefleet_operator.reconcile.statuses import write_status
from voicefleet_operator.reconcile.store import Document
from voicefleet_operator.reconcile.transceivers import Calls, ask, bearer, tell_to_drain

COST: Final = "controller.kubernetes.io/pod-deletion-cost"
DRAIN_LOOK: Final = 2.0
"""Seconds between two looks at pods that drain."""


async def reconcile_shard(context: Context, shard: Shard) -> Again | None:
    """One look at a shard."""
    if shard.deleting:
        return None  # its pods are told to stop, and drain as they do
    fleet = await fleet_of(context, shard)
    if fleet is None:
        return None
    deployment = context.store.get("Deployment", shard.namespace, transceiver_name(shard.name))
    every_pod = pods_of(context.store, shard.namespace, shard_selector(shard))
    documents = staying(every_pod)
    calls = await _counts(context, fleet, documents)
    state = by_hand(shard, fleet)
    found = Verdict.GO_ON if state else trial(context, shard, deployment, documents, calls)
    pods = [_state(each, calls.get(each["metadata"]["name"]), deployment, found) for each in documents]
    deployed = deployment["spec"].get("replicas", 1) if deployment is not None else shard.spec.replicas
    step = plan_drain(pods, shard.spec.replicas, deployed, shard.spec.drain.deadline, context.clock())
    refused: list[str] = []
    if not state:
        await _drain(context, fleet, shard, step, documents)
        on_nodes = any(map(on_host_network, pools_of(context.store, fleet)))
        manifests = transceiver_manifests(shard, fleet, context.here, step.replicas, on_nodes)
        if found is not Verdict.GO_ON and deployment is not None:
            made = next(each for each in manifests if each["kind"] == "Deployment")
            if template_of(made) == template_of(deployment):
                manifests = tuple(held(each) if each is made else each for each in manifests)
            else:
                found = Verdict.GO_ON  # with another template everything begins anew
        refused = await bring_about(context, shard, manifests)
    workload = progress(context.store.get("Deployment", shard.namespace, transceiver_name(shard.name)), every_pod)
    known = [each for each in calls.values() if each is not None]
    if calls and len(known) == len(calls):  # with one that is silent it would be too few, and a policy would shrink
        counted = Counted(context.clock(), sum(each.calls for each in known))
        context.counted[shard.kind, shard.namespace, shard.name] = counted
    await write_status(
        context,
        shard,
        [*_conditions(workload, step, refused, trial_conditions(found, _newest(documents, deployment))), *state],
        replicas=workload.pods,
        ready_replicas=workload.ready,
        selector=selector_text(shard_selector(shard)),
        calls=sum(each.calls for each in known),
        capacity=sum(each.capacity for each in known if not each.draining),
        draining=_draining(shard, step, pods, context.clock()),
    )
    if step.waiting or step.remove or step.replicas != shard.spec.replicas:
        return Again(DRAIN_LOOK)
    if refused:
        return Again(10.0)
    return Again(count_look(context, (shard.kind, shard.namespace, shard.name))) if documents else None


async def _counts(context: Context, fleet: Fleet, documents: list[Document]) -> dict[str, Calls | None]:
    """What each pod says of its calls."""
    secret = context.store.get("Secret", fleet.namespace, keys_name(fleet.name))
    running = {
        each["metadata"]["name"]: (each["status"]["podIP"], Port.TRANSCEIVER_API)
        for each in documents
        if each.get("status", {}).get("phase") == "Running" and each["status"].get("podIP")
    }
    if secret is None or not running:
        return {}
    return await ask(context.http(), running, bearer(secret, context.clock()))


def _state(document: Document, calls: Calls | None, deployment: Document | None, found: Verdict) -> PodState:
    metadata, status = document["metadata"], document.get("status", {})
    annotations = metadata.get("annotations") or {}
    since = annotations.get(Label.DRAIN)
    return PodState(
        name=metadata["name"],
        running=status.get("phase") == "Running",
        ready=ready_since(document) is not None,
        calls=None if calls is None else calls.calls,
        draining_since=moment(since) if since else None,
        # Where a rollout is held it is not said that the newest template is the better one: who has calls stays.
        outdated=found is Verdict.GO_ON and deployment is not None and not is_newest(document, deployment),
        cost=int(annotations.get(COST, "0")),
    )


def _newest(documents: list[Document], deployment: Document | None) -> list[str]:
    return [each["metadata"]["name"] for each in documents if deployment is not None and is_newest(each, deployment)]


async def _drain(context: Context, fleet: Fleet, shard: Shard, step: DrainPlan, documents: list[Document]) -> None:
    """Write the marks first: a pod that was told to drain and not marked would never be missed."""
    now = context.clock()
    by_name = {each["metadata"]["name"]: each for each in documents}
    for name in sorted({*step.mark, *step.costs}):
        annotations: dict[str, str | None] = {}
        if name in step.mark:
            annotations[Label.DRAIN] = timestamp(now)
        if name in step.costs:
            annotations[COST] = str(step.costs[name])
        change = {"metadata": {"annotations": annotations}}
        try:
            context.saw(
                {**await context.cluster.merge(POD, shard.namespace, name, change), "apiVersion": "v1", "kind": "Pod"}
            )
        except NotFound:
            continue
    secret = context.store.get("Secret", fleet.namespace, keys_name(fleet.name))
    if secret is not None and step.waiting:
        addresses = {
            name: (by_name[name]["status"]["podIP"], Port.TRANSCEIVER_API)
            for name in step.waiting
            if by_name[name].get("status", {}).get("podIP")
        }
        await tell_to_drain(context.http(), addresses, bearer(secret, now))
    for name in step.remove:
        await context.cluster.delete(POD, shard.namespace, name, by_name[name]["metadata"]["uid"])


def _draining(shard: Shard, step: DrainPlan, pods: list[PodState], now: float) -> tuple[DrainingPod, ...]:
    return tuple(
        DrainingPod(
            name=pod.name,
            calls=pod.calls or 0,
            since=timestamp(pod.draining_since or now),
            until=timestamp((pod.draining_since or now) + shard.spec.drain.deadline),
        )
        for pod in pods
        if pod.name in step.waiting
    )


def _conditions(
    workload: Progress, step: DrainPlan, refused: list[str], tried: Mapping[str, Condition]
) -> list[Condition]:
    progressing, degraded = rollout_conditions({f"{Component.TRANSCEIVER}s": workload})
    if refused:
        ready = condition(ConditionType.READY, False, "Refused", "; ".join(refused))
    elif degraded.status == "True" and workload.lacks_pods:
        ready = condition(ConditionType.READY, False, degraded.reason, degraded.message)
    elif workload.ready < min(1, workload.wanted):
        ready = condition(ConditionType.READY, False, "TransceiversStarting", f"0 of {workload.wanted} are ready")
    elif not workload.exists or not workload.observed:
        ready = condition(ConditionType.READY, False, "TransceiversStarting", "no pod has been made yet")
    else:
        ready = condition(ConditionType.READY, True, "TransceiversReady", f"{workload.ready} pods take calls")
    if step.waiting:
        draining = condition(
            ConditionType.DRAINING,
            True,
            "CallsGoOn",
            f"{', '.join(step.waiting)} take no more calls and wait for theirs",
        )
    else:
        draining = condition(ConditionType.DRAINING, False, "NoPodDrains")
    # Old pods take all calls while a rollout is held: the shard is as Ready as it was.
    return [ready, tried.get(progressing.type, progressing), tried.get(degraded.type, degraded), draining]
