from typing import Any

import pytest

from tests.support.realtime_types import validated
from voicefleet.core.realtime.ids import Ids
from voicefleet.core.realtime.server_events import session_created, session_updated, stamped
from voicefleet.core.realtime.session import audio_format, begun, turn_detection, updated
from voicefleet.core.realtime.shape import ShapeError

IDS = Ids(lambda octets: "5" * 2 * octets)
AGENTS_PACKAGE: dict[str, Any] = {
    "type": "realtime",
    "instructions": "Be brief.",
    "model": "gpt-realtime-2",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "noise_reduction": None,
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "semantic_vad"},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1},
    },
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "tracing": "auto",
}
"""What `@openai/agents` sends first."""


def session(**asked: Any) -> dict[str, Any]:
    return begun(asked, "sess_1", 1_800_000_000)


def heard(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
def test_a_session_begins_with_every_field_that_the_official_types_know(kind: str) -> None:
    begins = session(type=kind)
    validated(stamped(session_created(begins), IDS))
    detection = turn_detection(begins)
    assert detection is not None and detection["type"] == "server_vad" and detection["silence_duration_ms"] == 500
    assert begins["id"] == "sess_1" and begins["expires_at"] > 1_800_000_000


def test_what_the_agents_package_sends_first_is_taken_and_told_back_whole() -> None:
    after = updated(session(model="ours"), AGENTS_PACKAGE)
    validated(stamped(session_updated(after), IDS))
    assert after["model"] == "ours"
    assert after["tools"] == AGENTS_PACKAGE["tools"] and after["tracing"] == "auto"
    assert after["audio"]["output"]["voice"] == "alloy"
    assert turn_detection(after) == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_an_update_of_one_field_leaves_all_others() -> None:
    before = updated(session(), AGENTS_PACKAGE)
    after = updated(before, {"type": "realtime", "tracing": None})
    assert after == before | {"tracing": None}


def test_a_threshold_changes_alone_and_another_kind_of_detection_begins_with_its_own_defaults() -> None:
    one = updated(session(), heard(turn_detection={"type": "server_vad", "silence_duration_ms": 900}))
    two = updated(one, heard(turn_detection={"threshold": 0.8}))
    told = turn_detection(two)
    assert told is not None and (told["silence_duration_ms"], told["threshold"]) == (900, 0.8)
    three = updated(two, heard(turn_detection={"type": "semantic_vad", "eagerness": "low"}))
    assert turn_detection(three) == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }


def test_push_to_talk_is_a_turn_detection_of_null_and_can_be_left_again() -> None:
    quiet = updated(session(), heard(turn_detection=None))
    assert turn_detection(quiet) is None
    again = turn_detection(updated(quiet, heard(turn_detection={"silence_duration_ms": 200})))
    assert again is not None and (again["type"], again["silence_duration_ms"]) == ("server_vad", 200)


def test_the_format_of_a_telephone_can_be_asked_for_each_way() -> None:
    after = updated(session(), {"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    assert audio_format(after, "input") == "audio/pcmu" and audio_format(after, "output") == "audio/pcm"
    assert audio_format(session(type="transcription"), "output") == "audio/pcm"


def test_what_a_client_was_told_it_may_send_back() -> None:
    before = session()
    assert updated(before, before) == before


@pytest.mark.parametrize(
    ("update", "param"),
    [
        ({"typo": 1}, "session.typo"),
        ({"instructions": 7}, "session.instructions"),
        ({"type": "transcription"}, "session.type"),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"output_modalities": ["smell"]}, "session.output_modalities[0]"),
        (heard(format={"type": "audio/mp3"}), "session.audio.input.format.type"),
        (heard(format={"type": "audio/pcm", "rate": 16000}), "session.audio.input.format.rate"),
        (heard(turn_detection={"type": "sometimes"}), "session.audio.input.turn_detection.type"),
        (heard(turn_detection={"threshold": 2}), "session.audio.input.turn_detection.threshold"),
        (heard(turn_detection={"silence_duration_ms": -1}), "session.audio.input.turn_detection.silence_duration_ms"),
        (heard(turn_detection={"create_response": "no"}), "session.audio.input.turn_detection.create_response"),
        (heard(turn_detection=3), "session.audio.input.turn_detection"),
        ({"audio": {"output": {"speed": 9}}}, "session.audio.output.speed"),
        ({"tools": [3]}, "session.tools[0]"),
        ({"max_output_tokens": "many"}, "session.max_output_tokens"),
        ([], "session"),
    ],
)
def test_an_update_that_can_not_be_used_names_the_field_and_changes_nothing(update: Any, param: str) -> None:
    before = session()
    with pytest.raises(ShapeError) as wrong:
        updated(before, update)
    assert wrong.value.param == param
    assert before == session()


def test_updates_share_nothing_with_the_sessions_before_them() -> None:
    before = session()
    after = updated(before, {"tools": [{"type": "function", "name": "a"}]})
    after["tools"][0]["name"] = "b"
    after["audio"]["input"]["turn_detection"] = None
    assert turn_detection(before) is not None and before["tools"] == []
