"""ScalingPolicy: figures of its target in, a number of replicas out, written to the target's `/scale`."""

from typing import Final

from voicefleet_operator.api.conditions import Condition, ConditionType, condition, moment, timestamp
from voicefleet_operator.api.scaling_policy import Recommendation
from voicefleet_operator.kube.endpoints import AUTOSCALER, CUSTOM
from voicefleet_operator.model.cron import Cron, CronError
from voicefleet_operator.model.resources import Policy, Pool, Shard
from voicefleet_operator.model.scaling import Decision, Figures, History, Point, decide
from voicefleet_operator.reconcile.context import Again, Context, paused
from voicefleet_operator.reconcile.observed import policies_of, pool_named, shard_named
from voicefleet_operator.reconcile.prometheus import query
from voicefleet_operator.reconcile.statuses import write_status

LOOK: Final = 5.0
"""Seconds between two decisions: a burst is answered within two of them."""


async def reconcile_policy(context: Context, policy: Policy) -> Again | None:
    """One decision."""
    if policy.deleting:
        return None
    target = _target(context, policy)
    obstacle = _obstacle(context, policy, target)
    if obstacle is not None:
        await write_status(context, policy, [_ready(obstacle), obstacle], reason=obstacle.message)
        return None  # whatever ends it is seen: the target, other policies, autoscalers, this one
    assert target is not None
    now = context.clock()
    current = target.spec.replicas
    figures = await _figures(context, policy, target, now)
    decision = decide(policy.spec, current, figures, _history(policy), now)
    if decision.replicas != current and not policy.spec.dry_run:
        change = {"spec": {"replicas": decision.replicas}}
        await context.cluster.merge(CUSTOM[target.kind], target.namespace, target.name, change, "scale")
    able = _able(decision)
    told = decision.reason if not policy.spec.dry_run else f"DryRun{decision.reason}"
    context.measured.decisions.labels(target.kind, told).inc()
    await write_status(
        context,
        policy,
        [_ready(able), able, _limited(decision)],
        current_replicas=current,
        desired_replicas=decision.replicas,
        reason=_reason(policy, decision, current),
        recent=_entries(decision.history.recommended),
        # What was only said was not done: steps count from what really changed.
        changes=policy.status.changes if policy.spec.dry_run else _entries(decision.history.changed),
        **({"last_scale_time": timestamp(now)} if decision.replicas != current and not policy.spec.dry_run else {}),
    )
    return Again(LOOK)


def _target(context: Context, policy: Policy) -> Pool | Shard | None:
    ref = policy.spec.target_ref
    named = shard_named if ref.kind == "TransceiverShard" else pool_named
    found = named(context.store, policy.namespace, ref.name)
    return None if found is None or found.deleting else found


def _obstacle(context: Context, policy: Policy, target: Pool | Shard | None) -> Condition | None:
    """Why nothing can be decided, if so."""
    ref = policy.spec.target_ref
    if target is None:
        message = f"there is no {ref.kind} {ref.name} in namespace {policy.namespace}; create it"
        return condition(ConditionType.ABLE_TO_SCALE, False, "TargetNotFound", message)
    if getattr(target.spec, "workload", "") == "DaemonSet":
        message = f"{ref.name} is a DaemonSet: it has one relay on each node, and no number to set"
        return condition(ConditionType.ABLE_TO_SCALE, False, "NotScalable", message)
    if paused(target.annotations) or paused(policy.annotations):
        return condition(ConditionType.ABLE_TO_SCALE, False, "Paused", "remove voicefleet.dev/paused to go on")
    others = [
        each.name
        for each in policies_of(context.store, policy.namespace)
        if each.spec.target_ref == ref and each.name != policy.name
    ]
    if others:
        message = f"{', '.join(others)} scales the same target; none of you does until only one is left"
        return condition(ConditionType.ABLE_TO_SCALE, False, "ConflictingPolicies", message)
    for schedule in policy.spec.schedules:
        try:
            Cron.parse(schedule.cron, schedule.time_zone)
        except CronError as error:
            return condition(ConditionType.ABLE_TO_SCALE, False, "InvalidSchedule", str(error))
    autoscaler = _autoscaler(context, policy)
    if autoscaler:
        message = f"the HorizontalPodAutoscaler {autoscaler} scales the same target; remove it, or this policy"
        return condition(ConditionType.ABLE_TO_SCALE, False, "ConflictingAutoscaler", message)
    return None


def _autoscaler(context: Context, policy: Policy) -> str:
    """A foreign autoscaler of the same target."""
    ref = policy.spec.target_ref
    for each in context.store.all(AUTOSCALER.kind, policy.namespace):
        scaled = each["spec"]["scaleTargetRef"]
        if (scaled["kind"], scaled["name"]) == (ref.kind, ref.name):
            return str(each["metadata"]["name"])
    return ""


async def _figures(context: Context, policy: Policy, target: Pool | Shard, now: float) -> Figures | None:
    counted = context.counted.get((target.kind, target.namespace, target.name))
    room = target.spec.sessions_per_replica if target.kind == "TransceiverShard" else 0  # type: ignore[union-attr]
    queried = await query(policy.spec.query) if policy.spec.query is not None else None
    spec = policy.spec
    if not any((spec.free_sessions, spec.utilization, spec.packets_per_second, spec.flows)):
        return Figures(now, queried=queried)
    if target.kind == "RelayPool":
        before, last = context.carried.get((target.kind, target.namespace, target.name), (None, None))
        if last is None or not last.complete:
            return None
        return Figures(last.at, packets=last.packets_per_second(before), flows=last.flows, queried=queried)
    if counted is None:
        return None
    return Figures(counted.at, room, calls=counted.calls, queried=queried)


def _history(policy: Policy) -> History:
    return History(_points(policy.status.recent), _points(policy.status.changes))


def _points(entries: tuple[Recommendation, ...]) -> tuple[Point, ...]:
    return tuple(Point(moment(each.at), each.replicas) for each in entries)


def _entries(points: tuple[Point, ...]) -> tuple[Recommendation, ...]:
    return tuple(Recommendation(at=timestamp(each.at), replicas=each.replicas) for each in points)


def _able(decision: Decision) -> Condition:
    if decision.held:
        return condition(ConditionType.ABLE_TO_SCALE, False, decision.reason, decision.message)
    return condition(ConditionType.ABLE_TO_SCALE, True, "FiguresFresh")


def _limited(decision: Decision) -> Condition:
    if decision.limited:
        return condition(ConditionType.LIMITED, True, "BoundOrStep", decision.limited)
    return condition(ConditionType.LIMITED, False, "AsAsked")


def _ready(able: Condition) -> Condition:
    return condition(ConditionType.READY, able.status == "True", able.reason, able.message)


def _reason(policy: Policy, decision: Decision, current: int) -> str:
    would = "would go" if policy.spec.dry_run else "goes"
    if decision.replicas != current:
        return f"{would} from {current} to {decision.replicas}: {decision.message}"
    return decision.message if decision.held else f"{current} are right: {decision.message}"
