"""The console: a page to talk to the fleet and to watch it, and what the page asks for.

GET  /                     the page; its parts are under /console/
GET  /console/fleet        who is there, as the directory says; operators only
GET  /console/calls/{id}   which transceiver has a call, and how it goes; operators only

The page itself holds no secret: whoever opens it brings a key.
"""

import time
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiohttp import web

from voicefleet.core.directory import Directory, RelayEntry, TransceiverEntry
from voicefleet.services.signaling.front_desk import FrontDesk
from voicefleet.services.signaling.openapi import JSON, TEXT, Answer, Described, described
from voicefleet.services.signaling.operators import Operators

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
PARTS: Final = {"type": "array", "items": {"type": "object", "required": ["id", "region", "draining", "stale"]}}


class ConsoleDoor:
    """Handlers of the page."""

    def __init__(self, desk: FrontDesk, directory: Directory, operators: Operators, open_mode: bool) -> None:
        self._desk = desk
        self._directory = directory
        self._operators = operators
        notice = OPEN_NOTICE if open_mode else ""
        self._page = (PAGE / "index.html").read_text().replace(NOTICE_MARK, notice)
        self._parts = {path.name: path.read_text() for path in PAGE.iterdir() if path.suffix in KINDS}

    def routes(self) -> list[web.RouteDef]:
        """What an application adds to serve this."""
        return [
            web.get("/", self.page),
            web.get("/console/fleet", self.fleet),
            web.get("/console/calls/{id}", self.call),
            web.get("/console/{part}", self.part),
        ]

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
            {
                200: Answer(
                    "As the directory knows it.",
                    {JSON: {"type": "object", "properties": {"relays": PARTS, "transceivers": PARTS}}},
                )
            },
            refuses=(403,),
        )
    )
    async def fleet(self, request: web.Request) -> web.Response:
        """Relays and transceivers: where they are, how full, and whether they drain or have fallen silent."""
        self._operators.check(request)
        now = time.monotonic()
        return web.json_response(
            {
                "relays": [self._relay(each, now) for each in sorted(self._directory.relays(), key=_by_name)],
                "transceivers": [
                    self._transceiver(each, now) for each in sorted(self._directory.transceivers(), key=_by_name)
                ],
                "breakable": [],
            }
        )

    @described(Described({200: Answer("What is known of it.", {JSON: {"type": "object"}})}, refuses=(403, 404, 503)))
    async def call(self, request: web.Request) -> web.Response:
        """Where a call runs, and its measurements so far."""
        self._operators.check(request)
        transceiver, record = await self._desk.live.look(request.match_info["id"])
        where = {"id": transceiver.id, "shard": transceiver.shard, "region": transceiver.region}
        return web.json_response({"transceiver": where, "record": record})

    def _relay(self, relay: RelayEntry, now: float) -> dict[str, object]:
        addresses = [{"address": each.address, "udp": each.udp, "tcp": each.tcp} for each in relay.addresses]
        more = {"pool": relay.pool, "addresses": addresses, "load": relay.load, "tier": relay.tier}
        return self._part(relay, now) | more

    def _transceiver(self, each: TransceiverEntry, now: float) -> dict[str, object]:
        return self._part(each, now) | {"shard": each.shard, "capacity": each.capacity, "free": each.free}

    def _part(self, entry: RelayEntry | TransceiverEntry, now: float) -> dict[str, object]:
        stale = self._directory.stale(entry, now)
        return {"id": entry.id, "region": entry.region, "draining": entry.draining, "stale": stale}


def _by_name(entry: RelayEntry | TransceiverEntry) -> str:
    return entry.id
