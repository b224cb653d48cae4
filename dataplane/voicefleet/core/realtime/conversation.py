"""The items of one conversation, in order, and what clients may do with them."""

from typing import Any, Final

from voicefleet.core.realtime.client_events import ClientError, ClientEvent
from voicefleet.core.realtime.items import Item

MOST_ITEMS: Final = 1000
"""Items that are remembered; the oldest are forgotten."""
ROOT: Final = "root"
"""What a client names to put an item before all others."""


class Conversation:
    """Raises `ClientError` for what a client can't have."""

    __slots__ = ("_items", "_spoken_ms")

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._spoken_ms: dict[str, int] = {}

    @property
    def last(self) -> Item | None:
        """The newest item."""
        return next(reversed(self._items.values()), None)

    def add(self, item: Item) -> str | None:
        """Put an item behind all others; the one before it."""
        previous = next(reversed(self._items), None)
        self._items[item["id"]] = item
        if len(self._items) > MOST_ITEMS:
            self._forget(next(iter(self._items)))
        return previous

    def create(self, event: ClientEvent, item: Item) -> str | None:
        """Put an item where a client wants it; the one before it."""
        if item["id"] in self._items:
            raise _wrong(event, "item_create_invalid_item_id", f"There is an item {item['id']!r} already.", "item.id")
        after: str | None = event.body.get("previous_item_id")
        if after is None:
            return self.add(item)
        if after != ROOT and after not in self._items:
            raise _wrong(event, "item_create_invalid_previous_item_id", f"There is no item {after!r}.",
                         "previous_item_id")  # fmt: skip
        ordered = list(self._items.items())
        at = 0 if after == ROOT else 1 + [name for name, _ in ordered].index(after)
        self._items = dict([*ordered[:at], (item["id"], item), *ordered[at:]])
        return None if after == ROOT else after

    def replace(self, item: Item, spoken_ms: int = 0) -> str | None:
        """An item has grown; the one before it. `spoken_ms` is how much of it the model has said."""
        self._items[item["id"]] = item
        self._spoken_ms[item["id"]] = spoken_ms
        before: str | None = None
        for name in self._items:
            if name == item["id"]:
                break
            before = name
        return before

    def retrieve(self, event: ClientEvent) -> Item:
        """The item that a client asks for."""
        return self._named(event, "retrieve")

    def delete(self, event: ClientEvent) -> str:
        """Forget an item; its name."""
        name: str = self._named(event, "delete")["id"]
        self._forget(name)
        return name

    def truncate(self, event: ClientEvent) -> tuple[str, int, int]:
        """Forget what was not heard of an item: name, part and milliseconds that are left."""
        item, body = self._named(event, "truncate"), event.body
        if item.get("role") != "assistant":
            raise _wrong(event, "item_truncate_invalid_item_id", "Only what the model says can be truncated.")
        if body["content_index"] >= max(1, len(item["content"])):
            raise _wrong(event, "item_truncate_invalid_content_index", "The item has no such part.", "content_index")
        spoken = self._spoken_ms.get(item["id"], 0)
        if body["audio_end_ms"] > spoken:
            raise _wrong(event, "invalid_value", f"Audio content of {spoken} ms is already shorter than "
                         f"{body['audio_end_ms']} ms.", "audio_end_ms")  # fmt: skip
        self.cut(item["id"], body["audio_end_ms"])
        return item["id"], body["content_index"], body["audio_end_ms"]

    def cut(self, name: str, heard_ms: int) -> None:
        """So much of an item was heard; its transcript, which says more than that, goes."""
        item = self._items.get(name)
        if item is not None:
            parts = [{key: value for key, value in part.items() if key != "transcript"} for part in item["content"]]
            self._items[name] = {**item, "status": "incomplete", "content": parts}
            self._spoken_ms[name] = heard_ms

    def _named(self, event: ClientEvent, wanted: str) -> Item:
        item = self._items.get(event.body["item_id"])
        if item is None:
            named = event.body["item_id"]
            raise _wrong(event, f"item_{wanted}_invalid_item_id", f"There is no item {named!r} in this conversation.")
        return item

    def _forget(self, name: str) -> None:
        self._items.pop(name, None)
        self._spoken_ms.pop(name, None)


def _wrong(event: ClientEvent, code: str, message: str, param: str = "item_id") -> ClientError:
    return ClientError(message, code, param=param, event_id=event.event_id)


def words_of(item: Item | None) -> str:
    """The text of a message, if it has one."""
    parts: list[dict[str, Any]] = item.get("content", []) if item is not None else []
    return " ".join(part["text"] for part in parts if isinstance(part.get("text"), str))
