"""The internal API of a transceiver: signaling creates, restarts and ends calls here, the operator drains and counts.

Every request carries a bearer key that is derived from the fleet's secret; nothing is answered without it.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicefleet.contract import InternalApi
from voicefleet.core.realtime.client_events import Door
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.core.sdp.offer import MAX_OFFER, OfferError
from voicefleet.observability.traces import TRACEPARENT
from voicefleet.services.transceiver.calls import Calls, NoSuchCall, Unavailable
from voicefleet.wire.keyring import KeyRing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Body = TypeVar("_Body", bound=BaseModel)


class RelayBody(BaseModel):
    """A relay as signaling chose it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, Field(max_length=64)]
    port: Annotated[int, Field(ge=1, le=65535)]
    tcp: bool = False


class RestartBody(BaseModel):
    """New ICE credentials for a call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offer: Annotated[str, Field(max_length=MAX_OFFER)]
    relays: Annotated[tuple[RelayBody, ...], Field(max_length=16)] = ()

    @property
    def addresses(self) -> list[RelayAddress]:
        """The relays as the answer takes them."""
        return [RelayAddress(relay.address, relay.port, relay.tcp) for relay in self.relays]


class CreateBody(RestartBody):
    """A call to take."""

    session: dict[str, Any] = Field(default_factory=dict)
    network: Annotated[str, Field(max_length=64)] = ""
    """The client's (/24 or /48), as signaling knows it: what is measured is reported for it."""


class _BadBody(Exception):
    """A request that is not what it should be."""


def internal_api(calls: Calls, ring: Callable[[], KeyRing]) -> web.Application:
    """The application that a transceiver serves on the pod's address."""

    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        keys = (key.api_bearer.encode() for key in ring().keys)
        if scheme != "Bearer" or not any(hmac.compare_digest(presented.encode(), key) for key in keys):
            return _refusal(401, "the internal API needs the fleet's key")
        return await handler(request)

    @web.middleware
    async def explained(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except _BadBody as bad:
            return _refusal(400, str(bad))
        except NoSuchCall:
            return _refusal(404, "no such call here")
        except OfferError as error:
            return _refusal(422, str(error), line=error.line)
        except Unavailable as full:
            return _refusal(503, str(full), cause=full.why)

    async def create(request: web.Request) -> web.Response:
        body = await _read(request, CreateBody)
        traceparent = request.headers.get(TRACEPARENT, "")
        created = await calls.create(body.offer, body.session, body.addresses, body.network, traceparent)
        return web.json_response({"id": created.call_id, "answer": created.answer}, status=201)

    async def restart(request: web.Request) -> web.Response:
        body = await _read(request, RestartBody)
        created = await calls.restart(request.match_info["id"], body.offer, body.addresses)
        return web.json_response({"id": created.call_id, "answer": created.answer})

    async def end(request: web.Request) -> web.Response:
        await calls.end(request.match_info["id"])
        return web.Response(status=204)

    async def look(request: web.Request) -> web.Response:
        return web.json_response(await calls.look(request.match_info["id"]))

    async def socket(request: web.Request) -> web.StreamResponse:
        door = Door.SIDEBAND if request.query.get("as") == Door.SIDEBAND else Door.WEBSOCKET
        return await calls.socket(request, request.match_info["id"], door)

    async def list_all(_request: web.Request) -> web.Response:
        ages = await calls.list()
        listed = [{"id": call, "age": age} for call, age in ages.items()]
        return web.json_response({**asdict(calls.occupancy()), "calls": listed})

    async def drain(_request: web.Request) -> web.Response:
        calls.drain()
        return web.json_response(asdict(calls.occupancy()))

    application = web.Application(middlewares=[authenticated, explained], client_max_size=1024 * 1024)
    application.add_routes(
        [
            web.post(InternalApi.SESSIONS, create),
            web.get(InternalApi.SESSIONS, list_all),
            web.get(InternalApi.SESSIONS + "/{id}", look),
            web.get(InternalApi.SESSIONS + "/{id}/socket", socket),
            web.delete(InternalApi.SESSIONS + "/{id}", end),
            web.post(InternalApi.SESSIONS + "/{id}/restart", restart),
            web.post(InternalApi.DRAIN, drain),
        ]
    )
    return application


async def _read(request: web.Request, kind: type[_Body]) -> _Body:
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _BadBody(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _refusal(status: int, reason: str, **more: Any) -> web.Response:
    return web.json_response({"reason": reason, **more}, status=status)
