import base64
import json
from typing import Any

import pytest

from tests.support.realtime_types import validated
from voicefleet.core.realtime.client_events import ClientError, Door, appended, read_event
from voicefleet.core.realtime.ids import Ids
from voicefleet.core.realtime.server_events import error, stamped

IDS = Ids(lambda octets: "5" * 2 * octets)
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
EVERYWHERE: list[dict[str, Any]] = [
    {"type": "session.update", "session": {"type": "realtime"}},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.create", "item": HELLO, "previous_item_id": None},
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 20},
    {"type": "response.create"},
    {"type": "response.create", "response": {"instructions": "Sing."}},
    {"type": "response.cancel", "response_id": "resp_1"},
]


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize("event", EVERYWHERE, ids=lambda event: event["type"])
def test_every_door_takes_what_steers_a_session(event: dict[str, Any], door: Door) -> None:
    read = read_event(json.dumps(event | {"event_id": "mine"}), door)
    assert (read.type, read.event_id) == (event["type"], "mine")


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("input_audio_buffer.append", {Door.WEBSOCKET}),
        ("output_audio_buffer.clear", {Door.WEBRTC, Door.SIDEBAND}),
    ],
)
@pytest.mark.parametrize("door", Door)
def test_what_is_about_sound_only_some_doors_take(kind: str, taken: set[Door], door: Door) -> None:
    message = json.dumps({"type": kind, "event_id": "mine"} | ({"audio": ""} if "append" in kind else {}))
    if door in taken:
        assert read_event(message, door).type == kind
    else:
        with pytest.raises(ClientError) as refused:
            read_event(message, door)
        assert (refused.value.code, refused.value.event_id) == ("invalid_event_for_connection", "mine")


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_json", None),
        ("[" * 100_000, "invalid_json", None),
        (b"\xff\xfe", "invalid_json", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": 7}', "missing_required_parameter", "type"),
        ('{"type": "session.destroy"}', "invalid_value", "type"),
        ('{"type": "session.update"}', "missing_required_parameter", "session"),
        ('{"type": "response.cancel", "why": "x"}', "unknown_parameter", "why"),
        ('{"type": "conversation.item.delete", "item_id": 1}', "invalid_type", "item_id"),
        (
            '{"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": -3}',
            "invalid_value",
            "audio_end_ms",
        ),
        ('{"type": "conversation.item.create", "item": {}}', "missing_required_parameter", "item.type"),
        ('{"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": []}}',
         "invalid_type", "item.content"),
        ('{"type": "response.create", "event_id": 7}', "invalid_type", "event_id"),
    ],
)  # fmt: skip
def test_what_can_not_be_used_is_answered_by_an_error_that_official_clients_read(
    message: str | bytes, code: str, param: str | None
) -> None:
    with pytest.raises(ClientError) as wrong:
        read_event(message, Door.WEBRTC)
    assert (wrong.value.code, wrong.value.param) == (code, param)
    validated(stamped(error(wrong.value), IDS))


def test_appended_audio_is_base64_and_nothing_else() -> None:
    def append(audio: str) -> bytes:
        event = read_event(json.dumps({"type": "input_audio_buffer.append", "audio": audio}), Door.WEBSOCKET)
        return appended(event)

    assert append(base64.b64encode(b"\1\2\3\4").decode()) == b"\1\2\3\4"
    for bad in ("a", "a===", "\u00e4\u00e4\u00e4\u00e4", "AA=A"):
        with pytest.raises(ClientError):
            append(bad)
