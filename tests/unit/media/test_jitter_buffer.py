"""The jitter buffer hands over what it can at once, waits only behind gaps, and says what it made up."""

import pytest

from voicefleet.core.media.frame import FrameKind
from voicefleet.core.media.jitter_buffer import (
    COMFORT_MARGIN,
    MAX_CONCEALED,
    MAX_HELD,
    MAX_JUMP,
    STALL_LASTS,
    JitterBuffer,
)
from voicefleet.core.media.opus_packet import is_pause, samples
from voicefleet.core.media.patience import ACCURATE, CONVERSATIONAL, Profile

HEARD, CONCEALED, COMFORT, STALLED = FrameKind
TICKS = 960


def speech(index: int) -> bytes:
    return b"\x48" + index.to_bytes(4) + bytes(20)


class Listener:
    """A buffer, the time, and what came out of it."""

    def __init__(self, profile: Profile = CONVERSATIONAL) -> None:
        self.buffer = JitterBuffer(48_000, samples, is_pause, profile)
        self.now = 10.0

    def packet(self, index: int, at: float | None = None, timestamp: int | None = None) -> None:
        """Packet `index` comes, as late as one of a steady stream does unless told otherwise."""
        self.now = 10.0 + 0.02 * index if at is None else at
        self.poll()
        self.buffer.insert(1000 + index, TICKS * index if timestamp is None else timestamp, speech(index), self.now)

    def poll(self) -> None:
        if self.buffer.deadline() <= self.now:
            self.buffer.poll(self.now)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.buffer.deadline() <= end:
            self.now = self.buffer.deadline()
            self.buffer.poll(self.now)
        self.now = end

    def heard(self) -> list[int | FrameKind]:
        frames, self.buffer.ready = self.buffer.ready, []
        return [int.from_bytes(frame.payload[1:5]) if frame.kind is HEARD else frame.kind for frame in frames]


def test_audio_in_order_never_waits() -> None:
    listener = Listener()
    for index in range(5):
        listener.packet(index)
        assert listener.heard() == [index]
    assert listener.buffer.delay_max == 0.0


def test_an_overtaken_packet_is_put_back_in_its_place() -> None:
    listener = Listener()
    listener.packet(0)
    listener.packet(2, at=10.04)
    assert listener.heard() == [0]
    listener.packet(1, at=10.05)
    assert listener.heard() == [1, 2]
    assert listener.buffer.concealed == 0


def test_a_lost_frame_is_concealed_when_the_wait_is_over_and_not_before() -> None:
    listener = Listener()
    listener.packet(0)
    listener.packet(2, at=10.04)
    listener.heard()
    assert listener.buffer.deadline() == 10.04 + CONVERSATIONAL.limit
    listener.wait(0.059)
    assert listener.heard() == []
    listener.wait(0.002)
    assert listener.heard() == [CONCEALED, 2]


def test_a_concealed_frame_carries_its_successor_for_fec() -> None:
    listener = Listener()
    listener.packet(0)
    listener.packet(3, at=10.06)
    listener.wait(0.1)
    lost, last, following = listener.buffer.ready[1:]
    assert (lost.kind, lost.recovery, lost.timestamp) == (CONCEALED, b"", 1 * TICKS)
    assert (last.kind, last.recovery, last.timestamp) == (CONCEALED, following.payload, 2 * TICKS)


def test_the_accurate_profile_waits_for_a_retransmission_that_the_conversational_one_gives_up() -> None:
    for profile, expected in ((CONVERSATIONAL, [0, CONCEALED, 2]), (ACCURATE, [0, 1, 2])):
        listener = Listener(profile)
        listener.packet(0)
        listener.packet(2)
        listener.packet(1, at=10.24)
        assert listener.heard() == expected
        assert listener.buffer.late == (1 if profile is CONVERSATIONAL else 0)


def test_patience_may_change_while_a_gap_is_waited_for() -> None:
    listener = Listener()
    listener.packet(0)
    listener.packet(2)
    listener.buffer.wait = 0.3
    listener.wait(0.2)
    assert listener.heard() == [0]
    listener.buffer.wait = 0.06
    listener.poll()
    assert listener.heard() == [CONCEALED, 2]


def test_each_frame_comes_once_however_often_its_packet_does() -> None:
    listener = Listener()
    for index, at in ((0, 10.0), (0, 10.01), (2, 10.04), (2, 10.05), (1, 10.06), (1, 10.06), (2, 10.07)):
        listener.packet(index, at=at)
    assert listener.heard() == [0, 1, 2]
    assert listener.buffer.duplicates == 4


def test_audio_that_was_stuck_in_the_network_is_late_but_whole() -> None:
    """A stall of two seconds (a lift, a hand-over): the agent hears that time passes, then every word."""
    listener = Listener()
    for index in range(3):
        listener.packet(index)
    for index in range(3, 103):
        listener.packet(index, at=12.2)
    heard = listener.heard()
    assert [frame for frame in heard if not isinstance(frame, FrameKind)] == list(range(103))
    assert STALLED in heard
    assert CONCEALED not in heard


def test_a_stalled_call_is_filled_in_real_time_and_not_for_ever() -> None:
    listener = Listener()
    listener.packet(0)
    listener.wait(1.0)
    stalled = listener.heard()[1:]
    assert 28 <= len(stalled) <= 32  # after 0.4 s, one each 20 ms
    listener.wait(20.0)
    assert listener.buffer.stalled * 0.02 <= STALL_LASTS + 0.04
    assert listener.buffer.deadline() == float("inf")


def test_a_sender_that_pauses_is_heard_as_comfort_in_real_time() -> None:
    listener = Listener()
    listener.packet(0)
    listener.buffer.insert(1001, TICKS, b"\x48", 10.02)  # Opus DTX: nothing but the first octet
    listener.now = 10.02
    listener.heard()
    listener.wait(0.4)
    filled = listener.heard()
    assert set(filled) == {COMFORT}
    assert abs(len(filled) - (0.4 - COMFORT_MARGIN) / 0.02) <= 1
    listener.buffer.insert(1002, TICKS * 22, speech(22), 10.44)
    assert listener.heard()[-1] == 22
    assert listener.buffer.comfort == 20  # what the pause lasted, whether filled before or after its end was known


def test_a_pause_and_the_words_after_it_keep_their_times() -> None:
    listener = Listener()
    listener.packet(0)
    listener.buffer.insert(1001, TICKS * 11, speech(11), 10.22)  # no packet is missing, 200 ms are
    frames = listener.buffer.ready
    assert [frame.kind for frame in frames] == [HEARD, *[COMFORT] * 10, HEARD]
    assert [frame.timestamp for frame in frames] == [TICKS * index for index in range(12)]
    assert frames[-1].captured - frames[0].captured == pytest.approx(0.22)


def test_lost_words_after_a_pause_are_concealed_where_they_belong() -> None:
    """A loss where speech begins: the pause comes first, then what is missing, so FEC rebuilds the right frame."""
    listener = Listener()
    listener.buffer.insert(1000, 0, b"\x48", 10.0)
    listener.buffer.insert(1003, TICKS * 10, speech(10), 10.2)
    listener.now = 10.2
    listener.wait(0.1)
    kinds = [frame.kind for frame in listener.buffer.ready]
    assert kinds == [HEARD, *[COMFORT] * 7, CONCEALED, CONCEALED, HEARD]
    assert listener.buffer.ready[-2].timestamp == TICKS * 9


def test_a_long_outage_is_not_filled_with_invented_speech() -> None:
    listener = Listener()
    listener.packet(0)
    listener.buffer.insert(1101, TICKS * 101, speech(101), 10.3)
    listener.now = 10.3
    listener.wait(0.1)
    assert listener.buffer.concealed == MAX_CONCEALED
    assert listener.buffer.skipped == TICKS * (100 - MAX_CONCEALED)
    assert listener.heard()[-1] == 101


def test_a_flood_with_holes_is_handed_over_before_it_fills_the_memory() -> None:
    listener = Listener(ACCURATE)
    listener.packet(0, at=10.0)
    for index in range(2, MAX_JUMP):  # the second packet never comes, a flood of others at once
        listener.packet(index, at=10.0)
        assert len(listener.buffer._held) <= MAX_HELD
    heard = [frame for frame in listener.heard() if isinstance(frame, int)]
    assert heard == [0, *range(2, MAX_JUMP)]


def test_a_sender_that_starts_anew_is_followed() -> None:
    listener = Listener()
    listener.packet(0)
    listener.packet(2)
    listener.buffer.insert(1000 + MAX_JUMP + 500, 5_000_000, speech(7), 10.06)
    assert listener.heard() == [0, CONCEALED, 2, 7]
    assert listener.buffer.restarts == 1
    listener.buffer.insert(1001 + MAX_JUMP + 500, 5_000_960, speech(8), 10.08)
    assert listener.heard() == [8]


def test_packets_without_audio_keep_the_order_and_make_no_sound() -> None:
    listener = Listener()
    listener.packet(0)
    listener.buffer.insert(1001, 0, b"", 10.02)
    listener.packet(2)
    assert listener.heard() == [0, COMFORT, 2]  # the time that the event took
    assert listener.buffer.deadline() > 10.1


def test_authentic_nonsense_is_counted_and_not_handed_over() -> None:
    listener = Listener()
    listener.packet(0)
    listener.buffer.insert(1001, TICKS, b"\x03", 10.02)  # Opus code 3 without its count
    listener.packet(2)
    assert listener.heard() == [0, COMFORT, 2]
    assert listener.buffer.malformed == 1


def test_when_something_was_said_follows_the_shortest_transit() -> None:
    """A packet that the network held back was not said later."""
    listener = Listener()
    listener.packet(0, at=10.05)
    listener.packet(1, at=10.02)
    listener.packet(2, at=10.09)
    assert [round(frame.captured, 6) for frame in listener.buffer.ready[1:]] == [10.02, 10.04]
