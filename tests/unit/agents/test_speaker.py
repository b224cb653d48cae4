"""The way out of what a model says, on a call whose media takes a moment to fall silent."""

import asyncio

from voicefleet.agents.realtime.speaker import MOST_WAITING, Speaker
from voicefleet.core.media.pacing import Flushed
from voicefleet.core.model.playback import Cut, Passed, Phase, Spoken


class SlowVoice:
    """Falls silent when the test says so, after 180 ms were heard."""

    def __init__(self) -> None:
        self.queued_ms = 0.0
        self.silent = asyncio.Event()

    def say(self, audio: bytes) -> bool:
        self.queued_ms += len(audio) / 48
        return True

    def finish(self) -> None:
        pass

    async def hush(self) -> Flushed:
        dropped, self.queued_ms = self.queued_ms - 180.0, 0.0
        await self.silent.wait()
        return Flushed(180.0, dropped)


async def test_a_model_that_ends_its_response_while_it_is_silenced_still_learns_what_was_heard() -> None:
    passed: list[Passed] = []
    voice = SlowVoice()
    speaker = Speaker(voice, 48, b"", passed.append)  # type: ignore[arg-type]
    spoken = Spoken("resp_1", "item_1", 0)
    speaker.ready()
    speaker.say(spoken, bytes(48 * 2500))
    cut = asyncio.ensure_future(speaker.cut())
    await asyncio.sleep(0)
    speaker.finish("resp_1")  # its response.done, as cancelled
    voice.silent.set()
    assert await cut == [Cut(spoken, 180)]
    assert passed[-1] == Passed(Phase.CLEARED, "resp_1")
    assert Phase.STOPPED not in [each.phase for each in passed], "it was not heard to its end"
    speaker.stop()


async def test_a_speaker_is_full_when_more_waits_than_may_and_only_then() -> None:
    speaker = Speaker(SlowVoice(), 48, b"", lambda _passed: None)  # type: ignore[arg-type]
    spoken = Spoken("resp_1", "item_1", 0)
    speaker.say(spoken, bytes(int(48 * MOST_WAITING)))
    assert not speaker.full
    speaker.say(spoken, bytes(48 * 20))
    assert speaker.full
    speaker.ready()
    assert not speaker.full, "the call has taken it"
    speaker.stop()
