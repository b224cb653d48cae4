"""Finds the transceiver of a live call by the call's id, which seals its address: no table that could be lost."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from voicefleet.core.directory import Directory, TransceiverEntry
from voicefleet.core.realtime.client_events import Door
from voicefleet.observability import logs
from voicefleet.services.signaling.problems import Problem
from voicefleet.services.signaling.transceiver_client import (
    NoSuchCall,
    OfferedRelay,
    Refused,
    Socket,
    TransceiverClient,
    Unavailable,
    api_of,
)
from voicefleet.wire.call_id import token_of
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import TokenOpener

_log = logs.logger(__name__)
_Answer = TypeVar("_Answer")


class LiveCalls:
    """What may be done with a call that runs somewhere."""

    def __init__(self, client: TransceiverClient, directory: Directory, ring: Callable[[], KeyRing]) -> None:
        self._client = client
        self._directory = directory
        self._ring = ring

    async def end(self, call: str) -> None:
        """Hang up; raises a 404 if it is not there (any more)."""
        await self._owner(call, lambda owner: self._client.end(api_of(owner), call))

    async def version(self, call: str) -> int:
        """The version of its session description; raises a 404."""
        return await self._owner(call, lambda owner: self._client.version(api_of(owner), call))

    async def look(self, call: str) -> tuple[TransceiverEntry, dict[str, Any]]:
        """The transceiver that has it, and what is known of it now; raises a 404."""

        async def ask(transceiver: TransceiverEntry) -> tuple[TransceiverEntry, dict[str, Any]]:
            return transceiver, await self._client.look(api_of(transceiver), call)

        return await self._owner(call, ask)

    async def restart(self, call: str, fragment: str, relays: Sequence[OfferedRelay]) -> str:
        """The answer to new ICE credentials; raises a 404, or a 422 for what is no restart."""
        try:
            return await self._owner(call, lambda owner: self._client.restart(api_of(owner), call, fragment, relays))
        except Refused as refused:
            raise Problem(422, "restart_not_served", str(refused), param="sdp") from None

    async def socket(self, call: str, door: Door) -> Socket:
        """A WebSocket of a call, of its own client or beside it; raises a 404."""
        return await self._owner(call, lambda owner: self._client.socket(api_of(owner), call, door))

    async def _owner(self, call: str, ask: Callable[[TransceiverEntry], Awaitable[_Answer]]) -> _Answer:
        unknown = Problem(404, "call_not_found", "There is no such call, or it has ended.")
        try:
            route = TokenOpener(self._ring()).open(token_of(call))
        except WireError:
            raise unknown from None
        owner = (route.address, route.port, route.generation)
        for transceiver in self._directory.transceivers():
            if owner in transceiver.workers:
                try:
                    return await ask(transceiver)
                except NoSuchCall:
                    raise unknown from None
                except Unavailable as reason:
                    _log.warning("transceiver did not answer", transceiver=transceiver.id, reason=str(reason))
                    raise Problem(
                        503, "transceiver_silent", "The call's transceiver does not answer.", retry_after=2
                    ) from None
        raise unknown
