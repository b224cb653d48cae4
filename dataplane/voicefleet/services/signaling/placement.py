"""Finds a transceiver for a call. Steering gives an order; transceivers answer for themselves.

One that is full or dead refuses, and the next one is asked, within one deadline for all; an offer that cannot be served
is not carried from one to the next.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from voicefleet.core.steering.policy import Client
from voicefleet.core.steering.relay_choice import RelayChoice
from voicefleet.core.steering.steering import Steering
from voicefleet.observability import logs
from voicefleet.observability.traces import UNTRACED, Span
from voicefleet.services.signaling.problems import Problem, bad_request, no_capacity
from voicefleet.services.signaling.transceiver_client import (
    Refused,
    Taken,
    TransceiverClient,
    Unavailable,
    api_of,
    offered,
)

DEADLINE: Final = 6.0
"""Seconds for all transceivers together: a caller who waits longer has hung up."""

_log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that runs."""

    call_id: str
    answer: str
    transceiver: str
    asked: int
    """Transceivers that were asked, this one included."""


class Placement:
    """Places calls by what the directory says now."""

    def __init__(self, client: TransceiverClient, steering: Steering, clock: Callable[[], float]) -> None:
        self._client = client
        self._steering = steering
        self._clock = clock

    def relays(self, client: Client, *, needed: bool = True) -> RelayChoice:
        """The relays that this client should be offered; raises a 503 where there is none and calls need one."""
        choice = self._steering.relays(client, self._clock())
        if choice.candidates or not needed:
            return choice
        if self._steering.policy.allowed_regions:
            regions = ", ".join(sorted(self._steering.policy.allowed_regions))
            raise Problem(
                503,
                "no_relay_in_allowed_regions",
                f"No relay is there in the regions that calls may use ({regions}).",
                retry_after=5,
            )
        if not self._steering.direct(self._clock()):
            why = "No relay takes calls at the moment" if choice.gone else "No relay is known at the moment"
            raise Problem(503, "no_relay", f"{why}, and calls cannot do without; try again soon.", retry_after=2)
        return choice

    async def place(
        self, offer: str, session: dict[str, Any], client: Client, choice: RelayChoice, span: Span = UNTRACED
    ) -> Placed:
        """The answer of the transceiver that took the call; raises `Problem`. Without an offer it has no media path."""
        relays = choice.relays
        addresses = offered(relays)
        order = self._steering.transceivers(client, relays[0] if relays else None, self._clock())
        if offer and not relays:
            order = tuple(each for each in order if each.transceiver.direct)
        until = asyncio.get_running_loop().time() + DEADLINE
        for number, asked in enumerate(order, 1):
            transceiver = asked.transceiver
            asking = span.child("ask", asks=True)
            asking.note(transceiver=transceiver.id, shard=transceiver.shard)
            failure = "abandoned"
            try:
                async with asyncio.timeout_at(until):
                    taken: Taken = await self._client.create(
                        api_of(transceiver), offer, session, addresses, client.network, asking.traceparent
                    )
                failure = ""
            except (Unavailable, TimeoutError) as reason:
                failure = type(reason).__name__
                _log.warning("transceiver did not take a call", transceiver=transceiver.id, reason=str(reason))
                continue
            except Refused as refused:
                failure = "offer_not_served"
                raise bad_request(str(refused), code="offer_not_served", param="sdp") from None
            finally:
                asking.end(failure)
            self._steering.placed(client, transceiver.id)
            return Placed(taken.call_id, taken.answer, transceiver.id, number)
        raise no_capacity("No transceiver could take the call; try again in a moment.")
