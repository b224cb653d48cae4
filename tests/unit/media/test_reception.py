"""Reception statistics are those of RFC 3550, and sequence numbers come out without a wrap."""

import pytest

from voicefleet.core.media.reception import Reception


def receive(reception: Reception, *numbers: int) -> list[int]:
    return [reception.update(number & 0xFFFF, number * 960 & 0xFFFFFFFF, number * 0.02) for number in numbers]


def test_sequence_numbers_go_on_over_the_wrap_and_stragglers_from_before_it_keep_their_place() -> None:
    reception = Reception(48_000)
    numbers = receive(reception, 65534, 65536, 65535, 65537)
    assert [number - numbers[0] for number in numbers] == [0, 2, 1, 3]
    assert reception.lost == 0
    assert reception.interval().highest == 65537


def test_a_packet_from_before_the_first_one_has_a_place_before_it() -> None:
    reception = Reception(48_000)
    first, earlier = receive(reception, 0, 65535)
    assert earlier == first - 1


def test_loss_is_told_by_interval_and_over_all() -> None:
    reception = Reception(48_000)
    receive(reception, *(number for number in range(100) if number % 10 != 3))
    first = reception.interval()
    assert first.fraction == pytest.approx(0.1)
    receive(reception, *range(100, 150))
    second = reception.interval()
    assert (second.fraction, second.cumulative) == (0.0, 10)


def test_a_retransmission_does_not_hide_the_loss() -> None:
    reception = Reception(48_000)
    receive(reception, 0, 1, 3, 2)
    reception.retransmitted()
    assert reception.lost == 1


def test_jitter_is_the_smoothed_difference_of_spacings() -> None:
    reception = Reception(48_000)
    expected, previous = 0.0, 0.0
    for number in range(200):
        late = 0.01 if number % 2 else 0.0
        reception.update(number, number * 960, number * 0.02 + late)
        if number:
            expected += (abs(late - previous) - expected) / 16
        previous = late
    assert reception.jitter == pytest.approx(expected)
    assert reception.interval().jitter == round(expected * 48_000)


def test_a_steady_stream_has_no_jitter_though_its_timestamps_wrap() -> None:
    reception = Reception(48_000)
    for number in range(100):
        reception.update(number, (0xFFFFFFFF - 40_000 + number * 960) & 0xFFFFFFFF, number * 0.02)
    assert reception.jitter == pytest.approx(0.0, abs=1e-9)


def test_one_stray_packet_changes_nothing_and_two_that_follow_each_other_are_a_new_beginning() -> None:
    reception = Reception(48_000)
    receive(reception, 10, 11)
    assert reception.update(30_000, 0, 1.0) == -1
    assert receive(reception, 12)[0] == reception.highest
    assert reception.lost == 0
    assert reception.update(40_000, 0, 1.0) == -1
    begun = reception.update(40_001, 960, 1.02)
    assert begun & 0xFFFF == 40_001
    assert begun - 12 > 0xFFFF
    assert reception.restarts == 1
    assert reception.interval().highest == 40_001
