"""What clients may fetch ahead, and what operators may ask.

GET  /v1/relays             the relays that this client would be offered; cacheable, so that a later call starts warm
POST /v1/steering/explain   for an address: what would be chosen, and why, in words; operators only
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicefleet.core.directory import RelayEntry
from voicefleet.core.place import Place
from voicefleet.core.steering.explanation import explain_asked, explain_candidate, explain_client, explain_passed_over
from voicefleet.core.steering.steering import Steering
from voicefleet.services.signaling.call_request import read_bounded
from voicefleet.services.signaling.front_desk import FrontDesk
from voicefleet.services.signaling.openapi import JSON, TEXT, Answer, Described, described
from voicefleet.services.signaling.operators import Operators
from voicefleet.services.signaling.problems import bad_request

KEEP: Final = 60
"""Seconds that a client may go on using the relays it fetched."""
MAX_QUESTION: Final = 4096


class PlaceBody(BaseModel):
    """A place that somebody supposes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


class ExplainBody(BaseModel):
    """Whose call should be explained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, Field(min_length=2, max_length=64)]
    key: Annotated[str, Field(max_length=253)] = ""
    place: PlaceBody | None = None


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of pydantic's that refers to nothing outside of itself: an operation's body has no definitions."""
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolve(definitions[part["$ref"].rpartition("/")[2]])
            return {name: resolve(each) for name, each in part.items()}
        return [resolve(each) for each in part] if isinstance(part, list) else part

    inlined: dict[str, Any] = resolve(schema)
    return inlined


RELAY_ANSWER: Final = {
    "type": "object",
    "required": ["id", "pool", "region", "addresses"],
    "properties": {"id": TEXT, "pool": TEXT, "region": TEXT, "addresses": {"type": "array"}},
}
RELAYS_ANSWER: Final = {
    "type": "object",
    "required": ["relays", "ice_servers", "ice_lite", "expires_at"],
    "properties": {
        "relays": {"type": "array", "items": RELAY_ANSWER},
        "ice_servers": {"type": "array"},
        "ice_lite": {"const": True},
        "expires_at": {"type": "integer"},
    },
}
EXPLAIN_ANSWER: Final = {
    "type": "object",
    "required": ["address", "network", "place_source", "relays", "transceivers", "explanation"],
    "properties": {
        "address": TEXT,
        "network": TEXT,
        "place_source": TEXT,
        "relays": {"type": "array", "items": RELAY_ANSWER},
        "transceivers": {"type": "array", "items": TEXT},
        "explanation": {"type": "array", "items": TEXT, "minItems": 1},
    },
}


@dataclass(slots=True)
class SteeringDoor:
    """Handlers of what concerns choosing."""

    desk: FrontDesk
    steering: Steering
    operators: Operators
    ice_servers: Sequence[str] = ()

    def routes(self) -> list[web.RouteDef]:
        """What an application adds to serve this."""
        return [web.get("/v1/relays", self.relays), web.post("/v1/steering/explain", self.explain)]

    @described(
        Described(
            answers={200: Answer("Best first.", {JSON: RELAYS_ANSWER}, {"Cache-Control": TEXT})},
            refuses=(403, 429, 503),
        )
    )
    async def relays(self, request: web.Request) -> web.Response:
        """The relays for this client, with their pools and what a round trip is expected to take."""
        await self.desk.limits.knock(self.desk.places.address(request))
        caller = self.desk.caller(request)
        choice = self.desk.placement.relays(self.desk.places.client(request, caller.key_name))
        offered = [
            {**_described(each.relay), "expected_ms": round(each.ranked.milliseconds)} for each in choice.candidates
        ]
        servers = [{"urls": [url]} for url in self.ice_servers]
        return web.json_response(
            {"relays": offered, "ice_servers": servers, "ice_lite": True, "expires_at": int(time.time()) + KEEP},
            headers={"Cache-Control": f"private, max-age={KEEP}", "Vary": "Authorization"},
        )

    @described(
        Described(
            answers={200: Answer("What would be chosen, and why.", {JSON: EXPLAIN_ANSWER})},
            refuses=(400, 403, 408, 413, 429),
            body={JSON: _inlined(ExplainBody.model_json_schema())},
        )
    )
    async def explain(self, request: web.Request) -> web.Response:
        """Why calls of an address go where they go."""
        await self.desk.limits.knock(self.desk.places.address(request))
        self.operators.check(request)
        body = _question(await read_bounded(request, MAX_QUESTION, "question"))
        hint = Place(body.place.latitude, body.place.longitude) if body.place is not None else None
        client = self.desk.places.locate(body.address, body.key, hint)
        if not client.network:
            raise bad_request(f"{body.address!r} is no IP address.", param="address")
        now = time.monotonic()
        choice = self.steering.relays(client, now, remember=False)
        first = choice.relays[0] if choice.relays else None
        asked = self.steering.transceivers(client, first, now)
        policy = self.steering.policy
        words = [explain_client(client, choice, policy)]
        words += [explain_candidate(number, each) for number, each in enumerate(choice.candidates, 1)]
        if not choice.candidates:
            words.append("No relay could be offered: the call would be refused with 503.")
        words += explain_passed_over(choice)
        words += explain_asked(asked) or ["No transceiver has room: the call would be refused with 503."]
        return web.json_response(
            {
                "address": body.address,
                "network": client.network,
                "place_source": client.source,
                "relays": [_described(relay) for relay in choice.relays],
                "transceivers": [each.transceiver.id for each in asked],
                "explanation": words,
            }
        )


def _described(relay: RelayEntry) -> dict[str, object]:
    addresses = [{"address": each.address, "udp": each.udp, "tcp": each.tcp} for each in relay.addresses]
    return {"id": relay.id, "pool": relay.pool, "region": relay.region, "addresses": addresses}


def _question(data: bytes) -> ExplainBody:
    try:
        return ExplainBody.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(map(str, first["loc"]))
        raise bad_request(f"'{param}': {first['msg']}", param=param or None) from None
