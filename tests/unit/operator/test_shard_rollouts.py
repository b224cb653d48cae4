"""A rollout goes on by calls on new pods, or by nobody calling; not by their saying that they are ready."""

import pytest

from tests.support.operator import FLEET, HERE, SHARD
from voicefleet_operator.model.shard_rollouts import QUIET, Taker, Trial, Verdict, held, is_held, observed, verdict
from voicefleet_operator.model.transceiver_manifests import SETTLES, workload
from voicefleet_operator.reconcile.shard_trials import NO_CALLS, trial_conditions

PATIENCE = 45.0
READY = 1000.0
"""When the new pod was."""


def _old(*ages: float) -> Taker:
    return Taker("old", False, 0.0, {f"rtc_{at}": age for at, age in enumerate(ages)})


def _new(calls: int = 0) -> Taker:
    return Taker("new", True, READY, {f"rtc_{at}": 1.0 for at in range(calls)})


def _verdict(takers: list[Taker], after: float, *, stopped: bool = False, patience: float = PATIENCE) -> Verdict:
    now = READY + after
    return verdict(observed(None, "b", takers, patience, now), takers, stopped, patience, now)


@pytest.mark.parametrize(
    ("takers", "after", "found"),
    [
        pytest.param([_old(500.0)], 0.0, Verdict.GO_ON, id="no new pod is ready: Kubernetes waits for it"),
        pytest.param([_old(), _new()], 0.0, Verdict.GO_ON, id="nobody calls"),
        pytest.param([_old(500.0), _new()], QUIET - 1, Verdict.HOLD, id="somebody may call"),
        pytest.param([_old(500.0), _new()], QUIET, Verdict.GO_ON, id="nobody has called since, live calls go on"),
        pytest.param([_old(500.0, QUIET - 1), _new()], 40.0, Verdict.HOLD, id="calls still begin on the old pod"),
        pytest.param([_old(*[QUIET - 1] * 5), _new()], 90.0, Verdict.HOLD, id="too few to know"),
        pytest.param([_old(*[50.0] * 6), _new()], 90.0, Verdict.GO_ON, id="before the new one had its time"),
        pytest.param([_old(*[44.0] * 6), _new()], 90.0, Verdict.STOP, id="of six calls none came to one pod of two"),
        pytest.param([_old(*[44.0] * 8), _old(), _new()], 90.0, Verdict.GO_ON, id="of three pods eight are too few"),
        pytest.param([_old(*[44.0] * 9), _old(), _new()], 90.0, Verdict.STOP, id="nine are not"),
        pytest.param([_old(*[44.0] * 9), _new(1)], 90.0, Verdict.GO_ON, id="one call shows that it serves"),
        pytest.param([_new()], 90.0, Verdict.GO_ON, id="all pods are new"),
    ],
)
def test_old_pods_stay_while_calls_pass_the_new_ones_by(takers: list[Taker], after: float, found: Verdict) -> None:
    assert _verdict(takers, after) is found


def test_a_stopped_rollout_stays_so_when_the_calls_end_and_goes_on_with_a_call_on_a_new_pod() -> None:
    assert _verdict([_old(), _new()], 5000.0, stopped=True) is Verdict.STOP
    assert _verdict([_old()], 5000.0, stopped=True) is Verdict.STOP, "its new pod is not ready just now"
    assert _verdict([_old(), _new(1)], 5000.0, stopped=True) is Verdict.GO_ON


def test_without_patience_nothing_is_ever_held() -> None:
    assert _verdict([_old(*[1.0] * 50), _new()], 500.0, stopped=True, patience=0.0) is Verdict.GO_ON


def test_short_calls_add_up_over_looks_and_are_counted_once() -> None:
    trial: Trial | None = None
    for at in range(6):
        for _ in range(2):
            old = _old()._replace(calls={f"rtc_{at}": 2.0})
            trial = observed(trial, "b", [old, _new()], PATIENCE, READY + 50.0 + at)
        assert trial is not None and len(trial.elsewhere) == at + 1
    found = verdict(trial or Trial("b"), [_old(), _new()], False, PATIENCE, READY + 60.0)
    assert found is Verdict.STOP


def test_what_was_seen_of_a_template_counts_for_no_other_one_and_a_call_is_never_forgotten() -> None:
    seen = observed(None, "b", [_old(*[1.0] * 9), _new()], PATIENCE, READY + 90.0)
    assert len(seen.elsewhere) == 9
    assert observed(seen, "c", [_old()], PATIENCE, READY + 90.0) == Trial("c")
    later = _new()._replace(ready_since=READY + 80.0)
    assert not observed(seen, "b", [_old(*[1.0] * 2), later], PATIENCE, READY + 90.0).elsewhere, "it is another pod"
    passed = observed(seen, "b", [_old(), _new(1)], PATIENCE, READY + 91.0)
    assert observed(passed, "b", [_old(*[1.0] * 9), _new()], PATIENCE, READY + 95.0).passed


def test_a_held_deployment_has_its_template_and_an_old_pod_stays_until_the_operator_can_have_seen_a_new_one() -> None:
    made = workload(SHARD, FLEET, HERE, 3)
    assert not is_held(made) and is_held(held(made))
    assert held(made)["spec"]["template"] == made["spec"]["template"]
    assert made["spec"]["minReadySeconds"] == SETTLES > 0


def test_a_stopped_rollout_says_which_pods_get_no_calls_and_what_to_do() -> None:
    said = trial_conditions(Verdict.STOP, ["d", "a", "c", "b"])
    assert {(each.type, each.status, each.reason) for each in said.values()} == {
        ("Progressing", "False", NO_CALLS),
        ("Degraded", "True", NO_CALLS),
    }
    assert "none on a, b, c and 1 more" in said["Degraded"].message
    assert "put the last one back" in said["Degraded"].message
    assert [each.reason for each in trial_conditions(Verdict.HOLD, ["a"]).values()] == ["AwaitsCalls"]
    assert not trial_conditions(Verdict.GO_ON, ["a"])
