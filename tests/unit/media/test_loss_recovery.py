"""What is missing is asked for at once, again after a round trip, and not where asking is of no use."""

import pytest

from voicefleet.core.media.loss_recovery import HOPELESS_AFTER, MAX_ATTEMPTS, MAX_WANTED, LossRecovery
from voicefleet.core.media.patience import ACCURATE, CONVERSATIONAL, FLOOR, Outlook, patience

RTT = 0.08


def test_a_loss_is_asked_for_at_once_then_once_a_round_trip_until_it_is_given_up() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 7, 1.0)
    asked = []
    now = 1.0
    while now < 2.0 and recovery.deadline() < 2.0:
        now = recovery.deadline()
        asked += [(round(now - 1.0, 3), recovery.due(now, RTT, ACCURATE.limit))]
    assert [numbers for _, numbers in asked] == [[5, 6]] * 3 + [[]]
    first, second, third = (at for at, _ in asked[:3])
    assert first == 0.0
    assert second - first > RTT
    assert third + RTT <= ACCURATE.limit


def test_nothing_is_asked_for_that_could_not_come_in_time() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 6, 1.0)
    assert recovery.due(1.0, RTT, 0.06) == []
    assert recovery.deadline() == float("inf")


def test_a_path_of_no_length_is_not_flooded_with_requests() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 6, 1.0)
    asked, now = 0, 1.0
    while recovery.deadline() < 2.0:
        now = recovery.deadline()
        asked += len(recovery.due(now, 0.0, 0.3))
    assert asked == MAX_ATTEMPTS


def test_a_retransmission_tells_the_round_trip() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 6, 1.0)
    recovery.due(1.0, None, 0.3)
    assert recovery.arrived(5, 1.09, None)
    assert recovery.round_trip_sample == pytest.approx(0.09)
    assert recovery.retransmitted == 1


def test_the_answer_to_one_of_several_requests_tells_no_round_trip() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 6, 1.0)
    recovery.due(1.0, RTT, 0.3)
    recovery.due(1.1, RTT, 0.3)
    assert recovery.arrived(5, 1.12, RTT)
    assert recovery.round_trip_sample is None


def test_where_packets_overtake_each_other_asking_waits_a_little() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 6, 1.0)
    assert not recovery.arrived(5, 1.012, RTT)
    assert recovery.reordering == pytest.approx(0.012)
    recovery.missing(8, 9, 1.1)
    assert recovery.due(1.105, RTT, 0.3) == []
    assert recovery.due(1.113, RTT, 0.3) == [8]
    recovery.forget_before(20)
    for _ in range(60):
        recovery.fade()
    recovery.missing(20, 21, 3.0)
    assert recovery.due(3.0, RTT, 0.3) == [20]


def test_a_packet_that_came_too_late_teaches_how_late_packets_come() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 6, 1.0)
    recovery.forget_before(8)
    assert not recovery.arrived(5, 1.045, RTT)
    assert recovery.reordering == pytest.approx(0.045)


def test_a_peer_that_never_answers_is_seen_through_and_one_answer_restores_the_trust() -> None:
    recovery = LossRecovery()
    now = 1.0
    for number in range(HOPELESS_AFTER):
        assert recovery.answered
        recovery.missing(number, number + 1, now)
        recovery.due(now, RTT, 0.3)
        recovery.forget_before(number + 1)
        now += 0.5
    assert not recovery.answered
    recovery.missing(100, 101, now)
    assert recovery.due(now, RTT, 0.3) == [100]  # asking costs little, so it goes on
    recovery.arrived(100, now + RTT, RTT)
    assert recovery.answered


def test_what_redundancy_brought_is_not_asked_for() -> None:
    recovery = LossRecovery()
    recovery.missing(5, 7, 1.0)
    recovery.found(5)
    assert recovery.due(1.0, RTT, 0.3) == [6]


def test_an_outage_does_not_make_an_endless_list() -> None:
    recovery = LossRecovery()
    recovery.missing(0, 60_000, 1.0)
    asked = recovery.due(1.0, RTT, 0.3)
    assert asked == list(range(60_000 - MAX_WANTED, 60_000))


def test_conversation_waits_for_a_round_trip_only_where_it_fits() -> None:
    near = patience(CONVERSATIONAL, Outlook(reordering=0.0, retransmits=True, round_trip=0.03))
    far = patience(CONVERSATIONAL, Outlook(reordering=0.0, retransmits=True, round_trip=0.08))
    assert near == CONVERSATIONAL.limit
    assert far == FLOOR


def test_accuracy_waits_for_several_attempts_but_not_for_a_peer_that_never_answers() -> None:
    assert patience(ACCURATE, Outlook(0.0, retransmits=True, round_trip=0.08)) == ACCURATE.limit
    assert patience(ACCURATE, Outlook(0.0, retransmits=True, round_trip=None)) == ACCURATE.limit
    assert patience(ACCURATE, Outlook(0.0, retransmits=False, round_trip=0.08)) == FLOOR
    assert patience(ACCURATE, Outlook(0.0, retransmits=True, round_trip=0.5)) == FLOOR


def test_no_path_makes_a_profile_wait_longer_than_it_says() -> None:
    for profile in (CONVERSATIONAL, ACCURATE):
        for reordering in (0.0, 0.05, 0.3, 5.0):
            for round_trip in (None, 0.0, 0.05, 0.29, 3.0):
                for retransmits in (True, False):
                    wait = patience(profile, Outlook(reordering, retransmits, round_trip, 0.02))
                    assert FLOOR <= wait <= profile.limit
