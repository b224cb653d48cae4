from collections.abc import Iterable

import pytest

from voicefleet.core.turns.detector import Patience, TurnDetector, TurnEnded, TurnStarted
from voicefleet.core.turns.sound import HOP, Sound

QUIET = Sound(contrast=0.3, pitch=0.0)
CLICK = Sound(contrast=12.0, pitch=0.0)
PATIENCE = Patience()
HIGH, MIDDLE, LOW = 130.0, 110.0, 85.0


def voiced(pitch: float) -> Sound:
    return Sound(contrast=12.0, pitch=pitch)


def spoken(*pitches: float) -> list[Sound]:
    """A phrase that dwells 200 ms on each pitch."""
    return [voiced(pitch) for pitch in pitches for _ in range(10)]


def silence(seconds: float) -> list[Sound]:
    return [QUIET] * round(seconds / HOP)


STATEMENT = spoken(MIDDLE, HIGH, MIDDLE, HIGH, MIDDLE, LOW)
HANGING = spoken(MIDDLE, HIGH, LOW, HIGH, MIDDLE, HIGH)


class Caller:
    def __init__(self, patience: Patience = PATIENCE) -> None:
        self.detector = TurnDetector(patience)
        self.now = 0.0

    def utters(self, *parts: Iterable[Sound]) -> list[TurnStarted | TurnEnded]:
        events = []
        for sound in (sound for part in parts for sound in part):
            self.now += HOP
            event = self.detector.hear(sound, self.now)
            if event is not None:
                events.append(event)
        return events


def test_a_turn_begins_where_the_first_word_began() -> None:
    (started,) = Caller().utters(silence(1.0), STATEMENT)
    assert isinstance(started, TurnStarted)
    assert started.at == pytest.approx(1.0, abs=1.5 * HOP)


def test_after_a_phrase_that_sounds_finished_the_answer_comes_soon() -> None:
    caller = Caller()
    _, ended = caller.utters(silence(1.0), STATEMENT, silence(3.0))
    assert isinstance(ended, TurnEnded)
    assert ended.at == pytest.approx(1.0 + len(STATEMENT) * HOP, abs=1.5 * HOP)
    assert ended.silence == pytest.approx(PATIENCE.finished, abs=1.5 * HOP)


def test_after_a_phrase_that_hangs_the_caller_may_think() -> None:
    caller = Caller()
    (started,) = caller.utters(silence(1.0), HANGING, silence(1.4), HANGING)
    assert isinstance(started, TurnStarted)
    assert caller.detector.in_turn


def test_whoever_never_goes_on_is_answered_all_the_same() -> None:
    _, ended = Caller().utters(silence(1.0), HANGING, silence(3.0))
    assert isinstance(ended, TurnEnded)
    assert ended.silence == pytest.approx(PATIENCE.hanging, abs=1.5 * HOP)


def test_clicks_and_coughs_are_no_turn() -> None:
    caller = Caller()
    assert (
        caller.utters(silence(1.0), [CLICK], silence(0.5), [CLICK] * 2, silence(0.5), [CLICK] * 3, silence(2.0)) == []
    )


def test_a_cough_after_the_last_word_does_not_delay_the_answer_by_another_silence() -> None:
    caller = Caller()
    _, ended = caller.utters(silence(1.0), HANGING, silence(0.8), [CLICK] * 3, silence(3.0))
    assert isinstance(ended, TurnEnded)
    assert ended.silence == pytest.approx(PATIENCE.hanging, abs=0.2)


def test_a_caller_who_thinks_long_is_given_longer_and_a_quick_one_is_answered_sooner() -> None:
    def silence_after(pause: float) -> float:
        caller = Caller()
        events = caller.utters(silence(1.0), *([*HANGING, *silence(pause)] for _ in range(6)), HANGING, silence(4.0))
        assert isinstance(events[-1], TurnEnded)
        assert len(events) == 2, "the pauses themselves end no turn"
        return events[-1].silence

    assert silence_after(0.5) < PATIENCE.hanging < silence_after(1.5)


def test_the_patience_may_be_changed_in_the_middle_of_a_turn() -> None:
    caller = Caller()
    caller.utters(silence(1.0), STATEMENT)
    caller.detector.patience = Patience(finished=1.2)
    (ended,) = caller.utters(silence(3.0))
    assert isinstance(ended, TurnEnded)
    assert ended.silence == pytest.approx(1.2, abs=1.5 * HOP)


def test_voices_far_away_in_the_room_do_not_keep_the_turn_open() -> None:
    """Their sound has a pitch, too; what tells them apart is how far they stand out."""
    murmur = [Sound(contrast=1.8, pitch=150.0), Sound(contrast=0.9, pitch=170.0)]
    caller = Caller()
    events = caller.utters(murmur * 50, STATEMENT, murmur * 100)
    assert [type(event) for event in events] == [TurnStarted, TurnEnded]


def test_turn_follows_turn() -> None:
    caller = Caller()
    events = caller.utters(silence(1.0), STATEMENT, silence(2.0), STATEMENT, silence(2.0))
    assert [type(event) for event in events] == [TurnStarted, TurnEnded] * 2
