"""What clients are told: one small function for each event, with every field that official clients look at.

An event has no `event_id` yet: whoever sends it adds one (`stamped`), because the same event may go to several clients.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from voicefleet.core.realtime.client_events import ClientError
from voicefleet.core.realtime.ids import Ids
from voicefleet.core.realtime.items import Item, Status

ServerEvent: TypeAlias = dict[str, Any]

WEBRTC_ONLY: Final = frozenset(
    {"output_audio_buffer.started", "output_audio_buffer.stopped", "output_audio_buffer.cleared"}
)
"""Events about sound that the server plays."""
WEBSOCKET_ONLY: Final = frozenset({"response.output_audio.delta"})
"""Events that are sound, which a WebRTC client gets as sound."""


class Part(NamedTuple):
    """Where in a conversation a piece of a response belongs."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0

    def fields(self) -> dict[str, Any]:
        """The same, as events have it."""
        return {
            "response_id": self.response_id,
            "item_id": self.item_id,
            "output_index": self.output_index,
            "content_index": self.content_index,
        }


def stamped(event: ServerEvent, ids: Ids) -> ServerEvent:
    """The event with a name of its own."""
    return {"type": event["type"], "event_id": ids.event(), **event}


# The session.


def session_created(session: Mapping[str, Any]) -> ServerEvent:
    """First of all events."""
    return {"type": "session.created", "session": dict(session)}


def session_updated(session: Mapping[str, Any]) -> ServerEvent:
    """The whole session after an update."""
    return {"type": "session.updated", "session": dict(session)}


def error(wrong: ClientError, kind: str = "invalid_request_error") -> ServerEvent:
    """An event of the client was of no use."""
    told = {"type": kind, "code": wrong.code, "message": str(wrong), "param": wrong.param, "event_id": wrong.event_id}
    return {"type": "error", "error": told}


# What the caller says.


def speech_started(item_id: str, audio_start_ms: int) -> ServerEvent:
    """The caller speaks; the item is the one that the speech will be."""
    return {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": audio_start_ms}


def speech_stopped(item_id: str, audio_end_ms: int) -> ServerEvent:
    """The caller's turn is over."""
    return {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": audio_end_ms}


def committed(item_id: str, previous_item_id: str | None) -> ServerEvent:
    """What was heard is an item now."""
    return {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous_item_id}


def input_cleared() -> ServerEvent:
    """What was heard is forgotten."""
    return {"type": "input_audio_buffer.cleared"}


def idle(item_id: str, audio_start_ms: int, audio_end_ms: int) -> ServerEvent:
    """The caller has said nothing for as long as the session allows."""
    return {
        "type": "input_audio_buffer.timeout_triggered",
        "item_id": item_id,
        "audio_start_ms": audio_start_ms,
        "audio_end_ms": audio_end_ms,
    }


# The conversation.


def item_added(item: Item, previous_item_id: str | None) -> ServerEvent:
    """An item is in the conversation."""
    return {"type": "conversation.item.added", "item": item, "previous_item_id": previous_item_id}


def item_done(item: Item, previous_item_id: str | None) -> ServerEvent:
    """An item is complete."""
    return {"type": "conversation.item.done", "item": item, "previous_item_id": previous_item_id}


def item_retrieved(item: Item) -> ServerEvent:
    """What a client asked for."""
    return {"type": "conversation.item.retrieved", "item": item}


def item_deleted(item_id: str) -> ServerEvent:
    """It is gone."""
    return {"type": "conversation.item.deleted", "item_id": item_id}


def item_truncated(item_id: str, content_index: int, audio_end_ms: int) -> ServerEvent:
    """The model remembers no more of its words than were heard."""
    return {
        "type": "conversation.item.truncated",
        "item_id": item_id,
        "content_index": content_index,
        "audio_end_ms": audio_end_ms,
    }


# The response.


def response_created(response: Mapping[str, Any]) -> ServerEvent:
    """The model will answer."""
    return {"type": "response.created", "response": dict(response)}


def response_done(response: Mapping[str, Any]) -> ServerEvent:
    """The answer is complete, or cut off."""
    return {"type": "response.done", "response": dict(response)}


def output_item_added(at: Part, item: Item) -> ServerEvent:
    """The answer has a first or another item."""
    return _output_item("response.output_item.added", at, item)


def output_item_done(at: Part, item: Item) -> ServerEvent:
    """An item of the answer is complete."""
    return _output_item("response.output_item.done", at, item)


def content_part_added(at: Part, part: Mapping[str, Any]) -> ServerEvent:
    """An item of the answer has a first or another part."""
    return {"type": "response.content_part.added", **at.fields(), "part": dict(part)}


def content_part_done(at: Part, part: Mapping[str, Any]) -> ServerEvent:
    """A part is complete."""
    return {"type": "response.content_part.done", **at.fields(), "part": dict(part)}


def audio_delta(at: Part, audio: bytes) -> ServerEvent:
    """Sound, for those who get it in events."""
    return {"type": "response.output_audio.delta", **at.fields(), "delta": base64.b64encode(audio).decode()}


def audio_done(at: Part) -> ServerEvent:
    """No more sound in this part."""
    return {"type": "response.output_audio.done", **at.fields()}


def transcript_delta(at: Part, text: str) -> ServerEvent:
    """Words of the sound."""
    return {"type": "response.output_audio_transcript.delta", **at.fields(), "delta": text}


def transcript_done(at: Part, transcript: str) -> ServerEvent:
    """All words of a part."""
    return {"type": "response.output_audio_transcript.done", **at.fields(), "transcript": transcript}


def text_delta(at: Part, text: str) -> ServerEvent:
    """Words, in a session without sound."""
    return {"type": "response.output_text.delta", **at.fields(), "delta": text}


def text_done(at: Part, text: str) -> ServerEvent:
    """All words of a part, in a session without sound."""
    return {"type": "response.output_text.done", **at.fields(), "text": text}


def response(
    response_id: str,
    session: Mapping[str, Any],
    conversation_id: str,
    status: Status,
    output: Sequence[Item] = (),
    *,
    reason: str | None = None,
    tokens: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A response as `response.created` and `response.done` carry it."""
    details = None
    if status is not Status.IN_PROGRESS and status is not Status.COMPLETED:
        details = {"type": status.value} | ({"reason": reason} if reason else {})
    spoken = session.get("audio", {}).get("output")
    told = {"output": {key: spoken[key] for key in ("format", "voice") if key in spoken}} if spoken else None
    return {
        "object": "realtime.response",
        "id": response_id,
        "status": status.value,
        "status_details": details,
        "output": list(output),
        "conversation_id": conversation_id,
        "output_modalities": session.get("output_modalities", ["text"]),
        "max_output_tokens": session.get("max_output_tokens", "inf"),
        **({"audio": told} if told else {}),
        "usage": None if tokens is None else _usage(tokens),
        "metadata": dict(metadata) if metadata else None,
    }


# Sound that the server plays.


def playing_started(response_id: str) -> ServerEvent:
    """The first of a response's sound leaves for the client."""
    return {"type": "output_audio_buffer.started", "response_id": response_id}


def playing_stopped(response_id: str) -> ServerEvent:
    """The last of it has left."""
    return {"type": "output_audio_buffer.stopped", "response_id": response_id}


def playing_cleared(response_id: str) -> ServerEvent:
    """What had not left was thrown away."""
    return {"type": "output_audio_buffer.cleared", "response_id": response_id}


def _output_item(kind: str, at: Part, item: Item) -> ServerEvent:
    return {"type": kind, "response_id": at.response_id, "output_index": at.output_index, "item": item}


def _usage(tokens: int) -> dict[str, Any]:
    """What nobody pays for, in the shape that cost counters of clients read."""
    return {
        "total_tokens": tokens,
        "input_tokens": 0,
        "output_tokens": tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 0, "audio_tokens": tokens},
    }
