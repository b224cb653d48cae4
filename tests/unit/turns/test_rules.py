from collections.abc import Iterator
from typing import Any

import pytest

from voicefleet.core.realtime.session import begun, turn_detection, updated
from voicefleet.core.turns.detector import TurnDetector, TurnEnded, TurnStarted
from voicefleet.core.turns.rules import Mode, TurnRules, rules
from voicefleet.core.turns.sound import HOP, Sound


def asked(**fields: Any) -> TurnRules:
    session = updated(begun({}, "sess_1", 0), {"audio": {"input": {"turn_detection": fields or None}}})
    return rules(turn_detection(session))


def turns(detector: TurnDetector, contrasts: Iterator[float]) -> list[TurnStarted | TurnEnded]:
    heard = (detector.hear(Sound(contrast, 0.0), (at + 1) * HOP) for at, contrast in enumerate(contrasts))
    return [turn for turn in heard if turn is not None]


def _at(plan: TurnRules) -> TurnDetector:
    detector = TurnDetector(plan.patience)
    detector.demand(plan.demand)
    return detector


def test_a_session_of_push_to_talk_answers_nothing_by_itself() -> None:
    assert asked() == TurnRules(Mode.PUSH_TO_TALK, create_response=False, interrupt_response=False)


def test_a_silence_timer_waits_as_long_as_it_is_told_whatever_the_phrase_sounded_like() -> None:
    for silence in (200, 900):
        plan = asked(type="server_vad", silence_duration_ms=silence)
        assert plan.mode is Mode.SILENCE
        detector = TurnDetector(plan.patience)
        told = turns(detector, iter([6.0] * 50 + [0.0] * 100))
        assert isinstance(told[1], TurnEnded) and told[1].silence == pytest.approx(silence / 1000, abs=2 * HOP)


def test_a_lower_threshold_hears_what_a_higher_one_takes_for_noise() -> None:
    found = {}
    for threshold in (0.0, 0.5, 1.0):
        plan = asked(type="server_vad", threshold=threshold)
        found[threshold] = [bool(turns(_at(plan), iter([level] * 20)))
                            for level in (1.5, 3.0, 6.0)]  # fmt: skip
        assert plan.prefix == 0.3
    assert found == {0.0: [True, True, True], 0.5: [False, True, True], 1.0: [False, False, True]}


def test_eagerness_orders_the_patience() -> None:
    plans = [asked(type="semantic_vad", eagerness=eagerness).patience for eagerness in ("high", "medium", "low")]
    assert sorted(plans, key=lambda plan: (plan.finished, plan.hanging)) == plans
    assert asked(type="semantic_vad").patience == plans[1] and all(plan.follows for plan in plans)


def test_what_the_client_wants_done_with_a_turn_is_its_own_choice() -> None:
    plan = asked(type="server_vad", create_response=False, interrupt_response=False, idle_timeout_ms=6000)
    assert (plan.create_response, plan.interrupt_response, plan.idle_timeout) == (False, False, 6.0)
