"""Events and sessions held against the types of the official `openai` package: every field known, every type right."""

from functools import cache
from typing import Any, get_args

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

OURS = ("voicefleet",)
"""Fields, and first words of event types, that the official package can't know."""


@cache
def _models() -> dict[str, type[BaseModel]]:
    union = get_args(RealtimeServerEvent)[0]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(union)}


@cache
def _adapter(kind: str) -> TypeAdapter[BaseModel]:
    return TypeAdapter(_models()[kind])


def validated(event: dict[str, Any]) -> BaseModel:
    """The event as the official package has it; an assertion fails for one that it does not know."""
    kind = event["type"]
    assert kind in _models(), f"the official package knows no {kind}"
    told = {name: value for name, value in event.items() if name not in OURS}
    read = _adapter(kind).validate_python(told, strict=True)
    _all_known(read, kind)
    return read


def _all_known(read: Any, where: str) -> None:
    if isinstance(read, BaseModel):
        unknown = {name for name in read.model_extra or {} if where.count(".session") == 0 or name not in _SESSION}
        assert not unknown, f"{where} has fields that the official package does not know: {sorted(unknown)}"
        for name in type(read).model_fields:
            _all_known(getattr(read, name), f"{where}.{name}")
    elif isinstance(read, list):
        for each in read:
            _all_known(each, where)


_SESSION = frozenset({"id", "object", "expires_at"})
"""Fields of a session in events that the real service sends, and that the package's type leaves out."""
