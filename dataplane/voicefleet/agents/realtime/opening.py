"""The first words on a connection to a model: its session, set up as the call wants it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple


class Opened(NamedTuple):
    """A session that has begun."""

    created: dict[str, Any]
    """The event that told of it."""
    session: dict[str, Any]
    """As the model has it now."""
    refusal: dict[str, Any] | None
    """What the model says against the session that was asked for; it goes on with its own."""


async def opened(next_message: Callable[[], Awaitable[bytes | None]], asked: bool) -> Opened | None:
    """Read until the session is there, and updated if that was `asked`; None if the model leaves before."""
    created: dict[str, Any] | None = None
    while (message := await next_message()) is not None:
        event = json.loads(message)
        match event["type"]:
            case "session.created":
                created = event
                if not asked:
                    return Opened(event, event["session"], None)
            case "session.updated" if created is not None:
                return Opened(created, event["session"], None)
            case "error" if created is not None:
                return Opened(created, created["session"], event)
    return None
