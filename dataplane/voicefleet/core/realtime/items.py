"""Items of a conversation, and parts of them, as events carry them."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]


class Status(StrEnum):
    """How far an item or a response is."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"
    FAILED = "failed"


def spoken_by_caller(item_id: str, transcript: str | None = None) -> Item:
    """What the caller said. Official clients insist on the key `transcript`, though it may be null."""
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": Status.COMPLETED.value,
        "role": "user",
        "content": [{"type": "input_audio", "transcript": transcript}],
    }


def spoken_by_model(item_id: str, status: Status, transcript: str | None = None) -> Item:
    """What the model says; no content while it has not begun."""
    content = [] if transcript is None else [{"type": "output_audio", "transcript": transcript}]
    return _of_model(item_id, status, content)


def written_by_model(item_id: str, status: Status, text: str | None = None) -> Item:
    """What the model writes."""
    return _of_model(item_id, status, [] if text is None else [{"type": "output_text", "text": text}])


def from_client(item_id: str, item: Mapping[str, Any]) -> Item:
    """What a client put into the conversation, as it is told to everybody."""
    given = item.get("id")
    return {
        **item,
        "id": given if isinstance(given, str) and given else item_id,
        "object": "realtime.item",
        "status": Status.COMPLETED.value,
    }


def audio_part(transcript: str | None = None) -> dict[str, Any]:
    """A part that is sound, in an event about parts; a transcript that is not there yet is left out, not null."""
    return {"type": "audio"} | ({} if transcript is None else {"transcript": transcript})


def text_part(text: str = "") -> dict[str, Any]:
    """A part that is text, in an event about parts."""
    return {"type": "text", "text": text}


def _of_model(item_id: str, status: Status, content: Iterable[dict[str, Any]]) -> Item:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": status.value,
        "role": "assistant",
        "content": list(content),
    }
