"""The scaler over random loads, a week, bursts and saws: within bounds and steps, quick to grow, slow to shrink."""

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from voicefleet_operator.api.scaling_policy import ScalingPolicySpec
from voicefleet_operator.model.scaling import Figures, History, Point, bounds, decide

ROOM = 200
MONDAY = 1_795_392_000.0  # 2026-11-23 00:00 UTC


def policy(**spec: Any) -> ScalingPolicySpec:
    target = {"kind": "TransceiverShard", "name": "main"}
    return ScalingPolicySpec.model_validate({"targetRef": target, "minReplicas": 2, "maxReplicas": 40, **spec})


class Run:
    """A target that has at once what was decided, looked at every `every` seconds."""

    def __init__(self, spec: ScalingPolicySpec, replicas: int, start: float = MONDAY, every: float = 5.0) -> None:
        self.spec, self.replicas, self.now, self.every = spec, replicas, start, every
        self.history = History()
        self.seen: list[Point] = []

    def over(self, seconds: float, calls: Callable[[float], float]) -> "Run":
        end = self.now + seconds
        while self.now < end:
            load = int(calls(self.now - MONDAY))
            decision = decide(self.spec, self.replicas, Figures(self.now, ROOM, calls=load), self.history, self.now)
            self.replicas, self.history = decision.replicas, decision.history
            self.seen.append(Point(self.now, self.replicas))
            self.now += self.every
        return self

    @property
    def turns(self) -> int:
        """How often it went down after it had gone up, or up after down."""
        moves = [b.replicas - a.replicas for a, b in pairwise(self.seen)]
        signs = [move > 0 for move in moves if move]
        return sum(a != b for a, b in pairwise(signs))


def test_a_burst_is_answered_at_the_next_look() -> None:
    run = Run(policy(freeSessions="20%"), 4).over(60, lambda _: 100)
    before = run.replicas
    run.over(5, lambda _: 1200)
    assert before == 4 and run.replicas == math.ceil(1200 / (ROOM * 0.8)) == 8


def test_a_sawtooth_does_not_make_it_flap() -> None:
    run = Run(policy(freeSessions="20%"), 4).over(7200, lambda at: 400 + 800 * (at % 120) / 120)
    assert run.turns == 0 and run.replicas == 8


def test_after_a_spike_capacity_goes_slowly_and_only_when_the_window_is_over() -> None:
    run = Run(policy(utilization=80, behavior={"scaleDown": {"stabilizationWindow": "5m"}}), 2).over(60, lambda _: 3200)
    top = run.replicas
    run.over(295, lambda _: 0)
    assert run.replicas == top == 20
    run.over(60, lambda _: 0)
    assert run.replicas == 18, "a tenth a minute"
    run.over(7200, lambda _: 0)
    assert run.replicas == 2


def _week(at: float) -> float:
    """A week of calls: days and nights, a quiet weekend, and noise."""
    day, hour = int(at // 86400) % 7, at % 86400 / 3600
    busy = math.exp(-(((hour - 14) / 4) ** 2)) * (0.4 if day >= 5 else 1.0)
    return 150 + 4000 * busy * (1 + 0.05 * math.sin(at / 37))


def test_a_week_is_carried_with_room_to_spare_and_without_flapping() -> None:
    run = Run(policy(freeSessions="20%"), 2, every=15.0).over(7 * 86400, _week)
    short = [point for point in run.seen if point.replicas * ROOM < _week(point.at - MONDAY)]
    assert short == []
    assert run.turns <= 7 * 4, "a few times a day"
    used = sum(point.replicas for point in run.seen) / len(run.seen)
    needed = sum(max(2, math.ceil(_week(point.at - MONDAY) / (ROOM * 0.8))) for point in run.seen) / len(run.seen)
    assert used < needed * 1.2, f"{used:.1f} pods for {needed:.1f} that were needed"


def test_a_schedule_raises_the_floor_while_it_lasts() -> None:
    evening = {"cron": "0 17 * * *", "timeZone": "Etc/UTC", "duration": "5h", "minReplicas": 10}
    spec = policy(freeSessions="20%", schedules=[evening])
    assert bounds(spec, MONDAY + 16.9 * 3600) == (2, 40)
    assert bounds(spec, MONDAY + 17 * 3600) == (10, 40)
    run = Run(spec, 2, start=MONDAY + 16.99 * 3600).over(120, lambda _: 10)
    assert run.replicas == 10


@pytest.mark.parametrize("figures", [None, Figures(MONDAY - 31.0, ROOM, calls=0), Figures(MONDAY, ROOM)])
def test_without_fresh_figures_it_holds_and_says_so(figures: Figures | None) -> None:
    decision = decide(policy(freeSessions="20%"), 17, figures, History(), MONDAY)
    assert (decision.replicas, decision.held, decision.reason) == (17, True, "FiguresMissing")
    assert decide(policy(freeSessions="20%"), 50, figures, History(), MONDAY).replicas == 40, "bounds stand above all"


def test_the_highest_of_several_goals_counts() -> None:
    query = {"server": "http://p", "promql": "x", "targetPerReplica": 100}
    spec = policy(freeSessions=50, utilization=50, query=query)
    figures = Figures(MONDAY, ROOM, calls=500, queried=1150.0)
    assert decide(spec, 12, figures, History(), MONDAY).message == "1150 by the query, 100 each"
    assert decide(spec, 12, figures, History(), MONDAY).replicas == 12
    relays = ScalingPolicySpec.model_validate(
        {"targetRef": {"kind": "RelayPool", "name": "edge"}, "maxReplicas": 9, "packetsPerSecond": 1000, "flows": 10}
    )
    assert decide(relays, 1, Figures(MONDAY, packets=2500.0, flows=15), History(), MONDAY).replicas == 3


def test_what_limits_it_is_said() -> None:
    decision = decide(policy(utilization=50), 2, Figures(MONDAY, ROOM, calls=100_000), History(), MONDAY)
    assert decision.replicas == 6 and decision.limited == "at most 40 are allowed, 1000 would be needed"


def test_a_steady_load_leaves_nothing_new_to_write() -> None:
    run = Run(policy(freeSessions="20%"), 4).over(600, lambda _: 500)
    before = run.history
    run.over(600, lambda _: 500)
    assert run.history == before


_steps = some.lists(
    some.fixed_dictionaries(
        {
            "type": some.sampled_from(["Pods", "Percent"]),
            "value": some.integers(1, 200),
            "period": some.sampled_from(["15s", "1m", "5m"]),
        }
    ),
    min_size=1,
    max_size=3,
)
_behaviour = some.fixed_dictionaries(
    {"stabilizationWindow": some.sampled_from(["0s", "30s", "5m"]), "policies": _steps}
)


@settings(max_examples=300)
@given(
    up=_behaviour,
    down=_behaviour,
    low=some.integers(0, 10),
    width=some.integers(1, 60),
    start=some.integers(0, 70),
    seed=some.integers(0, 10_000),
)
def test_it_stays_within_bounds_steps_and_windows_whatever_the_load(
    up: dict[str, Any], down: dict[str, Any], low: int, width: int, start: int, seed: int
) -> None:
    random = Random(seed)
    spec = policy(utilization=80, minReplicas=low, maxReplicas=low + width, behavior={"scaleUp": up, "scaleDown": down})
    replicas, history, now, load = start, History(), MONDAY, 0.0
    changes: list[tuple[float, int, int]] = []
    for _ in range(120):
        now += random.choice((5.0, 5.0, 20.0, 200.0))
        load = max(0.0, load + random.choice((-1, 1)) * random.expovariate(1 / 1500))
        figures = Figures(now, ROOM, calls=int(load)) if random.random() < 0.95 else None
        before = replicas
        decision = decide(spec, before, figures, history, now)
        replicas, history = decision.replicas, decision.history
        assert low <= replicas <= low + width
        assert len(history.recommended) <= 24 and len(history.changed) <= 32
        if replicas != before:
            # Bounds may move it at once; everything else keeps to the widest step of its direction.
            if low <= before <= low + width:
                rules = spec.behavior.scale_up.policies if replicas > before else spec.behavior.scale_down.policies
                assert any(
                    _allowed(rule.type, rule.value, rule.period, changes, before, replicas, now) for rule in rules
                )
            changes.append((now, before, replicas))
        if figures is None:
            assert replicas == min(max(before, low), low + width)


def _allowed(
    kind: str, value: int, period: float, changes: list[tuple[float, int, int]], before: int, after: int, now: float
) -> bool:
    grows = after > before
    moved = sum(b - a for at, a, b in changes if at > now - period and (b > a) == grows)
    began = before - moved
    if kind == "Pods":
        return after <= began + value if grows else after >= began - value
    if grows:
        return after <= max(began + 1, math.ceil(began * (100 + value) / 100))
    return after >= math.floor(began * (100 - value) / 100)
