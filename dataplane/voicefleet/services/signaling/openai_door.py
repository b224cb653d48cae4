"""The OpenAI-compatible door: the HTTP dialect that `openai` and `@openai/agents` speak with only the base URL changed.

POST /v1/realtime/client_secrets      an application asks for an ephemeral secret for its browser
POST /v1/realtime/calls               an SDP offer starts a call; 201, the answer, and where the call can be found
POST /v1/realtime                     the same, in the older spelling with ?model=
POST /v1/realtime/calls/{id}/hangup   ends a call
"""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from voicefleet.services.signaling.call_request import (
    CALL_BODY,
    MAX_BODY,
    SESSION_SCHEMA,
    read_bounded,
    read_call_request,
    read_session,
)
from voicefleet.services.signaling.front_desk import FrontDesk, session_of
from voicefleet.services.signaling.openapi import JSON, TEXT, Answer, Described, described
from voicefleet.services.signaling.problems import Problem, bad_request
from voicefleet.wire.client_secret import ClientSecret, seal
from voicefleet.wire.errors import WireError

SECRET_LIFE: Final = 600
SECRET_LIFE_RANGE: Final = (10, 7200)
"""Seconds; the range and default that OpenAI documents for `expires_after.seconds`."""

SECRET_REQUEST: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "session": {"anyOf": [SESSION_SCHEMA, {"type": "null"}]},
        "expires_after": {
            "type": ["object", "null"],
            "properties": {
                "anchor": {"const": "created_at"},
                "seconds": {"type": "integer", "minimum": SECRET_LIFE_RANGE[0], "maximum": SECRET_LIFE_RANGE[1]},
            },
        },
        "origin": {"type": ["string", "null"], "description": "The only web origin that may use the secret."},
    },
}
SECRET_ANSWER: Final = {
    "type": "object",
    "required": ["value", "expires_at", "session"],
    "properties": {
        "value": {"type": "string", "pattern": "^ek_"},
        "expires_at": {"type": "integer"},
        "session": {"type": "object", "required": ["object", "id", "type"]},
    },
}
START: Final = Described(
    answers={
        201: Answer("The SDP answer.", {"application/sdp": TEXT}, {"Location": TEXT, "Server-Timing": TEXT}),
    },
    refuses=(400, 403, 408, 413, 415, 429, 503),
    body=CALL_BODY,
    query={"model": TEXT},
)


@dataclass(slots=True)
class OpenAIDoor:
    """Handlers of the door; holds no call."""

    desk: FrontDesk

    def routes(self) -> list[web.RouteDef]:
        """What an application adds to serve this door."""
        return [
            web.post("/v1/realtime/client_secrets", self.create_secret),
            web.post("/v1/realtime/calls", self.start_call),
            web.post("/v1/realtime", self.start_call),
            web.post("/v1/realtime/calls/{call_id}/hangup", self.hang_up),
        ]

    @described(
        Described(
            answers={200: Answer("The secret.", {JSON: SECRET_ANSWER})},
            refuses=(400, 403, 408, 413, 429),
            body={JSON: SECRET_REQUEST},
            body_required=False,
        )
    )
    async def create_secret(self, request: web.Request) -> web.Response:
        """Seal the session configuration of an application into a secret that its browser may hold."""
        address = self.desk.places.address(request)
        await self.desk.limits.knock(address)
        caller = self.desk.application(request)
        body = await _json_body(request)
        unknown = body.keys() - {"session", "expires_after", "origin"}
        if unknown:
            raise bad_request(
                f"'{min(unknown)}' is not known; allowed: 'session', 'expires_after', 'origin'.", param=min(unknown)
            )
        session = read_session(json.dumps(body.get("session") or {}))
        expires_at = int(time.time()) + _life(body.get("expires_after"))
        ring = self.desk.admission.ring()
        try:
            value = seal(
                ClientSecret(caller.key_name, expires_at, session, _origin(body)),
                ring.minting(time.time()),
                ring.fleet_tag,
                secrets.token_bytes,
            )
        except WireError as error:
            raise Problem(
                413, "session_too_large", f"The session does not fit a secret: {error.detail}.", param="session"
            ) from None
        described = {"object": f"realtime.{'transcription_' if session['type'] == 'transcription' else ''}session",
                     "id": f"sess_{secrets.token_hex(10)}", **session}  # fmt: skip
        return web.json_response({"value": value, "expires_at": expires_at, "session": described})

    @described(START)
    async def start_call(self, request: web.Request) -> web.Response:
        """Offer in, answer out."""
        async with self.desk.attempt("openai", request) as attempt:
            caller = await self.desk.admit(request, attempt)
            with attempt.stage("body"):
                asked = await read_call_request(request)
            session = session_of(caller, asked.session, request.query.get("model"))
            placed = await self.desk.place(attempt, asked.sdp, session)
            return web.Response(
                status=201,
                body=placed.answer.encode(),
                content_type="application/sdp",
                headers={
                    "Location": f"/v1/realtime/calls/{placed.call_id}",
                    "Server-Timing": attempt.server_timing(),
                },
            )

    @described(Described(answers={200: Answer("It has ended.")}, refuses=(403, 404, 429, 503)))
    async def hang_up(self, request: web.Request) -> web.Response:
        """End a call, wherever it runs."""
        await self.desk.limits.knock(self.desk.places.address(request))
        self.desk.caller(request)
        await self.desk.live.end(request.match_info["call_id"])
        return web.Response(status=200)


async def _json_body(request: web.Request) -> dict[str, Any]:
    data = await read_bounded(request, MAX_BODY, "body")
    try:
        body = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        raise bad_request("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise bad_request("The body has to be a JSON object.")
    return body


def _life(asked: Any) -> int:
    if asked is None:
        return SECRET_LIFE
    seconds = asked.get("seconds", SECRET_LIFE) if isinstance(asked, dict) else None
    low, high = SECRET_LIFE_RANGE
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not low <= seconds <= high:
        raise bad_request(f"'expires_after.seconds' has to be from {low} to {high}.", param="expires_after.seconds")
    return seconds


def _origin(body: dict[str, Any]) -> str | None:
    origin = body.get("origin")
    if origin is not None and not isinstance(origin, str):
        raise bad_request("'origin' has to be text such as 'https://app.example'.", param="origin")
    return origin
