"""The official `@openai/agents` package in a real Chromium talks to a model behind the fleet, as an application does:
through signaling, a relay and a transceiver."""

from pathlib import Path

import pytest

from tests.support.agents_page import agents_call, interruptions
from tests.support.facts import eventually, eventually_seen
from tests.support.realtime_model import Speech, Stall, ToolCall, model_server
from tests.support.spoken_audio import speech, steady_speech
from tests.support.tiers import NODE, SPEECH

INTERRUPTIONS = 3
BLIND = 200.0
"""Milliseconds without a processor from which the page can't tell what it heard."""


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
        await call.hears_nothing(0.3)
        sounds = await call.sounds(0.3)
        stretched, _ = await call.stretched(sounds[0][0], sounds[-1][1])
        heard = sum(end - start for start, end in sounds) - stretched
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
        found = await interruptions(call, INTERRUPTIONS)
        for each in found:
            print(", ".join(f"{name} {value:.0f} ms" for name, value in each._asdict().items()))
        assert all(each.silent <= 120 + each.starved for each in found)
        audio = call.session.leg.audio
        assert audio is not None
        assert sum(each.told for each in found) == pytest.approx(audio.playout.played_ms, abs=0.01), "what was sent"
        # By the page's clock, or as far from it as its jitter buffer stretched or concealed what came, which is known
        # of a page that has a processor.
        assert all(
            min(each.clock, each.words) - 40 <= each.told <= max(each.clock, each.words) + 40
            for each in found
            if each.blind < BLIND
        )
        assert call.link.counted["own_errors"] == 0
        assert call.link.counted["discarded_deltas"] >= 1, "what came late was not played"
