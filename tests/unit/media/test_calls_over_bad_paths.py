"""Calls over paths that lose, delay and reorder, told as stories. The clock is virtual, the seeds are fixed."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.support.impaired_path import Bursts, Impairment
from tests.support.simulated_call import FRAME, TERMS, Call, index_of
from voicefleet.core.media.frame import FrameKind
from voicefleet.core.media.patience import ACCURATE, CONVERSATIONAL
from voicefleet.core.media.sender import Sender

RED = replace(TERMS, red=63)


def hang_up(call: Call) -> Call:
    """The caller stops speaking, and what is on its way arrives."""
    call.caller_speaks = False
    return call.run(1.0)


def share_heard(call: Call) -> float:
    return len(call.words()) / len(call.said_at)


def test_a_clean_call_adds_nothing() -> None:
    call = hang_up(Call(Impairment(delay=0.04)).run(9.99))
    assert call.words() == list(range(500))
    assert call.server.measurements().uplink.buffer_delay_max == 0.0
    assert {round(at - call.said_at[index_of(frame)], 6) for at, frame in call.heard[:500]} <= {0.04}


def test_every_word_survives_five_percent_loss_with_80_ms_of_round_trip() -> None:
    both = Impairment(delay=0.04, loss=0.05)
    call = hang_up(Call(both, both, profile=ACCURATE, seed=5).run(60))
    uplink = call.server.measurements().uplink
    assert call.up.lost > 120
    assert share_heard(call) >= 0.999
    assert uplink.retransmitted > 100
    assert uplink.lost > 0.9 * uplink.retransmitted  # what was sent again was lost all the same
    assert uplink.buffer_delay_max <= ACCURATE.limit + 1e-6


@pytest.mark.parametrize(
    "path",
    [
        Impairment(delay=0.04, loss=0.01),
        Impairment(delay=0.04, loss=0.10),
        Impairment(delay=0.04, bursts=Bursts(0.05, 3)),
        Impairment(delay=0.04, jitter=0.06),
        Impairment(delay=0.04, jitter=0.06, loss=0.05),
        Impairment(delay=0.04, reordering=0.1),
        Impairment(delay=0.01, loss=0.05),
    ],
    ids=str,
)
def test_a_conversation_never_waits_longer_than_60_ms(path: Impairment) -> None:
    call = hang_up(Call(path, path).run(30))
    uplink = call.server.measurements().uplink
    assert uplink.buffer_delay_max <= CONVERSATIONAL.limit + 1e-6
    words = call.words()
    assert words == sorted(set(words))
    assert len(words) + uplink.concealed >= len(call.said_at) - 5  # what is not heard is concealed, not skipped


def test_a_conversation_over_a_short_path_gets_its_losses_back_in_time() -> None:
    path = Impairment(delay=0.01, loss=0.05)
    assert share_heard(hang_up(Call(path, path).run(30))) >= 0.99


def test_jitter_and_reordering_alone_cost_no_word() -> None:
    for path in (Impairment(delay=0.04, jitter=0.06), Impairment(delay=0.04, reordering=0.2)):
        for profile in (CONVERSATIONAL, ACCURATE):
            assert share_heard(hang_up(Call(path, profile=profile).run(30))) >= 0.998


def test_copies_bring_back_words_that_a_conversation_has_no_time_to_ask_for() -> None:
    path = Impairment(delay=0.04, loss=0.10)
    assert share_heard(hang_up(Call(path, path, terms=RED, copies=0).run(30))) < 0.93
    call = hang_up(Call(path, path, terms=RED, copies=2).run(30))
    assert share_heard(call) >= 0.995
    assert call.server.measurements().uplink.recovered_by_redundancy > 100


def test_redundancy_comes_with_loss_and_goes_with_it() -> None:
    """The caller's side is the sender here: its policy sees the server's reports."""
    call = Call(Impairment(delay=0.04), terms=RED).run(10)
    assert call.caller.measurements().downlink.copies == 0
    call.up.impairment = Impairment(delay=0.04, loss=0.1)
    call.run(20)
    assert call.caller.redundancy.copies == 2
    call.up.impairment = Impairment(delay=0.04)
    call.run(90)
    assert call.caller.redundancy.copies == 0


def test_the_profile_may_change_while_somebody_speaks() -> None:
    """A conversation turns into the dictation of a card number, and back."""
    path = Impairment(delay=0.04, loss=0.05)
    call = Call(path, path).run(15)
    conversation = len(call.words())
    call.server.profile = ACCURATE
    call.run(20)
    dictated = [index for index in call.words()[conversation:] if index < call.words()[-1] - 20]
    assert len(dictated) >= 0.999 * (dictated[-1] - dictated[0] + 1)
    call.server.profile = CONVERSATIONAL
    call.run(1)
    assert call.server.measurements().uplink.wait <= CONVERSATIONAL.limit


def test_a_caller_that_never_retransmits_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Impairment(delay=0.04, loss=0.05)
    call = Call(path, path, profile=ACCURATE)
    monkeypatch.setattr(Sender, "again", lambda self, lost, now, round_trip: [])
    call.run(60)
    uplink = call.server.measurements().uplink
    assert uplink.wait < 0.05
    assert uplink.retransmitted == 0


def test_a_stall_of_the_network_loses_nothing() -> None:
    """A lift: the network keeps everything for two seconds, then lets it go at once."""
    call = Call(Impairment(delay=0.04)).run(5)
    call.up.impairment = Impairment(delay=2.0)
    call.run(0.02)
    call.up.impairment = Impairment(delay=2.0)
    held = call.now
    for _ in range(100):
        call.run(FRAME)
        call.up.impairment = Impairment(delay=max(0.04, held + 2.0 - call.now))
    hang_up(call.run(2))
    assert call.words() == sorted(call.said_at)
    assert call.server.measurements().uplink.concealed == 0
    assert FrameKind.STALLED in call.kinds()


def test_a_call_goes_on_after_ten_seconds_without_a_packet() -> None:
    call = Call(Impairment(delay=0.04)).run(5)
    call.up.impairment = Impairment(loss=1.0)
    call.run(10.5)
    call.up.impairment = Impairment(delay=0.04)
    before = len(call.words())
    call.run(5)
    assert len(call.words()) - before >= 245
    assert call.server.measurements().uplink.concealed <= 10


def test_both_sides_measure_what_the_path_does() -> None:
    call = Call(Impairment(delay=0.05, loss=0.1), Impairment(delay=0.03), seed=3).run(60)
    server, caller = call.server.measurements(), call.caller.measurements()
    assert server.round_trip == pytest.approx(0.08, abs=0.002)
    assert caller.round_trip == pytest.approx(0.08, abs=0.002)
    assert server.uplink.lost == pytest.approx(call.up.lost, abs=5)
    assert caller.downlink.lost == pytest.approx(call.up.lost, abs=15)
    assert server.uplink.mos < 3.5 < server.downlink.mos
    assert server.refused == {}


def test_jitter_is_measured_in_seconds() -> None:
    call = Call(Impairment(delay=0.04, jitter=0.015)).run(30)
    # Uniform on 15 ms: neighbours differ by a third of that on average.
    assert call.server.measurements().uplink.jitter == pytest.approx(0.005, abs=0.002)
    assert call.caller.measurements().downlink.jitter == pytest.approx(0.005, abs=0.002)


def test_the_caller_hears_eight_seconds_of_speech_in_eight_seconds_and_nothing_after_a_flush() -> None:
    call = Call(Impairment(delay=0.04)).run(1)
    call.caller_heard.clear()
    for index in range(400):
        call.server.say(b"\x48" + index.to_bytes(4) + bytes(40), call.now)
    call.run(3)
    flushed = call.server.flush()
    call.run(2)
    spoken = [(at, frame) for at, frame in call.caller_heard if frame.payload[:1] == b"\x48"]
    assert len(spoken) * 20 == flushed.played_ms == pytest.approx(3020, abs=20)
    assert flushed.dropped_ms == 8000 - flushed.played_ms
    times = [at for at, _ in spoken][1:]
    assert all(b - a == pytest.approx(0.02, abs=1e-6) for a, b in pairwise(times))
    stamps = [frame.timestamp for _, frame in spoken]
    assert all(b - a == 960 for a, b in pairwise(stamps))


def test_lost_speech_of_the_agent_is_sent_again_when_the_caller_asks() -> None:
    path = Impairment(delay=0.02, loss=0.08)
    call = Call(Impairment(delay=0.02), path).run(1)
    call.caller.profile = ACCURATE
    call.caller_heard.clear()
    for index in range(500):
        call.server.say(b"\x48" + index.to_bytes(4) + bytes(40), call.now)
    call.run(12)
    heard = [int.from_bytes(frame.payload[1:5]) for _, frame in call.caller_heard if frame.payload[:1] == b"\x48"]
    assert len(heard) >= 499
    assert call.server.measurements().downlink.retransmitted > 20
