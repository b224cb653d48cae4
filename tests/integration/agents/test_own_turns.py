"""Our own detector decides whose turn it is, and the model, which has no turn detection, is told."""

import pytest

from tests.support.facts import eventually
from tests.support.model_call import model_call
from tests.support.model_sound import melody, spans, tone_pcm
from tests.support.realtime_model import Speech, Stall, model_server
from tests.support.tone import buzz

OURS = {"own_turns": True}


@pytest.mark.parametrize("codec", [None, "PCMU"])
async def test_a_model_without_turn_detection_hears_turns_and_answers_them(codec: str | None) -> None:
    async with model_server(Speech(melody(1))) as model, model_call(model, plan=OURS, codec=codec) as call:
        call.caller.says = buzz
        created = await call.told("session.created")
        assert created["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad", "as the client has it"
        (conversation,) = model.conversations
        assert conversation.session["audio"]["input"]["turn_detection"] is None
        assert not conversation.heard, "of silence it hears nothing"
        await call.says_something()
        await call.told("output_audio_buffer.stopped")
        kinds = [event["type"] for event in conversation.received]
        assert kinds == ["session.update", "input_audio_buffer.commit", "response.create"]
        order = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "response.created"]
        assert [kind for kind in call.kinds() if kind in order] == order
        started, stopped = call.of(order[0])[0], call.of(order[1])[0]
        assert started["item_id"] == stopped["item_id"]
        octets = 48 if codec is None else 8
        heard, turn = len(conversation.heard) / octets, stopped["audio_end_ms"] - started["audio_start_ms"]
        assert turn <= heard <= turn + 1500, "the turn, and the silence in which it was seen to be over"


async def test_a_caller_who_speaks_over_the_model_is_heard_by_our_ear() -> None:
    async with model_server(Speech(tone_pcm(20.0)), Stall()) as model, model_call(model, plan=OURS) as call:
        call.caller.says = buzz
        await call.says_something()
        await eventually(lambda: len(spans(call.caller.heard[-48000:], 48000)) == 1, "the model is heard")
        await call.says_something()
        await call.told("output_audio_buffer.cleared")
        (conversation,) = model.conversations
        await eventually(lambda: conversation.cancels == 1 and len(conversation.truncated) == 1, "the model is told")
        await eventually(lambda: conversation.received[-1]["type"] == "response.create", "and asked for an answer")
        assert call.link.counted["own_errors"] == 0


async def test_the_client_changes_the_rules_of_turns_and_may_decide_by_itself() -> None:
    async with model_server(Speech(melody(1))) as model, model_call(model, plan=OURS) as call:
        call.caller.says = buzz
        await call.told("session.created")
        (conversation,) = model.conversations

        def detect(value: object, event_id: str) -> None:
            session = {"type": "realtime", "audio": {"input": {"turn_detection": value}}}
            call.send("session.update", event_id=event_id, session=session)

        detect({"type": "by_magic"}, "e1")
        error = (await call.told("error"))["error"]
        assert error["event_id"] == "e1" and "turn_detection" in error["param"]
        detect({"type": "semantic_vad", "eagerness": "high"}, "e2")
        told = (await call.told("session.updated"))["session"]["audio"]["input"]["turn_detection"]
        assert (told["type"], told["eagerness"]) == ("semantic_vad", "high")
        detect(None, "e3")
        assert (await call.told("session.updated", 2))["session"]["audio"]["input"]["turn_detection"] is None
        assert conversation.session["audio"]["input"]["turn_detection"] is None
        before = call.caller.spoken
        call.caller.speaks = True
        await eventually(lambda: call.caller.spoken - before > 0.5 and len(conversation.heard) > 24_000, "all is heard")
        call.send("input_audio_buffer.commit")
        call.send("response.create")
        await call.told("output_audio_buffer.started")
        assert not call.of("input_audio_buffer.speech_started")
