"""Finds a transceiver for a call, and the call's transceiver again.

Transceivers are asked in random order, at most three: one that is full or dead answers for itself, and the next one is
asked. An offer that cannot be served is not carried from one to the next.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

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

TRIES: Final = 3
_log = logs.logger(__name__)


class Placement:
    """Places calls on the transceivers that it was told of."""

    def __init__(
        self,
        client: TransceiverClient,
        transceivers: Sequence[str],
        relays: Sequence[OfferedRelay],
        ring: Callable[[], KeyRing],
        seed: random.Random,
    ) -> None:
        self._client = client
        self._transceivers = tuple(transceivers)
        self._relays = tuple(relays)
        self._ring = ring
        self._random = seed

    async def place(self, offer: str, session: dict[str, Any], client: str, key_name: str) -> Taken:
        """The answer of the transceiver that took the call; raises `Problem`."""
        candidates = self._random.sample(self._transceivers, min(TRIES, len(self._transceivers)))
        for api in candidates:
            try:
                taken = await self._client.create(api, offer, session, self._relays)
            except Unavailable as reason:
                _log.warning("transceiver did not take a call", transceiver=api, reason=str(reason))
                continue
            except Refused as refused:
                raise bad_request(str(refused), code="offer_not_served", param="sdp") from None
            _log.info("call placed", session=taken.call_id, transceiver=api, client=client, key=key_name)
            return taken
        raise no_capacity("No transceiver could take the call; try again in a moment.")

    async def hang_up(self, call: str) -> None:
        """End a call; raises a 404 if it is not there (any more)."""
        unknown = Problem(404, "call_not_found", "There is no such call, or it has ended.")
        try:
            TokenOpener(self._ring()).open(token_of(call))
        except WireError:
            raise unknown from None
        for api in self._transceivers:
            try:
                if await self._client.end(api, call):
                    return
            except Unavailable as reason:
                _log.warning("transceiver did not answer", transceiver=api, reason=str(reason))
        raise unknown
