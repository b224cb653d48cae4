"""The official `@openai/agents` package in a real Chromium talks to a model behind the fleet, as an application does:
through signaling, a relay and a transceiver."""

from array import array
from pathlib import Path

import pytest

from tests.support.agents_page import agents_call
from tests.support.facts import eventually, eventually_seen
from tests.support.model_sound import tone_pcm
from tests.support.realtime_model import Speech, Stall, ToolCall, model_server
from tests.support.spoken_audio import speech
from tests.support.tiers import NODE, SPEECH

INTERRUPTIONS = 3


def steady_speech(seconds: float) -> bytes:
    """Speech over a steady tone: where it was cut off can be told to the millisecond, between words too."""
    voice, tone = array("h", speech(seconds, 24_000)), array("h", tone_pcm(seconds))
    return array("h", (one // 2 + other // 4 for one, other in zip(voice, tone, strict=True))).tobytes()


@pytest.mark.needs(SPEECH, NODE)
async def test_a_page_talks_to_the_model_uses_its_tool_and_survives_the_loss_of_the_model(tmp_path: Path) -> None:
    answer = Speech(speech(3.0, 24_000), "booked in Köln")
    replies = (ToolCall("book", '{"where": "Köln"}'), answer, Speech(steady_speech(8.0), lose_after=30), answer)
    async with model_server(*replies) as model, agents_call(tmp_path, model) as call:
        await call.says_something()
        await call.told("output_audio_buffer.stopped")
        assert await call.page.evaluate("() => window.page.calls") == [{"where": "Köln"}]
        (first,) = model.conversations
        outputs = [item for item in first.items.values() if item["type"] == "function_call_output"]
        assert [item["output"] for item in outputs] == ['{"booked":"Köln"}']
        heard = await call.heard()
        assert heard == pytest.approx(3.0, abs=0.4), "all that the model said, less its pauses"
        history = await call.page.evaluate("() => JSON.stringify(window.page.session.history)")
        assert "booked in Köln" in history

        await call.says_something()
        assert (await call.told("voicefleet.model_connection"))["state"] == "lost"
        assert (await call.told("voicefleet.model_connection", 2))["state"] == "restored"
        second = model.conversations[1]
        assert [item for item in first.items if item in second.items], "it knows what was said"
        before = await call.heard()
        await call.says_something()
        await call.told("response.output_audio_transcript.done", 2)

        async def answers() -> bool:
            return await call.heard() > before + 2.0

        await eventually_seen(answers, lambda: "the page hears the model that took over")
        assert call.session.life.cause is None and not call.problems
        await call.page.evaluate("() => window.page.session.close()")
        await eventually(lambda: call.session.life.cause is not None, "the call ends with the page's session")


@pytest.mark.needs(SPEECH, NODE)
async def test_a_page_that_interrupts_hears_silence_at_once_and_the_model_knows_what_it_heard(tmp_path: Path) -> None:
    replies = [Speech(steady_speech(20.0), late=3)] * INTERRUPTIONS
    async with model_server(*replies, Stall()) as model, agents_call(tmp_path, model) as call:
        await call.says_something()
        for number in range(1, INTERRUPTIONS + 1):
            await call.hears(number, 1.0)
            await call.says_something()
            await call.told("output_audio_buffer.cleared", number)
            await call.hears_nothing(0.3)
        (conversation,) = model.conversations
        await eventually(lambda: len(conversation.truncated) == INTERRUPTIONS, "the model is told")
        told = [end_ms for _, _, end_ms in conversation.truncated]
        played = [round((end - start) * 1000) for start, end in await call.sounds(0.2)]
        stops = []
        for silent in call.link.silent:
            onset = max(onset for onset in call.link.onsets if onset < silent)
            stops.append(round((silent - onset) * 1000))
        print(f"truncated at {told} ms, the page heard {played} ms; silent {stops} ms after the onset")
        # Once at least, however busy the machine is, on which a browser stretches what it hears.
        assert min(stops) <= 120
        assert min(abs(one - other) for one, other in zip(told, played, strict=True)) <= 40
        assert call.link.counted["own_errors"] == 0
        assert call.link.counted["discarded_deltas"] >= 1, "what came late was not played"
