"""Lets a browser page of another origin call: preflights answered, `Location` readable, errors too.

Callers are told apart by their bearer secret and never by cookies, so any origin may ask; a secret that is bound to an
origin is checked where the secret is.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

_EXPOSED: Final = (
    "Location, ETag, Link, Accept-Patch, Accept-Post, Access-Control-Allow-Methods, Server-Timing, Retry-After"
)
_KEEP_SECONDS: Final = "7200"
"""The longest that Chromium keeps a preflight's answer."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def allow_any_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a preflight at once; else add what makes the answer readable to the page."""
    asked = request.headers.get("Access-Control-Request-Method")
    if request.method == "OPTIONS" and asked is not None:
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE, OPTIONS",
                "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "*"),
                "Access-Control-Max-Age": _KEEP_SECONDS,
            },
        )
    response = await handler(request)
    if response.prepared:
        return response  # a WebSocket, which knows no cross-origin rules
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = _EXPOSED
    return response
