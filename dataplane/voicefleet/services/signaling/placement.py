"""Finds a transceiver for a call, and the call's transceiver again.

The directory gives an order; transceivers answer for themselves. One that is full or dead refuses, and the next one is
asked; an offer that cannot be served is not carried from one to the next.
"""

from collections.abc import Callable, Sequence
from typing import Any

from voicefleet.core.directory import Directory, RelayEntry, TransceiverEntry
from voicefleet.core.steering.policy import Client
from voicefleet.core.steering.steering import Steering
from voicefleet.observability import logs
from voicefleet.services.signaling.problems import Problem, bad_request, no_capacity
from voicefleet.services.signaling.transceiver_client import (
    OfferedRelay,
    Refused,
    Taken,
    TransceiverClient,
    Unavailable,
)
from voicefleet.wire.call_id import token_of
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import TokenOpener

_log = logs.logger(__name__)


class Placement:
    """Places calls by what the directory says now."""

    def __init__(
        self,
        client: TransceiverClient,
        directory: Directory,
        ring: Callable[[], KeyRing],
        clock: Callable[[], float],
        steering: Steering,
    ) -> None:
        self._client = client
        self._directory = directory
        self._ring = ring
        self._clock = clock
        self._steering = steering

    async def place(self, offer: str, session: dict[str, Any], client: Client) -> Taken:
        """The answer of the transceiver that took the call; raises `Problem`."""
        now = self._clock()
        chosen = self._steering.relays(client, now).relays
        relays = _offered(chosen)
        for asked in self._steering.transceivers(client, chosen[0] if chosen else None, now):
            transceiver = asked.transceiver
            try:
                taken = await self._client.create(_api(transceiver), offer, session, relays)
            except Unavailable as reason:
                _log.warning("transceiver did not take a call", transceiver=transceiver.id, reason=str(reason))
                continue
            except Refused as refused:
                raise bad_request(str(refused), code="offer_not_served", param="sdp") from None
            self._steering.placed(client, transceiver.id)
            _log.info("call placed", session=taken.call_id, transceiver=transceiver.id, key=client.key)
            return taken
        raise no_capacity("No transceiver could take the call; try again in a moment.")

    async def hang_up(self, call: str) -> None:
        """End a call; raises a 404 if it is not there (any more)."""
        unknown = Problem(404, "call_not_found", "There is no such call, or it has ended.")
        try:
            route = TokenOpener(self._ring()).open(token_of(call))
        except WireError:
            raise unknown from None
        owner = (route.address, route.port, route.generation)
        for transceiver in self._directory.transceivers():
            if owner in transceiver.workers:
                try:
                    if await self._client.end(_api(transceiver), call):
                        return
                except Unavailable as reason:
                    _log.warning("transceiver did not answer", transceiver=transceiver.id, reason=str(reason))
        raise unknown


def _offered(relays: Sequence[RelayEntry]) -> list[OfferedRelay]:
    """Every address over UDP, best first; then those over TCP, which a client turns to when no UDP comes through."""
    addresses = [each for relay in relays for each in relay.addresses]
    return [OfferedRelay(each.address, each.udp) for each in addresses] + [
        OfferedRelay(each.address, each.tcp, tcp=True) for each in addresses if each.tcp is not None
    ]


def _api(transceiver: TransceiverEntry) -> str:
    host, port = transceiver.api
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
