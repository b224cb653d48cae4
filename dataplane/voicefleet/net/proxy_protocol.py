"""A connection that begins with a PROXY protocol header: read, believed if a trusted proxy sent it, then handed on.

Where the header is expected from a proxy and does not come, or is none, the connection ends: HTTP that is read as if it
had no header in front would let anybody behind the proxy choose an address. Others are served without a header.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from voicefleet.core.forwarded import Network, parse_address
from voicefleet.core.proxy_header import Reading, read_proxy_header


class _Readdressed:
    """A transport that gives the client's address for the proxy's."""

    def __init__(self, transport: asyncio.Transport, peer: tuple[str, int]) -> None:
        self._transport = transport
        self._peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._peer if name == "peername" else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ProxiedProtocol(asyncio.Protocol):
    """Stands in front of the protocol of one connection until its header is read."""

    def __init__(self, make: Callable[[], asyncio.BaseProtocol], proxies: Sequence[Network], patience: float) -> None:
        self._make = make
        self._proxies = proxies
        self._patience = patience
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header of a proxy; hand on the connection of anybody else."""
        self._transport = cast(asyncio.Transport, transport)
        peer = parse_address((transport.get_extra_info("peername") or ("",))[0])
        if peer is None or not any(peer.version == each.version and peer in each for each in self._proxies):
            self._hand_on(self._transport)
            return
        self._late = asyncio.get_running_loop().call_later(self._patience, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        """Another part of the header, and perhaps of what follows."""
        assert self._transport is not None, "connected"
        self._head += data
        header = read_proxy_header(self._head)
        if header is Reading.MORE:
            return
        if isinstance(header, Reading):
            self._transport.abort()
            return
        rest = self._head[header.length :]
        readdressed = self._transport
        if header.client is not None:
            readdressed = cast(asyncio.Transport, _Readdressed(self._transport, header.client))
        protocol = self._hand_on(readdressed)
        if rest:
            cast(asyncio.Protocol, protocol).data_received(rest)

    def connection_lost(self, _error: Exception | None) -> None:
        """It ended before its header was whole."""
        self._stop_waiting()

    def _hand_on(self, transport: asyncio.Transport) -> asyncio.BaseProtocol:
        assert self._transport is not None, "connected"
        self._stop_waiting()
        protocol = self._make()
        self._transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return protocol

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
