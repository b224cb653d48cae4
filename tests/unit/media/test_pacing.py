"""The downlink's clock: steady, true across silence, and able to fall silent at once with an exact account."""

from itertools import pairwise

import pytest

from voicefleet.core.media.opus_packet import SILENCE
from voicefleet.core.media.pacing import CAPACITY, CLOSING, DRY, KEEP_ALIVE, LEAD, Departure, Playout

TICKS = 960
WORD = b"\x48word"


class Speaker:
    """A playout, polled at its deadlines as a media loop does it."""

    def __init__(self, **options: float) -> None:
        self.now = 50.0
        self.playout = Playout(48_000, self.now, SILENCE, TICKS, **options)
        self.sent: list[tuple[float, Departure]] = []

    def say(self, frames: int) -> None:
        for _ in range(frames):
            assert self.playout.enqueue(WORD, TICKS, self.now)
        self.poll()

    def poll(self) -> None:
        self.sent += [(self.now, departure) for departure in self.playout.due(self.now)]

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.playout.deadline()) <= end:
            assert at >= self.now - 0.1, "a deadline that is over stays due for ever"
            self.now = max(self.now, at)
            before = len(self.sent), self.playout.deadline()
            self.poll()
            assert (len(self.sent), self.playout.deadline()) != before, "a deadline at which nothing happens"
        self.now = end

    def words(self) -> list[tuple[float, Departure]]:
        return [(at, departure) for at, departure in self.sent if departure.payload == WORD]


def test_eight_seconds_of_speech_made_in_a_moment_leave_at_their_pace() -> None:
    speaker = Speaker()
    speaker.run(1.0)
    speaker.say(400)
    speaker.run(9.0)
    words = speaker.words()
    assert len(words) == 400
    assert words[0][0] == pytest.approx(51.0)
    assert words[1][0] == pytest.approx(51.0)  # the lead: one frame in hand
    assert words[-1][0] == pytest.approx(51.0 + 399 * 0.02 - LEAD)
    assert [departure.position for _, departure in words] == list(range(48_000, 48_000 + 400 * TICKS, TICKS))
    assert [departure.marker for _, departure in words] == [True] + [False] * 399


def test_timestamps_stand_for_real_time_also_after_silence() -> None:
    speaker = Speaker()
    speaker.say(10)
    speaker.run(3.0)
    speaker.say(10)
    speaker.run(1.0)
    first, second = speaker.words()[0], speaker.words()[10]
    assert second[1].position - first[1].position == pytest.approx(3.0 * 48_000, abs=1)
    assert second[1].marker


def test_a_talk_ends_with_silence_and_then_the_path_is_kept_alive() -> None:
    speaker = Speaker()
    speaker.run(0.01)
    speaker.say(5)
    speaker.run(3.0)
    after = speaker.sent[speaker.sent.index(speaker.words()[-1]) + 1 :]
    assert all(departure.payload == SILENCE for _, departure in after)
    closing = after[:CLOSING]
    assert [b[1].position - a[1].position for a, b in pairwise(closing)] == [TICKS] * (CLOSING - 1)
    assert closing[0][1].position == speaker.words()[-1][1].position + TICKS
    gaps = [b[0] - a[0] for a, b in pairwise(after[CLOSING - 1 :])]
    assert gaps
    assert gaps == pytest.approx([KEEP_ALIVE] * len(gaps))


def test_a_call_on_which_nothing_was_said_is_kept_alive_from_the_start() -> None:
    speaker = Speaker()
    speaker.run(2.1)
    assert len(speaker.sent) == 6
    assert not any(departure.marker for _, departure in speaker.sent)


def test_a_source_in_real_time_that_is_a_little_late_keeps_its_timestamps_together() -> None:
    """An agent that makes a frame each 20 ms, give or take 15: one talk, no holes, no silence between."""
    speaker = Speaker()
    for late in (0.0, 0.015, 0.0, 0.012, 0.001, 0.015, 0.0):
        start = speaker.now
        speaker.run(late)
        speaker.say(1)
        speaker.run(0.02 - (speaker.now - start))
    words = speaker.words()
    assert [b[1].position - a[1].position for a, b in pairwise(words)] == [TICKS] * 6
    assert speaker.playout.talks == 1
    assert sum(departure.payload == SILENCE for _, departure in speaker.sent[1:]) == 0


def test_a_source_in_real_time_that_speaks_in_pieces_is_sent_evenly() -> None:
    """Five frames each 100 ms, one of the pieces late: that costs the lead once, and not each piece anew."""
    speaker = Speaker()
    for piece in range(20):
        at = 50.1 + 0.1 * piece + (0.007 if piece == 10 else 0.0)
        speaker.run(at - speaker.now)
        speaker.say(5)
    words = speaker.words()
    assert [b[1].position - a[1].position for a, b in pairwise(words)] == [TICKS] * (len(words) - 1)
    assert speaker.playout.talks == 1
    gaps = [b[0] - a[0] for a, b in pairwise(words)]
    early, late = gaps[:5], gaps[49]
    assert early == pytest.approx([0.0, 0.02, 0.02, 0.02, 0.04], abs=1e-4), "the second piece spends the lead"
    assert late == pytest.approx(0.027)
    assert gaps[5:49] + gaps[50:] == pytest.approx([0.02] * (len(gaps) - 6))


def test_a_talk_begins_with_the_whole_lead_whatever_the_one_before_has_spent() -> None:
    speaker = Speaker()
    speaker.run(0.1)
    speaker.say(5)
    speaker.run(0.1)
    speaker.say(5)
    speaker.run(1.03)
    before = len(speaker.words())
    speaker.say(2)
    speaker.run(0.001)
    assert len(speaker.words()) == before + 2


def test_a_flush_is_silent_at_once_and_tells_to_the_sample_what_was_played() -> None:
    speaker = Speaker()
    speaker.say(400)
    speaker.run(1.0)
    flushed = speaker.playout.flush()
    sent = len(speaker.words())
    assert flushed.played_ms == sent * 20 == 1020 + 20  # a second, the frame at its end, and the lead
    assert flushed.played_ms + flushed.dropped_ms == 8000
    speaker.run(1.0)
    assert len(speaker.words()) == sent
    assert speaker.playout.played_ms == flushed.played_ms


def test_speech_right_after_a_flush_does_not_overlap_what_is_on_its_way() -> None:
    speaker = Speaker()
    speaker.say(100)
    speaker.run(0.5)
    speaker.playout.flush()
    speaker.say(10)
    speaker.run(0.5)
    positions = [departure.position for _, departure in speaker.sent]
    assert all(b - a >= TICKS for a, b in pairwise(positions))


def test_a_process_that_was_held_up_slips_instead_of_bursting() -> None:
    speaker = Speaker()
    speaker.say(200)
    speaker.run(1.0)
    before = len(speaker.words())
    speaker.now += 0.5
    speaker.poll()
    assert len(speaker.words()) - before <= 2
    assert speaker.playout.slips == 1
    assert speaker.words()[before][1].late > 0.4
    speaker.run(5.0)
    assert len(speaker.words()) == 200


def test_a_short_delay_is_caught_up_without_a_slip() -> None:
    speaker = Speaker()
    speaker.say(200)
    speaker.run(1.0)
    before = speaker.words()[-1][1].position
    speaker.now += 0.065
    speaker.poll()
    assert speaker.playout.slips == 0
    assert speaker.words()[-1][1].position - before == 3 * TICKS


def test_a_prebuffer_collects_before_it_starts_and_starts_even_if_no_more_comes() -> None:
    full = Speaker(prebuffer=0.06)
    full.say(2)
    assert full.words() == []
    full.say(1)
    assert full.words()
    waiting = Speaker(prebuffer=0.06)
    waiting.say(1)
    waiting.run(0.05)
    assert waiting.words() == []
    waiting.run(0.02)
    assert [at for at, _ in waiting.words()] == pytest.approx([50.06])


def test_a_minute_may_wait_and_not_more() -> None:
    playout = Playout(48_000, 0.0, SILENCE, TICKS)
    frames = 0
    while playout.enqueue(WORD, TICKS, 0.0):
        frames += 1
    assert frames == CAPACITY * 50
    assert playout.queued_ms == CAPACITY * 1000


def test_the_clock_error_counts_from_when_a_frame_could_have_left() -> None:
    speaker = Speaker()
    speaker.say(1)
    speaker.run(0.03)  # dry for 10 ms
    speaker.playout.enqueue(WORD, TICKS, speaker.now)
    speaker.now += 0.003
    speaker.poll()
    assert speaker.words()[-1][1].late == pytest.approx(0.003)
    assert DRY > 0.01
