"""Whether a worker takes one more call, and which worker of a pod does."""

import pytest

from voicefleet.core.transceiver.admission import AdmissionLimits, Load, Refusal, choose, explained, free, refusal

LIMITS = AdmissionLimits(calls=10)


@pytest.mark.parametrize(
    ("load", "why", "words"),
    [
        (Load(9), None, ""),
        (Load(10), Refusal.SLOTS, "all 10 slots"),
        (Load(1, cpu=0.9), Refusal.CPU, "90% busy"),
        (Load(1, clock_error=0.03), Refusal.CLOCK, "30.0 ms late"),
        (Load(1, draining=True), Refusal.DRAINING, "draining"),
        (Load(1, there=False), Refusal.GONE, "not up"),
    ],
)
def test_a_call_is_refused_for_a_reason_that_can_be_read(load: Load, why: Refusal | None, words: str) -> None:
    assert refusal(load, LIMITS) is why
    if why is not None:
        assert words in explained(why, load, LIMITS)


def test_the_worker_with_the_fewest_calls_of_those_that_would_takes_the_next() -> None:
    assert choose([Load(0, there=False), Load(3), Load(1, cpu=0.99), Load(2)], LIMITS) == 3


def test_if_no_worker_takes_it_the_refusal_is_of_the_one_that_came_closest() -> None:
    full, gone = Load(10), Load(0, there=False)
    assert choose([gone, full], LIMITS) == (Refusal.SLOTS, full)


def test_a_pod_is_full_when_its_workers_together_are() -> None:
    assert choose([Load(6), Load(3)], LIMITS) == 1 and free([Load(6), Load(3)], LIMITS) == 1
    why = choose([Load(6), Load(4)], LIMITS)
    assert why == (Refusal.SLOTS, Load(4)) and free([Load(6), Load(4)], LIMITS) == 0
    assert explained(Refusal.SLOTS, Load(4), LIMITS) == "all 10 slots are taken"


def test_a_worker_that_is_left_alone_may_have_all_calls_of_its_pod() -> None:
    assert free([Load(9), Load(0, there=False)], LIMITS) == 1


def test_nothing_is_free_where_no_worker_would_take_a_call() -> None:
    assert free([Load(1, cpu=0.99), Load(1, draining=True)], LIMITS) == 0
