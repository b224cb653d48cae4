"""Objects are looked at one at a time, again when something happened meanwhile, and later and later while they fail."""

import asyncio

import pytest

from voicefleet_operator.reconcile.work_queue import LAST_RETRY, WorkQueue

A, B = ("RelayPool", "voice", "a"), ("RelayPool", "voice", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def _nothing(queue: WorkQueue) -> bool:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.get()
    return True


async def test_what_is_added_twice_is_looked_at_once() -> None:
    queue = WorkQueue(Clock())
    queue.add(A)
    queue.add(A)
    assert await queue.get() == A
    queue.done(A)
    assert await _nothing(queue)


async def test_what_happens_during_a_look_is_looked_at_after_it() -> None:
    queue = WorkQueue(Clock())
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    assert await _nothing(queue), "never two looks at one object at a time"
    queue.done(A)
    assert await queue.get() == A


async def test_the_earliest_of_several_times_counts() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    queue.add(A, 10.0)
    queue.add(A, 5.0)
    queue.add(A, 20.0)
    assert await _nothing(queue)
    clock.now = 5.0
    assert await queue.get() == A
    queue.done(A)
    clock.now = 30.0
    assert await _nothing(queue)


async def test_one_that_is_waited_for_comes_when_it_is_added() -> None:
    queue = WorkQueue(Clock())
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add(B)
    assert await asyncio.wait_for(waiting, 30.0) == B


async def test_failures_wait_longer_each_time_until_one_succeeds() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    waits = []
    for _ in range(12):
        queue.failed(A)
        begin = clock.now
        while True:
            clock.now += 0.1
            try:
                async with asyncio.timeout(0.005):
                    await queue.get()
                break
            except TimeoutError:
                continue
        queue.done(A)
        waits.append(clock.now - begin)
        if waits[-1] > LAST_RETRY * 0.9:
            break
    assert waits == sorted(waits) and waits[0] < 0.5 and waits[-1] <= LAST_RETRY + 0.2
    queue.succeeded(A)
    queue.failed(A)
    clock.now += 0.5
    assert await queue.get() == A


async def test_an_event_during_a_back_off_is_looked_at_at_once() -> None:
    queue = WorkQueue(Clock())
    for _ in range(8):
        queue.failed(A)
    queue.add(A)
    assert await queue.get() == A


async def test_who_no_longer_leads_has_nothing_to_do() -> None:
    queue = WorkQueue(Clock())
    queue.add(A)
    queue.add(B, 1.0)
    queue.clear()
    assert await _nothing(queue) and len(queue) == 0
