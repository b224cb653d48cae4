"""Sequence numbers and timestamps keep their order when they wrap."""

from voicefleet.wire.sequence import (
    extend_sequence,
    extend_timestamp,
    sequence_distance,
    timestamp_distance,
)


def test_a_distance_goes_the_shorter_way_round() -> None:
    assert sequence_distance(2, since=0xFFFE) == 4
    assert sequence_distance(0xFFFE, since=2) == -4
    assert timestamp_distance(960, since=(1 << 32) - 960) == 1920
    assert sequence_distance(0x7FFF, since=0) == 0x7FFF
    assert sequence_distance(0x8000, since=0) == sequence_distance(0, since=0x8000) == -0x8000
    assert timestamp_distance(1 << 31, since=0) == timestamp_distance(0, since=1 << 31) == -(1 << 31)


def test_a_call_of_many_hours_has_one_rising_index() -> None:
    index, highest = 65530, 65530
    for step in range(1, 200_000, 7):
        highest = max(highest, extend_sequence((index + step) & 0xFFFF, near=highest))
        assert highest == index + step


def test_a_late_packet_from_before_the_wrap_gets_its_old_index() -> None:
    assert extend_sequence(0xFFFF, near=0x2_0003) == 0x1_FFFF
    assert extend_timestamp(0xFFFFFFFF, near=0x2_0000_0003) == 0x1_FFFF_FFFF


def test_a_packet_from_before_the_first_has_a_lower_index_than_it() -> None:
    assert extend_sequence(0xFFFF, near=0) == -1
