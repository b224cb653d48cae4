"""Who is due when: a heap in which a deadline that moves forward is pushed again and an old one is recognised.

Deadlines that move back are left where they are: their owner is asked too early once and says when it is really due.
"""

from heapq import heappop, heappush
from itertools import count
from typing import Generic, Protocol, TypeVar

NEVER = float("inf")


class Due(Protocol):
    """Something with a deadline. `due` belongs to the schedule."""

    due: float

    def next_deadline(self) -> float:
        """When it wants to be looked after next."""
        ...


_Owner = TypeVar("_Owner", bound=Due)


class Schedule(Generic[_Owner]):
    """The deadlines of one loop."""

    __slots__ = ("_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Owner]] = []
        self._numbers = count()

    def note(self, owner: _Owner) -> None:
        """Its deadline may have come nearer."""
        due = owner.next_deadline()
        if due < owner.due:
            owner.due = due
            heappush(self._heap, (due, next(self._numbers), owner))

    def forget(self, owner: _Owner) -> None:
        """It is never due again, until it is noted again."""
        owner.due = NEVER

    def next(self) -> float:
        """When somebody is due next; too early at worst."""
        return self._heap[0][0] if self._heap else NEVER

    def pop(self, now: float) -> tuple[float, _Owner] | None:
        """Somebody who is due, and since when; to be noted again after it was looked after. None if nobody is."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, owner = heappop(heap)
            if due == owner.due:
                owner.due = NEVER
                return due, owner
        return None
