"""The calls of a worker in this process, as the internal API and the pod's process ask for them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from voicefleet.core.realtime.client_events import Door
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.services.transceiver.calls import Created, Occupancy
from voicefleet.services.transceiver.record import EndCause
from voicefleet.services.transceiver.sockets import serve_socket
from voicefleet.services.transceiver.worker import Worker


class WorkerCalls:
    """What the internal API asks of a worker (`calls.Calls`), and how the pod's process ends it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def create(
        self,
        offer: str,
        config: dict[str, Any],
        relays: Sequence[RelayAddress],
        network: str = "",
        traceparent: str = "",
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

    async def say_goodbye(self, reason: str) -> None:
        """Tell its clients why their calls will end."""
        await self._worker.say_goodbye(reason)

    async def stop(self, reason: str) -> None:
        """End its calls, and then the worker."""
        await self._worker.stop(reason)
