"""What the internal API can ask: of one worker in this process, or of all workers of a pod through their channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp import web

from voicefleet.core.realtime.client_events import Door
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.core.transceiver.admission import Refusal

GOODBYE_WAIT: Final = 0.5
"""Seconds for clients to take the last event: two round trips around the world."""


class Unavailable(Exception):
    """A call can't be taken, or asked about, now; another transceiver may do it. The message says why."""

    def __init__(self, why: Refusal, text: str) -> None:
        super().__init__(text)
        self.why = why


class NoSuchCall(Exception):
    """There is no such call here, or it has ended."""


@dataclass(frozen=True, slots=True)
class Created:
    """A call that was taken, or its new description after an ICE restart."""

    call_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full a transceiver is."""

    calls: int
    capacity: int
    draining: bool


class Calls(Protocol):
    """The calls of a transceiver. Besides what is said, `Unavailable` may be raised."""

    async def create(
        self,
        offer: str,
        config: dict[str, Any],
        relays: Sequence[RelayAddress],
        network: str = "",
        traceparent: str = "",
    ) -> Created:
        """Take a call; raises `OfferError`. `network` is the client's, as signaling knows it; its trace goes on."""
        ...

    async def restart(self, call: str, offer: str, relays: Sequence[RelayAddress]) -> Created:
        """New ICE credentials for a call; raises `NoSuchCall` or `OfferError`."""
        ...

    async def end(self, call: str) -> None:
        """Hang up; raises `NoSuchCall`."""
        ...

    async def look(self, call: str) -> dict[str, Any]:
        """What is known of a call now; raises `NoSuchCall`."""
        ...

    async def socket(self, request: web.Request, call: str, door: Door) -> web.StreamResponse:
        """Serve a WebSocket of a call, until it is over; raises `NoSuchCall`."""
        ...

    async def list(self) -> dict[str, float]:
        """The ages of all calls."""
        ...

    def occupancy(self) -> Occupancy:
        """How full it is."""
        ...

    def drain(self) -> None:
        """Take no more calls."""
        ...
