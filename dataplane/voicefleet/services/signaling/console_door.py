"""The console: a page to talk to the fleet and to watch it.

GET  /                 the page; its parts are under /console/
POST /console/break    in local mode: kill or drain a process, empty the session map; operators only

The page holds no secret: whoever opens it brings a key. What it shows of the fleet it asks of /v1/fleet.
"""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicefleet.core.directory import Directory
from voicefleet.net.local_requests import SESSION_MAP, LocalRequests, Request
from voicefleet.services.signaling.call_request import read_bounded
from voicefleet.services.signaling.openapi import JSON, TEXT, Answer, Described, described
from voicefleet.services.signaling.operators import Operators
from voicefleet.services.signaling.problems import Problem, bad_request

PAGE: Final = Path(str(files(__package__) / "console"))
NOTICE_MARK: Final = "<!-- notice -->"
OPEN_NOTICE: Final = (
    '<p class="notice" role="alert">Open mode: anybody who reaches this address may call. For local use only.</p>'
)
KINDS: Final = {".js": "text/javascript", ".css": "text/css"}
POLICY: Final = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "media-src 'self' blob: mediastream:; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}
LOCAL_MARK: Final = "<body>"
LOCAL: Final = "<body data-breakable>"
MAX_WISH: Final = 1024


class Wish(BaseModel):
    """What somebody wants to break."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Request
    target: Annotated[str, Field(min_length=1, max_length=128)]


class ConsoleDoor:
    """Handlers of the page."""

    def __init__(
        self, operators: Operators, directory: Directory, *, open_mode: bool, local: LocalRequests | None = None
    ) -> None:
        self._operators = operators
        self._directory = directory
        self._local = local
        page = (PAGE / "index.html").read_text().replace(NOTICE_MARK, OPEN_NOTICE if open_mode else "")
        self._page = page.replace(LOCAL_MARK, LOCAL) if local is not None else page
        self._parts = {path.name: path.read_text() for path in PAGE.iterdir() if path.suffix in KINDS}

    def routes(self) -> list[web.RouteDef]:
        """What an application adds to serve this."""
        routes = [web.get("/", self.page), web.get("/console/{part}", self.part)]
        return routes if self._local is None else [*routes, web.post("/console/break", self.break_something)]

    @described(Described({200: Answer("The page.", {"text/html": TEXT})}, needs_key=False))
    async def page(self, _request: web.Request) -> web.Response:
        """A page to talk to the fleet and to watch it."""
        return web.Response(text=self._page, content_type="text/html", headers=POLICY)

    @described(
        Described(
            {200: Answer("Script or style.", dict.fromkeys(KINDS.values(), TEXT))}, refuses=(404,), needs_key=False
        )
    )
    async def part(self, request: web.Request) -> web.Response:
        """A script or style of the page."""
        name = request.match_info["part"]
        if name not in self._parts:
            raise web.HTTPNotFound
        return web.Response(text=self._parts[name], content_type=KINDS[Path(name).suffix], headers=POLICY)

    @described(
        Described(
            {202: Answer("It is asked for.", {JSON: {"type": "object"}})},
            refuses=(400, 403, 404, 408, 413),
            body={JSON: Wish.model_json_schema()},
        )
    )
    async def break_something(self, request: web.Request) -> web.Response:
        """Ask `voicefleet up` to break a part of its fleet, so that everybody can see that a call survives."""
        self._operators.check(request)
        try:
            wish = Wish.model_validate_json(await read_bounded(request, MAX_WISH, "wish"))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise bad_request(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        known = {entry.id for entry in self._directory.entries()} | {SESSION_MAP}
        if wish.target not in known or (wish.action is Request.FLUSH) != (wish.target == SESSION_MAP):
            raise Problem(404, "no_such_part", f"There is no {wish.target} to {wish.action}.")
        assert self._local is not None, "the route is there in local mode only"
        self._local.put(wish.action, wish.target)
        return web.json_response({"action": wish.action, "target": wish.target}, status=202)
