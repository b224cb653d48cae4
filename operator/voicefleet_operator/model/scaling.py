"""How many pods a target should have. Figures and what was decided before go in, a number and its reason come out.

As the HorizontalPodAutoscaler: every goal asks for a number, the highest counts; recommendations of a window are looked
back on, so that a dip does not end capacity that is needed again; and steps bound the change of a period. Bounds stand
above all, at once. Without fresh figures nothing changes but what bounds demand: not knowing is no reason to shrink.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from voicefleet_operator.api.scaling_policy import ScalingPolicySpec, Schedule, Step
from voicefleet_operator.model.cron import Cron


class Point(NamedTuple):
    """A number from some moment on."""

    at: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a target; None for what nobody could tell."""

    at: float
    sessions_per_replica: int = 0
    calls: int | None = None
    packets: float | None = None
    """In a second, of all relays together."""
    flows: int | None = None
    queried: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What earlier decisions left."""

    recommended: tuple[Point, ...] = ()
    """What the goals asked for: each holds until the next."""
    changed: tuple[Point, ...] = ()
    """Changes that were made, as differences."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why."""

    replicas: int
    reason: str
    message: str
    held: bool
    """Nothing could be decided for want of figures."""
    limited: str
    """Which bound or step kept it from what the goals ask for, if one did."""
    history: History


def decide(spec: ScalingPolicySpec, current: int, figures: Figures | None, history: History, now: float) -> Decision:
    """The number that a target with `current` pods should have."""
    low, high = bounds(spec, now)
    asked = _asked(spec, figures, now)
    if asked is None:
        replicas = min(max(current, low), high)
        message = f"no figures that are newer than {spec.stale_after:g} s: {current} stay" + (
            f", but bounds demand {replicas}" if replicas != current else ""
        )
        return Decision(replicas, "FiguresMissing", message, True, "", _changed(spec, history, current, replicas, now))
    wanted, because = asked
    within = min(max(wanted, low), high)
    # A policy that has just come knows nothing of the past: what is there counts as what was asked for.
    before = history.recommended or (Point(now, min(max(current, low), high)),)
    recommended = _recommended(spec, before, within, now)
    steady = _stabilised(spec, recommended, current, now)
    stepped = _stepped(spec, history.changed, current, steady, now)
    replicas = min(max(stepped, low), high)
    limited = ""
    if wanted > high:
        limited = f"at most {high} are allowed, {wanted} would be needed"
    elif wanted < low:
        limited = f"at least {low} are to be there, {wanted} would do"
    elif replicas != within:
        limited = f"{within} would do; " + (
            "more are added step by step" if replicas < within else "fewer only after a while and step by step"
        )
    reason = "ScaledUp" if replicas > current else "ScaledDown" if replicas < current else "Steady"
    after = History(recommended, _changed(spec, history, current, replicas, now).changed)
    return Decision(replicas, reason, because, False, limited, after)


def bounds(spec: ScalingPolicySpec, now: float) -> tuple[int, int]:
    """At least and at most so many, now."""
    active = [each for each in spec.schedules if _is_active(each, now)]
    lows = [each.min_replicas for each in active if each.min_replicas is not None]
    highs = [each.max_replicas for each in active if each.max_replicas is not None]
    low = max(lows, default=spec.min_replicas)
    high = max(highs, default=spec.max_replicas)
    return min(low, high), high


def _is_active(schedule: Schedule, now: float) -> bool:
    return Cron.parse(schedule.cron, schedule.time_zone).last_start(now, schedule.duration) is not None


def _asked(spec: ScalingPolicySpec, figures: Figures | None, now: float) -> tuple[int, str] | None:
    """The highest number that a goal asks for, and which; None when one of them cannot be told."""
    goals: list[tuple[int, str]] = []
    if spec.free_sessions is None and not any((spec.utilization, spec.packets_per_second, spec.flows, spec.query)):
        return bounds(spec, now)[0], "only schedules are set"
    if figures is None or now - figures.at > spec.stale_after:
        return None
    room = figures.sessions_per_replica
    if spec.free_sessions is not None or spec.utilization is not None:
        if figures.calls is None or room <= 0:
            return None
        if spec.free_sessions is not None:
            share = spec.free_sessions
            if not share.percent:
                goals.append((-(-(figures.calls + share.value) // room), f"{figures.calls} calls and {share} free"))
            else:
                usable = room * (100 - share.value) / 100
                need = math.ceil(figures.calls / usable) if usable else spec.max_replicas + 1
                goals.append((need, f"{figures.calls} calls and {share} free"))
        if spec.utilization is not None:
            need = math.ceil(figures.calls * 100 / (spec.utilization * room))
            goals.append((need, f"{figures.calls} calls at {spec.utilization}%"))
    for goal, value, name in (
        (spec.packets_per_second, figures.packets, "packets a second"),
        (spec.flows, figures.flows, "flows"),
        (spec.query.target_per_replica if spec.query else None, figures.queried, "by the query"),
    ):
        if goal is not None:
            if value is None or not math.isfinite(value):
                return None
            goals.append((math.ceil(value / goal), f"{value:g} {name}, {goal:g} each"))
    return max(goals)


def _recommended(spec: ScalingPolicySpec, before: Sequence[Point], replicas: int, now: float) -> tuple[Point, ...]:
    """The recommendations with this one; those that no window reaches go, and close ones are made one."""
    points = list(before) if before[-1].replicas == replicas else [*before, Point(now, replicas)]
    window = max(spec.behavior.scale_up.stabilization_window, spec.behavior.scale_down.stabilization_window)
    # The one before the oldest of a window held when it began.
    first = max((at for at, point in enumerate(points) if point.at <= now - window), default=0)
    kept = points[first:]
    while len(kept) > 24:
        # Of two neighbours the lower one is forgotten: that keeps capacity, never calls out of it.
        at = min(range(1, len(kept) - 2), key=lambda at: kept[at + 1].at - kept[at].at)
        kept[at : at + 2] = [Point(kept[at].at, max(kept[at].replicas, kept[at + 1].replicas))]
    return tuple(kept)


def _stabilised(spec: ScalingPolicySpec, points: Sequence[Point], current: int, now: float) -> int:
    up = min(_in_window(points, spec.behavior.scale_up.stabilization_window, now))
    down = max(_in_window(points, spec.behavior.scale_down.stabilization_window, now))
    return up if current < up else down if current > down else current


def _in_window(points: Sequence[Point], window: float, now: float) -> list[int]:
    """Every value that held at some moment of the window."""
    values = [points[-1].replicas]
    for point, following in pairwise(points):
        if following.at > now - window:
            values.append(point.replicas)
    return values


def _stepped(spec: ScalingPolicySpec, changes: Sequence[Point], current: int, wanted: int, now: float) -> int:
    if wanted > current:
        policies = spec.behavior.scale_up.policies
        return min(wanted, max(current, *(_highest(each, changes, current, now) for each in policies)))
    if wanted < current:
        policies = spec.behavior.scale_down.policies
        return max(wanted, min(current, *(_lowest(each, changes, current, now) for each in policies)))
    return current


def _highest(step: Step, changes: Sequence[Point], current: int, now: float) -> int:
    began = current - sum(each.replicas for each in changes if each.replicas > 0 and each.at > now - step.period)
    if step.type == "Pods":
        return began + step.value
    return max(began + 1, math.ceil(began * (100 + step.value) / 100))


def _lowest(step: Step, changes: Sequence[Point], current: int, now: float) -> int:
    began = current - sum(each.replicas for each in changes if each.replicas < 0 and each.at > now - step.period)
    if step.type == "Pods":
        return began - step.value
    return math.floor(began * (100 - step.value) / 100)


def _changed(spec: ScalingPolicySpec, history: History, current: int, replicas: int, now: float) -> History:
    steps = (*spec.behavior.scale_up.policies, *spec.behavior.scale_down.policies)
    longest = max(step.period for step in steps)
    changes = [each for each in history.changed if each.at > now - longest]
    if replicas != current:
        changes.append(Point(now, replicas - current))
    return History(history.recommended, tuple(changes[-32:]))
