"""The WebSocket door: calls whose sound goes in events, and an application's own server beside a call.

GET /v1/realtime?model=...        a call over this WebSocket, for networks that block UDP and for servers that call
GET /v1/realtime?call_id=rtc_...  watches and steers a call that runs (a sideband); takes the application's key

A refusal is an HTTP status on the handshake. Signaling passes messages on and holds nothing: the call is the
transceiver's, and a sideband that leaves changes nothing for it.
"""

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from voicefleet.core.realtime.client_events import MAX_MESSAGE, Door
from voicefleet.net.websocket_relay import HEARTBEAT, relay
from voicefleet.services.signaling.front_desk import FrontDesk, session_of
from voicefleet.services.signaling.openapi import TEXT, Answer, Described, described
from voicefleet.services.signaling.problems import Problem, bad_request
from voicefleet.services.signaling.transceiver_client import Socket

PROTOCOL: Final = "realtime"
"""The subprotocol that is chosen, where a client names any."""


@dataclass(slots=True)
class SocketDoor:
    """Handlers of the door; holds no call."""

    desk: FrontDesk

    def routes(self) -> list[web.RouteDef]:
        """What an application adds to serve this door."""
        return [web.get("/v1/realtime", self.open_socket)]

    @described(
        Described(
            answers={101: Answer("The WebSocket.")},
            refuses=(400, 403, 404, 426, 429, 503),
            query={"model": TEXT, "call_id": TEXT, "intent": TEXT},
        )
    )
    async def open_socket(self, request: web.Request) -> web.StreamResponse:
        """Open the WebSocket of a call of its own, or beside one that runs."""
        call = request.query.get("call_id")
        if call is not None:
            await self.desk.limits.knock(self.desk.places.address(request))
            self.desk.application(request)
            _wants_socket(request)
            return await _joined(request, await self.desk.live.socket(call, Door.SIDEBAND))
        async with self.desk.attempt("websocket", request) as attempt:
            caller = await self.desk.admit(request, attempt)
            _wants_socket(request)
            asked = _asked(request)
            session = session_of(caller, asked, request.query.get("model") if not asked else None)
            self.desk.steer(attempt, needed=False)
            placed = await self.desk.place(attempt, "", session)
            inner = await self.desk.live.socket(placed.call_id, Door.WEBSOCKET)
        return await _joined(request, inner)


def _wants_socket(request: web.Request) -> None:
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise Problem(426, "upgrade_required", "Open a WebSocket here.", headers={"Upgrade": "websocket"})


def _asked(request: web.Request) -> dict[str, Any]:
    intent = request.query.get("intent")
    if intent is None:
        return {}
    if intent != "transcription":
        raise bad_request(f"'intent' is {intent!r}; allowed: 'transcription'.", param="intent")
    return {"type": intent}


async def _joined(request: web.Request, inner: Socket) -> web.StreamResponse:
    """The client's WebSocket, tied to the transceiver's until either ends."""
    outer = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=MAX_MESSAGE, heartbeat=HEARTBEAT, compress=False)
    try:
        await outer.prepare(request)
        await relay(outer, inner)
    finally:
        await inner.close()
    return outer
