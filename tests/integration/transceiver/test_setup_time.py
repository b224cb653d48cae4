"""How many round trips a call's set-up takes: counted on a path whose delay the test makes."""

import asyncio
import time

from tests.support.lean_caller import LeanCaller
from tests.support.nat import nat
from tests.support.workers import direct_worker
from voicefleet.agents.link import InlineAgent, InlineVoice
from voicefleet.core.media.frame import AudioFrame

ROUND_TRIP = 1.0
"""Seconds: so long that a slow machine's own time hardly shows."""


class _Greeter(InlineAgent):
    """Says something as soon as it can be heard."""

    def on_start(self, voice: InlineVoice) -> None:
        for _ in range(5):
            voice.say(b"\x78" + bytes(60))

    def on_audio(self, frame: AudioFrame) -> None:
        """It does not listen."""

    def on_message(self, channel: str, message: str | bytes) -> None:
        """Nor read."""


async def test_a_greeting_is_heard_two_round_trips_after_the_answer() -> None:
    async with direct_worker(agent=_Greeter) as worker:
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
