"""What all doors do with a request for a call: who is it, may he, where is he, who takes him."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from voicefleet.core.steering.policy import Policy
from voicefleet.core.steering.redirect import OtherRegion, better_region
from voicefleet.observability.traces import NO_TRACES, TRACEPARENT, Traces
from voicefleet.services.signaling.call_attempt import CallAttempt, attempted
from voicefleet.services.signaling.callers import Admission, Caller
from voicefleet.services.signaling.client_places import ClientPlaces
from voicefleet.services.signaling.live_calls import LiveCalls
from voicefleet.services.signaling.metrics import SignalingMetrics
from voicefleet.services.signaling.placement import Placed, Placement
from voicefleet.services.signaling.rate_limits import RateLimits

KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""What comes before the key in a subprotocol, as OpenAI's clients write it."""


@dataclass(frozen=True, slots=True)
class FrontDesk:
    """The parts that doors share; holds no call."""

    admission: Admission
    places: ClientPlaces
    limits: RateLimits
    placement: Placement
    live: LiveCalls
    metrics: SignalingMetrics
    policy: Callable[[], Policy] = Policy
    region: str = ""
    other_regions: Sequence[OtherRegion] = ()
    traces: Traces = NO_TRACES

    def attempt(self, door: str, request: web.Request) -> AbstractAsyncContextManager[CallAttempt]:
        """A request for a call at this door; its trace goes on where the client's has one."""
        return attempted(door, self.metrics, self.traces.begin("call", request.headers.get(TRACEPARENT, "")))

    def caller(self, request: web.Request) -> Caller:
        """Who may do something with calls; raises a 401 or 403."""
        return self.admission.caller(_authorization(request), request.headers.get("Origin"), time.time())

    def application(self, request: web.Request) -> Caller:
        """As `caller`, but an ephemeral secret is not enough."""
        return self.admission.application(_authorization(request), request.headers.get("Origin"), time.time())

    async def admit(self, request: web.Request, attempt: CallAttempt) -> Caller:
        """The caller behind a request for a call, within the limits; raises a 401, 403 or 429."""
        with attempt.stage("admission"):
            address = self.places.address(request)
            await self.limits.knock(address)
            attempt.caller = caller = self.caller(request)
            attempt.client = self.places.client(request, caller.key_name)
            await self.limits.take(caller.key_name, address)
        return caller

    def elsewhere(self, request: web.Request, attempt: CallAttempt) -> OtherRegion | None:
        """The region whose signaling should answer instead; never for one who was sent here already."""
        if not self.other_regions or "redirected" in request.query or attempt.choice is None:
            return None
        return better_region(attempt.choice, self.other_regions, self.region, self.policy())

    def steer(self, attempt: CallAttempt, *, needed: bool = True) -> None:
        """Choose the relays; raises a 503 where there is none, unless the call can do without (`needed`)."""
        assert attempt.client is not None, "steered before it was admitted"
        with attempt.stage("steering"):
            attempt.choice = self.placement.relays(attempt.client, needed=needed)

    async def place(self, attempt: CallAttempt, sdp: str, session: Mapping[str, Any]) -> Placed:
        """Find a transceiver for the call."""
        assert attempt.client is not None, "placed before it was admitted"
        if attempt.choice is None:
            self.steer(attempt)
        assert attempt.choice is not None
        with attempt.stage("transceiver") as span:
            attempt.placed = await self.placement.place(sdp, dict(session), attempt.client, attempt.choice, span)
        return attempt.placed


def _authorization(request: web.Request) -> str | None:
    """The key of a request; a browser's WebSocket can't send a header, and names it as a subprotocol."""
    given = request.headers.get("Authorization")
    if given is None:
        for protocol in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
            if protocol.strip().startswith(KEY_PROTOCOL):
                return f"Bearer {protocol.strip().removeprefix(KEY_PROTOCOL)}"
    return given


def session_of(caller: Caller, asked: Mapping[str, Any], model: str | None = None) -> dict[str, Any]:
    """The call's session: what the application fixed wins over what the browser asks for."""
    wanted = dict(asked)
    if model is not None:
        wanted.setdefault("model", model)
    return {"type": "realtime", **wanted, **caller.session}
