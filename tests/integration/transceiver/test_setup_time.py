"""How many round trips a call's set-up takes: counted on a path whose delay the test makes."""

import asyncio
import time

from tests.support.greeter import Greeter
from tests.support.lean_caller import LeanCaller
from tests.support.nat import nat
from tests.support.workers import direct_worker

ROUND_TRIP = 1.0
"""Seconds: so long that a slow machine's own time hardly shows."""


async def test_a_greeting_is_heard_two_round_trips_after_the_answer() -> None:
    async with direct_worker(agent=Greeter) as worker:
        direct = worker.direct
        assert direct is not None
        async with nat(f"{direct.address}:{direct.port}") as box:
            box.delay = ROUND_TRIP / 2
            caller = LeanCaller(worker)
            await caller.open(box.address)
            try:
                answered = time.monotonic()
                caller.send(caller.binding_request())
                async with asyncio.timeout(10 * ROUND_TRIP):
                    while caller.first_audio is None:  # noqa: ASYNC110 - a datagram has no event here
                        await asyncio.sleep(0.01)
                assert 2.0 <= (caller.first_audio - answered) / ROUND_TRIP <= 2.3
            finally:
                caller.close()
