"""A caller talks to a model server over the Realtime protocol: what is said, what is told, and how it ends."""

import asyncio
import json
from array import array
from http import HTTPStatus

import pytest

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.model_call import model_call
from tests.support.model_sound import melody, pitch, spans, tone_pcm
from tests.support.realtime_model import Fail, Speech, Stall, ToolCall, model_server
from tests.support.tone import buzz, share_of_tone
from voicefleet.core.model.endpoints import Limits


@pytest.mark.parametrize("codec", [None, "PCMU", "PCMA"])
async def test_a_caller_is_heard_by_the_model_and_hears_all_it_says_in_order(codec: str | None) -> None:
    async with model_server(Speech(melody(4))) as model, model_call(model, codec=codec) as call:
        await call.told("session.created")
        await call.says_something()
        await call.told("output_audio_buffer.stopped")
        conversation = model.conversations[0]
        rate = 24_000 if codec is None else 8_000
        assert (call.session.leg.port is None) == (codec is not None), "G.711 is not decoded"
        heard = array("h", conversation.pcm())
        assert any(
            share_of_tone(heard[at : at + rate // 10], call.caller.frequency, rate) > 0.9
            for at in range(0, len(heard) - rate // 10, rate // 10)
        ), "the model hears the caller"
        listening = call.caller.rate
        await eventually(lambda: not spans(call.caller.heard[-listening // 10 :], listening), "all was heard")
        found = spans(call.caller.heard, listening, gap=0.02)
        assert len(found) == 1, f"gaps: {found}"
        start, end = found[0]
        assert end - start == pytest.approx(4.0, abs=0.06)
        middles = [
            call.caller.heard[int((start + second + 0.4) * listening) :][: listening // 10] for second in range(4)
        ]
        tones = (500.0, 700.0, 900.0, 1100.0)
        assert [pitch(middle, tones, listening) for middle in middles] == list(tones)


async def test_the_client_is_told_what_the_real_service_tells_a_webrtc_client_and_no_sound() -> None:
    async with model_server(Speech(melody(1), transcript="one two")) as model, model_call(model) as call:
        await call.says_something()
        await call.told("output_audio_buffer.stopped")
        kinds = call.kinds()
        assert kinds[0] == "session.created" and kinds.count("session.created") == 1
        assert "response.output_audio.delta" not in kinds
        order = [
            *("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.created"),
            *("output_audio_buffer.started", "output_audio_buffer.stopped"),
        ]
        assert [kind for kind in kinds if kind in order] == order
        started, done = call.of("output_audio_buffer.started")[0], call.of("response.done")[0]
        assert started["response_id"] == done["response"]["id"] and isinstance(started["event_id"], str)
        assert call.of("response.output_audio_transcript.done")[0]["transcript"] == "one two"
        assert model.requests[0].query["model"] == "test-model"
        assert model.requests[0].headers["Authorization"] == "Bearer a-key"


async def test_the_model_is_connected_while_the_callers_network_is_still_being_set_up() -> None:
    async with model_server(Stall()) as model, model_call(model, answered=False) as call:
        await eventually(lambda: bool(model.conversations), "the model was called before the client had its answer")
        record = await call.session.look()
        assert record.dtls_done is None and record.first_check is None


async def test_a_session_is_what_the_call_asked_for_and_the_client_changes_it() -> None:
    config = {"type": "realtime", "model": "better", "instructions": "Be brief."}
    async with model_server(Stall()) as model, model_call(model, config=config) as call:
        created = await call.told("session.created")
        assert created["session"]["instructions"] == "Be brief." and model.requests[0].query["model"] == "better"
        call.send("session.update", event_id="e1", session={"type": "realtime", "instructions": "Sing."})
        updated = await call.told("session.updated")
        assert updated["session"]["instructions"] == "Sing."
        assert len(call.of("session.updated")) == 1, "of our own update it is told nothing"


async def test_a_transcription_session_is_opened_as_one() -> None:
    config = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    async with model_server(Stall()) as model, model_call(model, config=config) as call:
        await call.told("session.created")
        assert model.requests[0].query == {"intent": "transcription"}
        await call.says_something()
        await call.told("conversation.item.input_audio_transcription.completed")


async def test_tools_are_called_and_their_output_goes_back_untouched() -> None:
    arguments = '{"where": "Köln", "when": [1, 2]}'
    async with model_server(ToolCall("book", arguments), Speech(melody(1))) as model, model_call(model) as call:
        await call.says_something()
        done = await call.told("response.function_call_arguments.done")
        assert done["arguments"] == arguments and done["name"] == "book"
        item = {"type": "function_call_output", "call_id": done["call_id"], "output": '{"ok": "ja, für zwei"}'}
        call.send("conversation.item.create", item=item)
        call.send("response.create")
        await call.told("output_audio_buffer.stopped")
        asked = [event for event in model.conversations[0].received if event["type"] == "conversation.item.create"]
        assert asked == [{"type": "conversation.item.create", "item": item}]


async def test_what_a_client_may_not_say_is_answered_with_its_event_id_and_reaches_no_model() -> None:
    async with model_server(Fail("out of order")) as model, model_call(model) as call:
        await call.told("session.created")
        call.send("session.explode", event_id="e7")
        assert (await call.told("error"))["error"]["event_id"] == "e7"
        call.send("input_audio_buffer.append", event_id="e8", audio="AAAA")
        assert (await call.told("error", 2))["error"]["event_id"] == "e8"
        call.send("response.cancel", event_id="e9")
        error = (await call.told("error", 3))["error"]
        assert (error["event_id"], error["code"]) == ("e9", "response_cancel_not_active")
        call.send("response.create")
        assert (await call.told("error", 4))["error"]["message"] == "out of order"
        assert [event["type"] for event in model.conversations[0].received] == [
            "session.update",
            "response.cancel",
            "response.create",
        ]


async def test_a_caller_who_speaks_over_the_model_silences_it_and_it_knows_what_was_heard() -> None:
    speech = Speech(tone_pcm(20.0), late=5)
    async with model_server(speech, Stall()) as model, model_call(model) as call:
        await call.says_something()
        await eventually(lambda: len(spans(call.caller.heard[-48000:], 48000)) == 1, "the model is heard")
        await call.says_something()
        await call.told("output_audio_buffer.cleared")
        conversation = model.conversations[0]
        await eventually(lambda: bool(conversation.truncated), "the model is told")
        await call.told("conversation.item.truncated")
        await eventually(lambda: len(spans(call.caller.heard[-48000:], 48000)) == 0, "silence")
        ((start, end),) = spans(call.caller.heard, 48000)
        ((item, content, heard_ms),) = conversation.truncated
        assert item in conversation.said and content == 0
        assert heard_ms == pytest.approx((end - start) * 1000, abs=40), "what the caller heard, to a frame or two"
        assert call.link.counted["discarded_deltas"] >= 1 and call.session.queued_ms == 0
        assert call.link.counted["own_errors"] == 0


async def test_our_own_ear_hears_an_interruption_that_the_model_does_not() -> None:
    async with (
        model_server(Speech(tone_pcm(20.0)), Stall()) as model,
        model_call(model, plan={"own_ear": True}) as call,
    ):
        await call.says_something()
        await eventually(lambda: len(spans(call.caller.heard[-48000:], 48000)) == 1, "the model is heard")
        (conversation,) = model.conversations
        conversation.deaf = True
        call.caller.says = buzz
        call.caller.speaks = True
        await call.told("output_audio_buffer.cleared")
        await eventually(lambda: conversation.cancels == 1 and len(conversation.truncated) == 1, "the model is told")
        assert (await call.told("response.done"))["response"]["status"] == "cancelled"
        assert call.link.counted["interrupted"] == 1 and call.session.queued_ms == 0
        assert len(call.of("input_audio_buffer.speech_started")) == 1, "of the first turn"


async def test_a_client_that_clears_the_output_hears_no_more_of_the_response() -> None:
    async with model_server(Speech(tone_pcm(20.0), pace=2.0)) as model, model_call(model) as call:
        await call.told("session.created")
        call.send("response.create")
        await call.told("output_audio_buffer.started")
        call.send("response.cancel")
        call.send("output_audio_buffer.clear")
        await call.told("output_audio_buffer.cleared")
        await call.told("response.done")
        await eventually(lambda: len(model.conversations[0].truncated) == 1, "the model knows what was heard")
        assert call.of("response.done")[0]["response"]["status"] == "cancelled" and not call.of("error")


async def test_a_model_that_is_lost_is_replaced_and_told_the_conversation() -> None:
    replies = (Speech(melody(1), "first answer"), Speech(melody(8), lose_after=20), Speech(melody(1), "third answer"))
    config = {"type": "realtime", "instructions": "Be brief.", "audio": {"input": {"transcription": {"model": "w"}}}}
    async with model_server(*replies) as model, model_call(model, config=config) as call:
        await call.says_something()
        await call.told("output_audio_buffer.stopped")
        call.send("session.update", session={"type": "realtime", "instructions": "Be kind."})
        await call.told("session.updated")
        known = list(model.conversations[0].items)
        await call.says_something()
        lost = await call.told("voicefleet.model_connection")
        assert lost["state"] == "lost"
        assert call.of("response.done")[1]["response"]["status"] == "failed", "nobody waits for what will not come"
        restored = await call.told("voicefleet.model_connection", 2)
        assert restored["state"] == "restored"
        again = model.conversations[1]
        assert again.session["instructions"] == "Be kind."
        assert [item for item in again.items if item in known] == known, "the same items in the same order"
        texts = [part["text"] for item in again.items.values() for part in item.get("content", ()) if "text" in part]
        assert "first answer" in texts and any(text.startswith("what item_") for text in texts)
        before = call.kinds().count("conversation.item.added")
        await call.says_something()
        assert "third answer" in str(await call.told("response.output_audio_transcript.done", 2))
        await call.told("output_audio_buffer.stopped", 2)  # what was left of the second answer was spoken over
        assert call.kinds().count("conversation.item.added") == before + 2, "of what was told again it hears nothing"
        assert call.kinds().count("session.created") == 1


async def test_another_model_is_used_when_the_first_is_full_or_gone() -> None:
    async with model_server(Stall()) as full, model_server(Speech(melody(1))) as free:
        full.refusals.append((HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "60"}))
        async with model_call("ws://127.0.0.1:9/v1/realtime", full, free) as call:
            await call.says_something()
            await call.told("output_audio_buffer.stopped")
            assert full.refused == 1 and len(free.conversations) == 1 and not full.conversations


async def test_a_caller_for_whom_no_model_is_free_is_told_so_before_the_call_ends() -> None:
    async with model_server(Stall()) as model:
        model.refusals.extend([(HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "120"})] * 3)
        async with model_call(model) as call:
            error = (await call.told("error"))["error"]
            assert error["code"] == "no_model_available" and "503" in error["message"]
            goodbye = await call.told("voicefleet.goodbye")
            assert "no model" in goodbye["reason"].lower()
            await call.caller.reaches("closed")
            assert model.refused == 1, "it was left alone for as long as it asked"


async def test_places_at_a_model_are_limited_and_given_back() -> None:
    async with model_server(Stall()) as model, model_call(model, plan={"limits": Limits(calls=1)}) as first:
        await first.told("session.created")
        (endpoint,) = first.models.endpoints.all
        assert endpoint.calls == 1
        (figures,) = first.models.figures().values()
        assert (figures["connected"], figures["calls"], figures["well"]) == (1, 1, 1) and figures["seconds"] > 0
        async with aiortc_caller() as second:
            created = first.worker.create(await second.offer(), {"type": "realtime"}, [])
            await second.answer(created.answer)
            error = json.loads(await asyncio.wait_for(second.messages.get(), DEADLINE))["error"]
            assert first.models.refused == 1
            assert error["code"] == "no_model_available" and "all 1 places are taken" in error["message"]
        await first.caller.close()
        await eventually(lambda: endpoint.calls == 0, "the place is free again")
