"""The calls of all workers of a pod: which worker takes a new one, and which one owns a live one.

Nothing is looked up for a live call: its id seals the hop port and the generation of the worker that took it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from aiohttp import web

from voicefleet.core.realtime.client_events import Door
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.core.transceiver.admission import AdmissionLimits, Refusal, choose, explained, free
from voicefleet.net.websocket_relay import HEARTBEAT, MESSAGE, relay
from voicefleet.services.transceiver.calls import Created, NoSuchCall, Occupancy, Unavailable
from voicefleet.services.transceiver.remote_calls import RemoteCalls
from voicefleet.services.transceiver.worker_life import WorkerLife
from voicefleet.wire.call_id import token_of
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import TokenOpener


class PodCalls:
    """What the internal API asks of a pod (`calls.Calls`)."""

    def __init__(
        self,
        workers: Sequence[WorkerLife],
        limits: AdmissionLimits,
        ring: Callable[[], KeyRing],
        on_created: Callable[[str, WorkerLife, str, str], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_created` is told the call, its worker, its client's network, and the span of signaling that asked."""
        self._workers = workers
        self._limits = limits
        self._ring = ring
        self._on_created = on_created
        self._on_change = on_change
        self.created = 0
        self.refused: Counter[Refusal] = Counter()

    async def create(
        self,
        offer: str,
        config: dict[str, Any],
        relays: Sequence[RelayAddress],
        network: str = "",
        traceparent: str = "",
    ) -> Created:
        """Take a call; raises `Unavailable` at once when no worker would take it, or `OfferError`."""
        chosen = choose([worker.load for worker in self._workers], self._limits)
        if not isinstance(chosen, int):
            why, load = chosen
            self.refused[why] += 1
            raise Unavailable(why, explained(why, load, self._limits))
        worker = self._workers[chosen]
        worker.promised += 1
        try:
            created = await self._remote(worker).create(offer, config, relays)
            worker.calls.add(created.call_id)
        except Unavailable as unavailable:
            self.refused[unavailable.why] += 1
            raise
        finally:
            worker.promised -= 1
        self.created += 1
        self._on_created(created.call_id, worker, network, traceparent)
        return created

    async def restart(self, call: str, offer: str, relays: Sequence[RelayAddress]) -> Created:
        """New ICE credentials for a call."""
        return await self._owner(call).restart(call, offer, relays)

    async def end(self, call: str) -> None:
        """Hang up."""
        await self._owner(call).end(call)

    async def look(self, call: str) -> dict[str, Any]:
        """What is known of a call now."""
        return await self._owner(call).look(call)

    async def socket(self, request: web.Request, call: str, door: Door) -> web.StreamResponse:
        """Pass a WebSocket on to the worker that has the call; that one asks for the key again."""
        worker = self._owning(call)
        self._remote(worker)
        headers = {"Authorization": request.headers.get("Authorization", "")}
        url = f"http://worker{request.rel_url}"
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(worker.socket_path)) as http:
            try:
                inner = await http.ws_connect(url, headers=headers, max_msg_size=MESSAGE, autoping=True)
            except aiohttp.WSServerHandshakeError as refused:
                if refused.status == 404:
                    raise NoSuchCall(call) from None
                raise Unavailable(Refusal.GONE, "the worker refuses") from None
            except (aiohttp.ClientError, OSError):
                raise Unavailable(Refusal.GONE, "the worker does not answer") from None
            outer = web.WebSocketResponse(max_msg_size=MESSAGE, heartbeat=HEARTBEAT, compress=False)
            await outer.prepare(request)
            await relay(outer, inner)
        return outer

    async def list(self) -> dict[str, float]:
        """The ages of all calls."""
        ages: dict[str, float] = {}
        for worker in self._workers:
            if worker.remote is not None:
                ages |= await worker.remote.ages()
        return ages

    def occupancy(self) -> Occupancy:
        """How full it is."""
        return Occupancy(
            calls=sum(len(worker.calls) for worker in self._workers),
            capacity=self._limits.calls,
            draining=all(worker.draining for worker in self._workers),
        )

    def free(self) -> int:
        """Calls that would be taken now."""
        return free([worker.load for worker in self._workers], self._limits)

    def drain(self) -> None:
        """Take no more calls."""
        for worker in self._workers:
            worker.draining = True
        self._on_change()

    def _owner(self, call: str) -> RemoteCalls:
        return self._remote(self._owning(call))

    def _owning(self, call: str) -> WorkerLife:
        try:
            route = TokenOpener(self._ring()).open(token_of(call))
        except WireError:
            raise NoSuchCall(call) from None
        for worker in self._workers:
            if worker.hop.port == route.port and worker.generation == route.generation:
                return worker
        raise NoSuchCall(call)

    def _remote(self, worker: WorkerLife) -> RemoteCalls:
        if worker.remote is None:
            raise Unavailable(Refusal.GONE, "the worker is not up")
        return worker.remote
