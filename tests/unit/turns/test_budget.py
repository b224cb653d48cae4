import pytest

from voicefleet.core.turns.budget import Budget, Share, Stage, TurnMeter, turn_event


def meter(delay: float = 0.05) -> TurnMeter:
    """One that has heard ten seconds, each piece so long on its way."""
    made = TurnMeter()
    for piece in range(500):
        made.heard(piece * 0.02, piece * 0.02 + delay)
    return made


def test_every_stage_of_a_turn_is_measured_from_the_last_word_to_the_ear() -> None:
    turns = meter()
    turns.began()
    turns.last_word(9.98 - 9.0)
    turns.ended("item_1", 9.35)
    turns.transcribed(9.40)
    turns.text(9.62)
    turns.audio(9.70)
    times = turns.left(9.72, 0.03)
    assert times is not None
    assert times.stages == pytest.approx(
        {
            Stage.CAPTURE: 0.08,
            Stage.END_OF_TURN: 0.30,
            Stage.TRANSCRIPTION: 0.05,
            Stage.TEXT: 0.22,
            Stage.SPEECH: 0.08,
            Stage.QUEUE: 0.02,
            Stage.NETWORK_DOWN: 0.03,
        }
    )
    assert times.total == pytest.approx(9.75 - 9.0 + 0.03)
    assert times.overruns(Budget()) == (Share.MICROPHONE, Share.TRANSCRIPTION)


def test_a_turn_within_the_budget_has_no_overrun_and_a_slow_model_is_named() -> None:
    for answer, over in ((9.5, ()), (9.9, (Share.MODEL, Share.TOTAL))):
        turns = meter(delay=0.02)
        turns.last_word(9.98 - 9.0)
        turns.ended("item_1", 9.3)
        turns.audio(answer)
        times = turns.left(answer + 0.01, 0.01)
        assert times is not None and times.overruns(Budget()) == over
        event = turn_event(times, Budget(model=2.0, total=2.0))
        assert event["overruns"] == [] and event["shares"]["model"]["budget_ms"] == 2000.0
        assert event["total_ms"] == pytest.approx(sum(event["stages"].values()), abs=0.5)


def test_where_only_the_silence_is_known_the_last_word_follows_from_it() -> None:
    turns = meter()
    turns.ended("item_1", 9.55, silence=0.5)
    turns.audio(9.6)
    times = turns.left(9.6, None)
    assert times is not None
    assert times.stages[Stage.CAPTURE] == pytest.approx(0.05) and times.stages[Stage.END_OF_TURN] == pytest.approx(0.5)


def test_a_commit_by_hand_is_measured_from_the_commit() -> None:
    turns = TurnMeter()
    turns.ended("item_1", 5.0)
    turns.audio(5.2)
    times = turns.left(5.21, None)
    assert times is not None
    assert times.stages == pytest.approx({Stage.SPEECH: 0.2, Stage.QUEUE: 0.01})


def test_a_turn_that_is_interrupted_or_not_answered_is_not_measured() -> None:
    turns = meter()
    turns.ended("item_1", 9.5)
    turns.began()
    turns.audio(9.6)
    assert turns.left(9.7, None) is None
    turns.ended("item_2", 9.8)
    assert turns.left(9.9, None) is None


def test_each_turn_is_told_once_and_words_after_the_sound_change_nothing() -> None:
    turns = meter()
    turns.last_word(9.98 - 9.0)
    turns.ended("item_1", 9.3)
    turns.audio(9.5)
    turns.text(9.51)
    turns.transcribed(9.52)
    times = turns.left(9.53, None)
    assert times is not None and not {Stage.TEXT, Stage.TRANSCRIPTION} & times.stages.keys()
    assert turns.left(9.54, None) is None
