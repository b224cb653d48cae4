"""What another model connection has to be told so that it can go on where the last one broke off.

The session as it was asked for, and the conversation's items in order. Sound that was heard is lost with the
connection; its transcript stands for it where there is one. What a model has not finished when it is lost is not
repeated.
"""

from collections import OrderedDict
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

MOST_ITEMS: Final = 400
"""Items that are remembered: an hour of talk. The oldest are forgotten, as a model's own context forgets."""
_AS_THEY_ARE: Final = frozenset({"function_call", "function_call_output"})
_TEXTS: Final = {"user": "input_text", "system": "input_text", "assistant": "output_text"}


class Memory:
    """One call's conversation."""

    def __init__(self, session: Json) -> None:
        self.session: Json = session
        """As it was asked for, merged."""
        self._items: OrderedDict[str, Json] = OrderedDict()

    def on_client(self, event: Json) -> None:
        """Something that the model is told."""
        if event["type"] == "session.update":
            self.session = merged(self.session, event["session"])

    def on_model(self, event: Json) -> None:
        """Something that the model says, other than sound."""
        match event["type"]:
            case "conversation.item.added" | "conversation.item.done" | "response.output_item.done":
                self._keep(event["item"], event.get("previous_item_id"))
            case "conversation.item.deleted":
                self._items.pop(event.get("item_id", ""), None)
            case "conversation.item.input_audio_transcription.completed":
                self._transcribed(event)
            case "conversation.item.truncated":
                self._truncated(event)

    def items(self) -> list[Json]:
        """The items as `conversation.item.create` takes them."""
        return [known for item in self._items.values() if (known := _again(item)) is not None]

    def _keep(self, item: Json, previous: str | None) -> None:
        name = item.get("id")
        if not isinstance(name, str):
            return
        if name in self._items:
            self._items[name] = _with_known_transcripts(item, self._items[name])
            return
        self._items[name] = item
        if previous in self._items and next(reversed(self._items)) != previous:
            self._move_behind(name, previous)
        while len(self._items) > MOST_ITEMS:
            self._items.popitem(last=False)

    def _move_behind(self, name: str, previous: str | None) -> None:
        order = [other for other in self._items if other != name]
        order.insert(order.index(str(previous)) + 1, name)
        for each in order:
            self._items.move_to_end(each)

    def _transcribed(self, event: Json) -> None:
        part = self._part(event)
        if part is not None:
            part["transcript"] = event.get("transcript")

    def _truncated(self, event: Json) -> None:
        """Of a sentence that was cut, the caller heard a beginning that nobody has the words of; as the model forgets
        them when it truncates, nothing is repeated."""
        part = self._part(event)
        if part is not None:
            part["transcript"] = None
            part["truncated"] = True

    def _part(self, event: Json) -> Json | None:
        content = self._items.get(event.get("item_id", ""), {}).get("content") or []
        index = event.get("content_index", 0)
        return content[index] if 0 <= index < len(content) and isinstance(content[index], dict) else None


def _with_known_transcripts(item: Json, before: Json) -> Json:
    """A later version of an item may come without the words that an earlier event told."""
    old = before.get("content") or []
    new = item.get("content") or []
    for one, other in zip(old, new, strict=False):
        if one.get("truncated"):
            other |= {"transcript": None, "truncated": True}
        elif one.get("transcript") and not other.get("transcript"):
            other["transcript"] = one["transcript"]
    return item


def _again(item: Json) -> Json | None:
    kind = item.get("type")
    if kind in _AS_THEY_ARE:
        if item.get("status") == "in_progress":
            return None
        return {name: value for name, value in item.items() if name not in ("object", "status")}
    if kind != "message" or item.get("role") not in _TEXTS:
        return None
    words = [part.get("text") or part.get("transcript") for part in item.get("content") or []]
    pictures = [part for part in item.get("content") or [] if part.get("type") == "input_image"]
    content = [{"type": _TEXTS[item["role"]], "text": text} for text in words if text] + pictures
    return {"id": item["id"], "type": "message", "role": item["role"], "content": content} if content else None


_WHOLE: Final = frozenset({"format", "turn_detection", "tool_choice", "prompt", "tracing", "truncation", "voice"})
"""Objects of a session that an update replaces."""


def merged(old: Json, new: Json) -> Json:
    """A session after an update, as the Realtime protocol merges them."""
    result = dict(old)
    for name, value in new.items():
        inside = result.get(name)
        both = isinstance(inside, dict) and isinstance(value, dict) and name not in _WHOLE
        result[name] = merged(inside, value) if both else value  # type: ignore[arg-type]
    return result
