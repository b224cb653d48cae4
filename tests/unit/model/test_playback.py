"""What a caller has heard of what a model said, to the millisecond."""

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.model.playback import Cut, Passed, Phase, Playback, Spoken

A = Spoken("resp_a", "item_a", 0)
B = Spoken("resp_b", "item_b", 0)


def test_a_response_has_begun_with_its_first_sound_and_ended_with_its_last() -> None:
    playback = Playback()
    playback.say(A, 100.0)
    assert list(playback.advance(0.0)) == [Passed(Phase.STARTED, "resp_a")]
    assert list(playback.advance(100.0)) == [], "the model may say more"
    assert playback.next() is None
    playback.say(A, 50.0)
    playback.finish("resp_a")
    assert playback.next() == 150.0
    assert list(playback.advance(149.0)) == []
    assert list(playback.advance(150.0)) == [Passed(Phase.STOPPED, "resp_a")]
    assert list(playback.advance(150.0)) == []
    assert playback.end == 160.0, "its last frame is filled up with silence"


def test_a_response_behind_another_begins_when_that_has_ended() -> None:
    playback = Playback()
    playback.say(A, 100.0)
    playback.finish("resp_a")
    playback.say(B, 100.0)
    assert list(playback.advance(99.0)) == [Passed(Phase.STARTED, "resp_a")]
    assert list(playback.advance(100.0)) == [Passed(Phase.STOPPED, "resp_a"), Passed(Phase.STARTED, "resp_b")]


def test_a_cut_tells_how_much_of_each_piece_was_heard() -> None:
    playback = Playback()
    playback.say(A, 100.0)
    playback.say(B, 200.0)
    assert playback.cut(300.0, 40.0) == [Cut(A, 40), Cut(B, 0)]
    assert playback.response is None and playback.end == 40.0
    playback.say(B, 60.0)
    assert playback.cut(100.0, 100.0) == [], "all of it was heard"


def test_what_is_said_while_a_cut_is_under_way_is_not_cut() -> None:
    playback = Playback()
    playback.say(A, 1000.0)
    upto = playback.end
    playback.say(B, 100.0)
    assert playback.cut(upto, 220.0) == [Cut(A, 220)]
    assert playback.response == "resp_b" and playback.end == 320.0
    assert list(playback.advance(219.0)) == []
    assert list(playback.advance(220.0)) == [Passed(Phase.STARTED, "resp_b")]


@given(st.lists(st.tuples(st.sampled_from((A, B)), st.integers(1, 2000)), max_size=20), st.floats(0, 1))
def test_what_was_heard_and_what_was_cut_is_all_that_was_said(said: list[tuple[Spoken, int]], share: float) -> None:
    playback = Playback()
    for spoken, length in said:
        playback.say(spoken, float(length))
    total = sum(length for _, length in said)
    played = float(int(share * total))
    list(playback.advance(played))
    before = 0
    unheard = 0
    for _, length in said:
        unheard += min(length, max(0, before + length - int(played)))
        before += length
    cuts = playback.cut(playback.end, played)
    lengths = {cut.spoken: cut.heard_ms for cut in cuts}
    assert (unheard > 0) == bool(lengths)
    assert all(heard >= 0 for heard in lengths.values())
    assert playback.end == played
