"""Reads what a client posts to start a call: plain SDP, or a form with `sdp` and `session`."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from voicefleet.services.signaling.problems import Problem, bad_request

MAX_OFFER: Final = 64 * 1024
"""Chromium's offer for one call is about 5 KiB; ten times that is no offer that we could serve."""
MAX_SESSION: Final = 128 * 1024
"""Instructions and tools may be long, but they have to reach the model with each session."""
MAX_BODY: Final = MAX_OFFER + MAX_SESSION + 4096
"""Both parts and what a form puts around them."""

SESSION_TYPES: Final = ("realtime", "transcription")
SESSION_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"type": {"enum": list(SESSION_TYPES), "default": SESSION_TYPES[0]}},
    "description": "The session's configuration; what is in it besides its type is for the agent to judge.",
}
CALL_BODY: Final[Mapping[str, Mapping[str, Any]]] = {
    "application/sdp": {"type": "string", "maxLength": MAX_OFFER, "description": "The SDP offer."},
    "multipart/form-data": {
        "type": "object",
        "required": ["sdp"],
        "additionalProperties": False,
        "properties": {"sdp": {"type": "string", "maxLength": MAX_OFFER}, "session": SESSION_SCHEMA},
    },
}
"""What a call is started with, as the OpenAPI document tells it."""

BODY_DEADLINE: Final = 10.0
"""Seconds for a body to come: an offer and its session, over the slowest of mobile networks."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """An offer and the session configuration that came with it (empty if none did)."""

    sdp: str
    session: Mapping[str, Any]


async def read_call_request(request: web.Request) -> CallRequest:
    """The offer in any of the forms that clients use; raises a 400, 413 or 415 that names the part at fault."""
    match request.content_type:
        case "application/sdp":
            return CallRequest(read_sdp(await read_bounded(request, MAX_OFFER, "offer")), {})
        case "multipart/form-data":
            return await _read_form(request)
        case other:
            raise Problem(
                415, "unsupported_media_type", f"{other}: send application/sdp, or multipart/form-data with sdp."
            )


def read_session(text: str | bytes, param: str = "session") -> dict[str, Any]:
    """A session configuration as JSON; strict about being an object, the model decides about what is in it."""
    try:
        session = json.loads(text)
    except (ValueError, RecursionError):
        raise bad_request(f"'{param}' is not JSON.", param=param) from None
    if not isinstance(session, dict):
        raise bad_request(f"'{param}' has to be a JSON object.", param=param)
    kind = session.setdefault("type", "realtime")
    if kind not in SESSION_TYPES:
        allowed = ", ".join(map(repr, SESSION_TYPES))
        raise bad_request(f"'{param}.type' is {kind!r}; allowed: {allowed}.", param=f"{param}.type")
    return session


async def _read_form(request: web.Request) -> CallRequest:
    try:
        async with _in_time():
            parts = await _parts(request)
    except (ValueError, HttpProcessingError) as error:
        # The latter is what a part's head raises that is none; by itself it would count as our failure.
        said = error.message if isinstance(error, HttpProcessingError) else str(error)
        raise bad_request(f"The form cannot be read: {said.splitlines()[0] if said else 'it is no form'}") from None
    if "sdp" not in parts:
        raise bad_request("The form has no part 'sdp'.", param="sdp")
    session = read_session(parts["session"]) if "session" in parts else {}
    return CallRequest(read_sdp(parts["sdp"]), session)


async def _parts(request: web.Request) -> dict[str, bytes]:
    parts: dict[str, bytes] = {}
    limits = {"sdp": MAX_OFFER, "session": MAX_SESSION}
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        name = part.name if isinstance(part, BodyPartReader) else None
        if not isinstance(part, BodyPartReader) or name not in limits:
            raise bad_request(f"Form part {name!r} is not known; allowed: 'sdp', 'session'.", param=name)
        if name in parts:
            raise bad_request(f"Form part {name!r} stands twice.", param=name)
        data = bytearray()
        while chunk := await part.read_chunk(16384):
            data += chunk
            if len(data) > limits[name]:
                raise Problem(413, "too_large", f"'{name}' is larger than {limits[name]} octets.", param=name)
        parts[name] = bytes(data)
    return parts


async def read_bounded(request: web.Request, limit: int, what: str) -> bytes:
    """The whole body, read no further than the limit and no longer than the deadline."""
    data = bytearray()
    async with _in_time():
        async for chunk in request.content.iter_any():
            data += chunk
            if len(data) > limit:
                raise Problem(413, "too_large", f"The {what} is larger than {limit} octets.")
    return bytes(data)


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            yield
    except TimeoutError:
        raise Problem(408, "too_slow", f"The body did not come within {BODY_DEADLINE:g} seconds.") from None


def read_sdp(data: bytes) -> str:
    """An offer's text; raises a 400."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise bad_request("The offer is not UTF-8.", param="sdp") from None
    if not text.startswith("v=0"):
        raise bad_request("The offer is not SDP: it does not begin with v=0.", param="sdp")
    return text
