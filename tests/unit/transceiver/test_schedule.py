"""The deadlines of the media loop."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.transceiver.schedule import NEVER, Schedule


@dataclass(eq=False)
class Call:
    wants: float
    due: float = NEVER

    def next_deadline(self) -> float:
        return self.wants


def test_calls_are_looked_after_in_the_order_of_their_deadlines() -> None:
    schedule: Schedule[Call] = Schedule()
    late, early = Call(2.0), Call(1.0)
    for call in (late, early):
        schedule.note(call)
    assert schedule.next() == 1.0 and schedule.pop(0.9) is None
    assert schedule.pop(5.0) == (1.0, early) and schedule.pop(5.0) == (2.0, late) and schedule.pop(5.0) is None


def test_a_deadline_that_comes_nearer_counts_and_one_that_moves_back_is_asked_again() -> None:
    schedule: Schedule[Call] = Schedule()
    call = Call(2.0)
    schedule.note(call)
    call.wants = 1.0
    schedule.note(call)
    assert schedule.pop(1.5) == (1.0, call)
    call.wants = 3.0
    schedule.note(call)
    assert schedule.pop(2.5) is None and schedule.pop(3.0) == (3.0, call)


def test_what_is_forgotten_is_never_due() -> None:
    schedule: Schedule[Call] = Schedule()
    call = Call(1.0)
    schedule.note(call)
    schedule.forget(call)
    assert schedule.pop(9.0) is None and schedule.next() == NEVER


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 10)), max_size=60), st.floats(0, 10))
def test_whatever_moves_nobody_who_is_due_is_left_out_and_nobody_comes_before_the_time(
    moves: list[tuple[int, float]], now: float
) -> None:
    schedule: Schedule[Call] = Schedule()
    calls = [Call(NEVER) for _ in range(4)]
    noted: dict[int, float] = {}
    for number, wants in moves:
        calls[number].wants = wants
        schedule.note(calls[number])
        noted[number] = min(noted.get(number, NEVER), wants)
    popped = []
    while (each := schedule.pop(now)) is not None:
        popped.append(calls.index(each[1]))
        assert each[0] <= now
    assert sorted(popped) == sorted(number for number, due in noted.items() if due <= now)
