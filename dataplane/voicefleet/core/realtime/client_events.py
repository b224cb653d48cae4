"""What clients say: which events there are, who may send which, and what is wrong with one that can't be used."""

import base64
import binascii
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from voicefleet.core.realtime.shape import (
    Check,
    ShapeError,
    fields,
    integer,
    or_null,
    some_object,
    tagged,
    text,
)

MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Octets of one message on a WebSocket: a minute of speech as base64, or an image. The real service takes 15 MiB of
audio at once, which nobody who speaks has; ten such messages on their way would be the memory of a thousand calls."""


class Door(StrEnum):
    """How somebody takes part in a session."""

    WEBRTC = "webrtc"
    """The caller, on the data channel; sound goes by itself."""
    WEBSOCKET = "websocket"
    """The caller, sound in events."""
    SIDEBAND = "sideband"
    """The application's own server beside the caller."""


class ClientError(ValueError):
    """An event that can't be used, as an `error` event tells it."""

    def __init__(self, message: str, code: str, *, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.event_id = event_id


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One event of a client, of a known type and with its required fields."""

    type: str
    body: dict[str, Any]

    @property
    def event_id(self) -> str | None:
        """What an error that it causes refers to."""
        own: str | None = self.body.get("event_id")
        return own


_CONTENT: Final = fields({"type": text}, needed=("type",), open_ended=True)


def _contents(value: Any, at: str) -> None:
    if not isinstance(value, list) or not value:
        raise ShapeError(at, f"'{at}' has to be a list with at least one part.", "invalid_type")
    for number, part in enumerate(value):
        _CONTENT(part, f"{at}[{number}]")


def _message(value: Any, at: str) -> None:
    fields({"role": text, "content": _contents}, needed=("role", "content"), open_ended=True)(value, at)
    if value["role"] not in ("user", "assistant", "system"):
        raise ShapeError(f"{at}.role", f"Invalid value: {value['role']!r}.")


_ITEM: Final = tagged(
    {
        "message": _message,
        "function_call": fields(
            {"name": text, "arguments": text, "call_id": text}, needed=("name", "arguments"), open_ended=True
        ),
        "function_call_output": fields(
            {"call_id": text, "output": text}, needed=("call_id", "output"), open_ended=True
        ),
        "mcp_approval_response": some_object,
        "mcp_approval_request": some_object,
        "mcp_list_tools": some_object,
        "mcp_call": some_object,
    }
)


def _event(known: dict[str, Check] | None = None, *needed: str) -> Check:
    return fields({"type": text, "event_id": or_null(text), **(known or {})}, needed=needed)


_EVENTS: Final[dict[str, Check]] = {
    "session.update": _event({"session": some_object}, "session"),
    "input_audio_buffer.append": _event({"audio": text}, "audio"),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "output_audio_buffer.clear": _event(),
    "conversation.item.create": _event({"item": _ITEM, "previous_item_id": or_null(text)}, "item"),
    "conversation.item.delete": _event({"item_id": text}, "item_id"),
    "conversation.item.retrieve": _event({"item_id": text}, "item_id"),
    "conversation.item.truncate": _event(
        {"item_id": text, "content_index": integer(0, 1 << 31), "audio_end_ms": integer(0, 1 << 31)},
        "item_id",
        "content_index",
        "audio_end_ms",
    ),
    "response.create": _event({"response": or_null(some_object)}),
    "response.cancel": _event({"response_id": or_null(text)}),
}

_ELSEWHERE: Final = {
    Door.WEBRTC: {"input_audio_buffer.append": "sound goes over the call's own audio, not over events"},
    Door.WEBSOCKET: {"output_audio_buffer.clear": "only a WebRTC call has its output audio buffer on the server"},
    Door.SIDEBAND: {"input_audio_buffer.append": "sound comes from the caller alone"},
}
"""Known events that a door does not take, and why."""


def read_event(message: str | bytes, door: Door) -> ClientEvent:
    """The event in a message; raises `ClientError`."""
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        raise ClientError("The message is not JSON.", "invalid_json") from None
    if not isinstance(body, dict):
        raise ClientError("An event is a JSON object.", "invalid_json")
    own = body.get("event_id")
    event_id = own if isinstance(own, str) else None
    kind = body.get("type")
    if not isinstance(kind, str):
        raise ClientError("Missing required parameter: 'type'.", "missing_required_parameter", param="type",
                          event_id=event_id)  # fmt: skip
    check = _EVENTS.get(kind)
    if check is None:
        raise ClientError(f"Invalid value: {kind!r}. Supported values are: {', '.join(map(repr, _EVENTS))}.",
                          "invalid_value", param="type", event_id=event_id)  # fmt: skip
    why_not = _ELSEWHERE[door].get(kind)
    if why_not is not None:
        raise ClientError(f"'{kind}' can't be sent here: {why_not}.", "invalid_event_for_connection", param="type",
                          event_id=event_id)  # fmt: skip
    try:
        check(body, "")
    except ShapeError as wrong:
        raise refused(wrong, event_id) from None
    return ClientEvent(kind, body)


def refused(wrong: ShapeError, event_id: str | None) -> ClientError:
    """A value at fault as the error of the event that held it."""
    return ClientError(str(wrong), wrong.code, param=wrong.param, event_id=event_id)


def appended(event: ClientEvent) -> bytes:
    """The audio of an `input_audio_buffer.append`; raises `ClientError`."""
    try:
        audio = base64.b64decode(event.body["audio"], validate=True)
    except (binascii.Error, ValueError):
        raise ClientError("'audio' is not base64.", "invalid_value", param="audio", event_id=event.event_id) from None
    return audio
