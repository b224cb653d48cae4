"""Talks to transceivers' internal APIs over connections that are kept open."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import aiohttp

from voicefleet.contract import InternalApi
from voicefleet.core.directory import RelayEntry, TransceiverEntry
from voicefleet.core.realtime.client_events import MAX_MESSAGE, Door
from voicefleet.net.websocket_relay import HEARTBEAT
from voicefleet.observability.traces import TRACEPARENT
from voicefleet.wire.keyring import KeyRing

CREATE_DEADLINE: Final = 3.0
"""Seconds for one transceiver to answer; it refuses within milliseconds when it is full."""


MOST_ADDRESSES: Final = 16
"""What a transceiver takes; more would only make the client check more paths."""
CONNECTIONS_EACH: Final = 64
IDLE: Final = 75.0
"""Seconds that a connection to a transceiver is kept for the next call, so that a set-up pays no handshake."""


Socket = aiohttp.ClientWebSocketResponse[Any]


class Unavailable(Exception):
    """This transceiver does not take the call (full, draining, gone); another one may."""


class NoSuchCall(Exception):
    """This transceiver has no such call."""


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


def offered(relays: Sequence[RelayEntry]) -> tuple[OfferedRelay, ...]:
    """The addresses of relays in their order; TCP, which is for networks that block UDP, after all UDP."""
    addresses = [address for relay in relays for address in relay.addresses]
    udp = [OfferedRelay(each.address, each.udp) for each in addresses]
    tcp = [OfferedRelay(each.address, each.tcp, True) for each in addresses if each.tcp is not None]
    return (*udp, *tcp)[:MOST_ADDRESSES]


def api_of(transceiver: TransceiverEntry) -> str:
    """The base URL of a transceiver's internal API."""
    host, port = transceiver.api
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class TransceiverClient:
    """One for the process; closed with it."""

    def __init__(self, ring: Callable[[], KeyRing], clock: Callable[[], float]) -> None:
        self._ring = ring
        self._clock = clock
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=CREATE_DEADLINE),
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_EACH, keepalive_timeout=IDLE),
        )

    async def create(
        self,
        api: str,
        offer: str,
        session: dict[str, Any],
        relays: Sequence[OfferedRelay],
        network: str = "",
        traceparent: str = "",
    ) -> Taken:
        """Ask one transceiver to take a call of a client in this network."""
        body: dict[str, Any] = {"offer": offer, "session": session, "relays": [asdict(relay) for relay in relays]}
        body["network"] = network
        reply = await self._ask("POST", api + InternalApi.SESSIONS, body, 201, traceparent)
        return Taken(reply["id"], reply["answer"])

    async def restart(self, api: str, call_id: str, offer: str, relays: Sequence[OfferedRelay]) -> str:
        """The answer to new ICE credentials for a call."""
        body = {"offer": offer, "relays": [asdict(relay) for relay in relays]}
        answer: str = (await self._ask("POST", f"{api}{InternalApi.SESSIONS}/{call_id}/restart", body, 200))["answer"]
        return answer

    async def version(self, api: str, call_id: str) -> int:
        """The version of a call's session description."""
        version: int = (await self.look(api, call_id))["version"]
        return version

    async def look(self, api: str, call_id: str) -> dict[str, Any]:
        """What is known of a call now."""
        return await self._ask("GET", f"{api}{InternalApi.SESSIONS}/{call_id}", None, 200)

    async def list(self, api: str) -> list[dict[str, Any]]:
        """Its live calls, with their ages."""
        calls: list[dict[str, Any]] = (await self._ask("GET", api + InternalApi.SESSIONS, None, 200))["calls"]
        return calls

    async def drain(self, api: str) -> dict[str, Any]:
        """Have it take no more calls; what is left there."""
        return await self._ask("POST", api + InternalApi.DRAIN, None, 200)

    async def end(self, api: str, call_id: str) -> None:
        """End a call."""
        await self._ask("DELETE", f"{api}{InternalApi.SESSIONS}/{call_id}", None, 204)

    async def socket(self, api: str, call_id: str, door: Door) -> Socket:
        """A WebSocket of a call; the caller closes it."""
        url = f"{api}{InternalApi.SESSIONS}/{call_id}/socket?as={door.value}"
        try:
            return await self._http.ws_connect(
                url, headers=self._bearer(), max_msg_size=MAX_MESSAGE, heartbeat=HEARTBEAT, compress=0
            )
        except aiohttp.WSServerHandshakeError as refused:
            if refused.status == 404:
                raise NoSuchCall(url) from None
            raise Unavailable(f"{refused.status}: {refused.message}") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def _ask(
        self, method: str, url: str, body: dict[str, Any] | None, good: int, traceparent: str = ""
    ) -> dict[str, Any]:
        """The reply to a request; raises `Unavailable`, `Refused` or `NoSuchCall`."""
        headers = self._bearer() | ({TRACEPARENT: traceparent} if traceparent else {})
        try:
            async with self._http.request(method, url, json=body, headers=headers) as answer:
                reply: dict[str, Any] = await answer.json() if answer.status != 204 else {}
                if answer.status == good:
                    return reply
                match answer.status:
                    case 400 | 422:
                        raise Refused(reply["reason"])
                    case 404:
                        raise NoSuchCall(url)
                    case _:
                        raise Unavailable(f"{answer.status}: {reply.get('reason')}")
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._ring().minting(self._clock()).api_bearer}"}
