"""Signaling as an aiohttp application: its doors, errors as clients read them, and access from any origin."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web

from voicefleet.observability import logs
from voicefleet.services.signaling.call_request import MAX_BODY
from voicefleet.services.signaling.cross_origin import Handler, allow_any_origin
from voicefleet.services.signaling.openapi import document
from voicefleet.services.signaling.problems import Problem
from voicefleet.services.signaling.whip_door import PATH as WHIP

CONSOLE: Final = Path(str(files(__package__) / "console"))
CONSOLE_FILES: Final = {"/": "index.html", "/console.js": "console.js", "/console.css": "console.css"}
OPEN_MODE: Final = web.AppKey("open_mode", bool)
NOTICE_MARK: Final = "<!-- notice -->"
OPEN_NOTICE: Final = (
    '<p class="notice" role="alert">Open mode: anybody who reaches this address may call. For local use only.</p>'
)
_log = logs.logger(__name__)


@web.middleware
async def _as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong becomes an answer in one shape; only what we did not foresee is logged with its trace."""
    try:
        return await handler(request)
    except Problem as raised:
        problem = raised
    except web.HTTPException as error:
        code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status, "http_error")
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        problem = Problem(error.status, code, error.reason, headers=kept)
    except Exception:
        _log.exception("request failed", path=request.path)
        problem = Problem(500, "internal_error", "Signaling failed on this request; it is in the log.")
    return problem.details() if f"{request.path}/".startswith(f"{WHIP}/") else problem.response()


class Door(Protocol):
    """One dialect, or one group of requests."""

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        ...


def application(doors: Sequence[Door], *, console: bool, open_mode: bool = False) -> web.Application:
    """The application that clients reach."""
    app = web.Application(middlewares=[allow_any_origin, _as_problems], client_max_size=MAX_BODY)
    routes = [route for door in doors for route in door.routes()]
    app.add_routes(routes)
    openapi = json.dumps(document(routes, open_mode=open_mode))

    async def serve_openapi(_request: web.Request) -> web.Response:
        return web.Response(text=openapi, content_type="application/json")

    app.router.add_get("/openapi.json", serve_openapi)
    if console:
        app.add_routes([web.get(path, _console) for path in CONSOLE_FILES])
        app[OPEN_MODE] = open_mode
    return app


async def _console(request: web.Request) -> web.StreamResponse:
    path = CONSOLE / CONSOLE_FILES[request.path]
    if path.suffix != ".html":
        return web.FileResponse(path)
    notice = OPEN_NOTICE if request.app[OPEN_MODE] else ""
    return web.Response(text=path.read_text().replace(NOTICE_MARK, notice), content_type="text/html")
