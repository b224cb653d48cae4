"""Talks to transceivers' internal APIs over connections that are kept open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from voicefleet.contract import InternalApi
from voicefleet.wire.keyring import KeyRing

CREATE_DEADLINE: Final = 3.0
"""Seconds for one transceiver to answer; it refuses within milliseconds when it is full."""


class Unavailable(Exception):
    """This transceiver does not take the call (full, draining, gone); another one may."""


class Refused(Exception):
    """The offer itself cannot be served, by no transceiver; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A call that a transceiver took."""

    call_id: str
    answer: str


@dataclass(frozen=True, slots=True)
class OfferedRelay:
    """A relay as it goes into the answer."""

    address: str
    port: int
    tcp: bool = False


class TransceiverClient:
    """One for the process; closed with it."""

    def __init__(self, ring: Callable[[], KeyRing], clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=CREATE_DEADLINE), connector=aiohttp.TCPConnector(limit_per_host=64)
        )

    async def create(self, api: str, offer: str, session: dict[str, Any], relays: Sequence[OfferedRelay]) -> Taken:
        """Ask one transceiver to take a call."""
        body = {
            "offer": offer,
            "session": session,
            "relays": [{"address": relay.address, "port": relay.port, "tcp": relay.tcp} for relay in relays],
        }
        try:
            async with self._http.post(api + InternalApi.SESSIONS, json=body, headers=self._bearer()) as answer:
                reply = await answer.json()
                match answer.status:
                    case 201:
                        return Taken(reply["id"], reply["answer"])
                    case 400 | 422:
                        raise Refused(reply["reason"])
                    case _:
                        raise Unavailable(f"{answer.status}: {reply.get('reason')}")
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def end(self, api: str, call_id: str) -> bool:
        """End a call; False if that transceiver has no such call."""
        try:
            async with self._http.delete(f"{api}{InternalApi.SESSIONS}/{call_id}", headers=self._bearer()) as answer:
                return answer.status == 204
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._ring().minting(self._clock()).api_bearer}"}
