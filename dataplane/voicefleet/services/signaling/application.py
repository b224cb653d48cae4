"""Signaling as an aiohttp application: its doors, errors as clients read them, and access from any origin."""

import json
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from voicefleet.observability import logs
from voicefleet.services.signaling.call_request import MAX_BODY
from voicefleet.services.signaling.cross_origin import Handler, allow_any_origin
from voicefleet.services.signaling.openapi import document
from voicefleet.services.signaling.problems import Problem
from voicefleet.services.signaling.whip_door import PATH as WHIP

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


def application(doors: Sequence[Door], *, open_mode: bool = False) -> web.Application:
    """The application that clients reach."""
    app = web.Application(middlewares=[allow_any_origin, _as_problems], client_max_size=MAX_BODY)
    routes = [route for door in doors for route in door.routes()]
    app.add_routes(routes)
    openapi = json.dumps(document(routes, open_mode=open_mode))

    async def serve_openapi(_request: web.Request) -> web.Response:
        return web.Response(text=openapi, content_type="application/json")

    app.router.add_get("/openapi.json", serve_openapi)
    return app
