"""What the internal API can ask: of one worker in this process, or of all workers of a pod through their channels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from aiohttp import web

from voicefleet.core.realtime.client_events import Door
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.services.transceiver.record import EndCause
from voicefleet.services.transceiver.sockets import serve_socket
from voicefleet.services.transceiver.worker import Created, Worker


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How full a transceiver is."""

    calls: int
    capacity: int
    draining: bool


class Calls(Protocol):
    """The calls of a transceiver. Besides what is said, `Unavailable` may be raised."""

    async def create(
        self, offer: str, config: dict[str, Any], relays: Sequence[RelayAddress], network: str = ""
    ) -> Created:
        """Take a call; raises `OfferError`. `network` is the client's, as signaling knows it."""
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


class WorkerCalls:
    """The calls of a worker in this process."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def create(
        self, offer: str, config: dict[str, Any], relays: Sequence[RelayAddress], network: str = ""
    ) -> Created:
        """Take a call."""
        return self._worker.create(offer, config, relays)

    async def restart(self, call: str, offer: str, relays: Sequence[RelayAddress]) -> Created:
        """New ICE credentials for a call."""
        return self._worker.restart(self._worker.session(call), offer, relays)

    async def end(self, call: str) -> None:
        """Hang up."""
        self._worker.call(call).end(EndCause.HUNG_UP, "hung up")

    async def look(self, call: str) -> dict[str, Any]:
        """What is known of a call now."""
        return asdict(await self._worker.call(call).look())

    async def socket(self, request: web.Request, call: str, door: Door) -> web.StreamResponse:
        """Serve a WebSocket of a call."""
        return await serve_socket(request, self._worker.call(call), door)

    async def list(self) -> dict[str, float]:
        """The ages of all calls."""
        return self._worker.ages()

    def occupancy(self) -> Occupancy:
        """How full it is."""
        worker = self._worker
        return Occupancy(worker.calls, worker.limits.calls, worker.draining)

    def drain(self) -> None:
        """Take no more calls."""
        self._worker.draining = True
