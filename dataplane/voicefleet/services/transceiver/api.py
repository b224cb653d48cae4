"""The internal API of a worker: signaling creates and ends calls here, the operator drains and counts them.

Every request carries a bearer key that is derived from the fleet's secret; nothing is answered without it.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicefleet.contract import InternalApi
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.core.sdp.offer import MAX_OFFER, OfferError
from voicefleet.services.transceiver.worker import Full, Worker
from voicefleet.wire.keyring import KeyRing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RelayBody(BaseModel):
    """A relay as signaling chose it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, Field(max_length=64)]
    port: Annotated[int, Field(ge=1, le=65535)]
    tcp: bool = False


class CreateBody(BaseModel):
    """A call to take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offer: Annotated[str, Field(max_length=MAX_OFFER)]
    session: dict[str, Any] = Field(default_factory=dict)
    relays: Annotated[tuple[RelayBody, ...], Field(max_length=16)] = ()


def internal_api(worker: Worker, ring: Callable[[], KeyRing]) -> web.Application:
    """The application that a worker serves on the pod's address."""

    @web.middleware
    async def authenticated(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        keys = (key.api_bearer.encode() for key in ring().keys)
        if scheme != "Bearer" or not any(hmac.compare_digest(presented.encode(), key) for key in keys):
            return _refusal(401, "the internal API needs the fleet's key")
        return await handler(request)

    async def create(request: web.Request) -> web.Response:
        try:
            body = CreateBody.model_validate_json(await request.read())
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return _refusal(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        try:
            created = worker.create(
                body.offer, body.session, [RelayAddress(relay.address, relay.port, relay.tcp) for relay in body.relays]
            )
        except Full as full:
            return _refusal(503, str(full))
        except OfferError as error:
            return _refusal(422, str(error), line=error.line)
        return web.json_response({"id": created.call_id, "answer": created.answer}, status=201)

    async def end(request: web.Request) -> web.Response:
        session = worker.sessions.get(request.match_info["id"])
        if session is None:
            return _refusal(404, "no such call here")
        session.end("hung up")
        return web.Response(status=204)

    async def status(request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        calls = [{"id": call, "age": now - session.created_at} for call, session in worker.sessions.items()]
        return web.json_response({"calls": calls, "capacity": worker.capacity, "draining": worker.draining})

    async def drain(request: web.Request) -> web.Response:
        worker.draining = True
        return web.json_response({"calls": len(worker.sessions)})

    application = web.Application(middlewares=[authenticated], client_max_size=1024 * 1024)
    application.add_routes(
        [
            web.post(InternalApi.SESSIONS, create),
            web.get(InternalApi.SESSIONS, status),
            web.delete(InternalApi.SESSIONS + "/{id}", end),
            web.post(InternalApi.DRAIN, drain),
        ]
    )
    return application


def _refusal(status: int, reason: str, **more: Any) -> web.Response:
    return web.json_response({"reason": reason, **more}, status=status)
