"""Signaling as an aiohttp application: its doors, errors as clients read them, and access from any origin."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from aiohttp import web

from voicefleet.observability import logs
from voicefleet.services.signaling.call_request import MAX_BODY
from voicefleet.services.signaling.cross_origin import Handler, allow_any_origin
from voicefleet.services.signaling.openai_door import OpenAIDoor
from voicefleet.services.signaling.problems import Problem

CONSOLE: Final = Path(str(files(__package__) / "console"))
CONSOLE_FILES: Final = {"/": "index.html", "/console.js": "console.js", "/console.css": "console.css"}
_log = logs.logger(__name__)


@web.middleware
async def _as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong becomes an answer in one shape; only what we did not foresee is logged with its trace."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except web.HTTPException as error:
        return Problem(error.status, "not_found" if error.status == 404 else "http_error", error.reason).response()
    except Exception:
        _log.exception("request failed", path=request.path)
        return Problem(500, "internal_error", "Signaling failed on this request; it is in the log.").response()


def application(door: OpenAIDoor, *, console: bool) -> web.Application:
    """The application that clients reach."""
    app = web.Application(middlewares=[allow_any_origin, _as_problems], client_max_size=MAX_BODY)
    app.add_routes(door.routes())
    if console:
        app.add_routes([web.get(path, _console) for path in CONSOLE_FILES])
    return app


async def _console(request: web.Request) -> web.FileResponse:
    return web.FileResponse(CONSOLE / CONSOLE_FILES[request.path])
