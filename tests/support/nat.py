"""A NAT between a client and a relay, in the test's own process: it can change the client's address in mid-call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Address = tuple[str, int]


class _Side(asyncio.DatagramProtocol):
    def __init__(self, nat: "Nat") -> None:
        self._nat = nat

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._nat.pass_on(self, data, addr)

    def error_received(self, exc: Exception) -> None:
        """A relay that is away for a moment."""


class Nat:
    """Carries datagrams between the client that spoke last and the relay."""

    def __init__(self, relay: Address) -> None:
        self._relay = relay
        self._client: Address | None = None
        self._inner: asyncio.DatagramTransport | None = None
        self._outer: asyncio.DatagramTransport | None = None
        self._outer_side: _Side | None = None
        self._gone: list[asyncio.DatagramTransport] = []
        self.carry_checks = True
        """Whether STUN goes out; off, only media can tell the relay of a new address."""
        self.lose: Callable[[bytes], bool] = lambda _datagram: False
        """Which datagrams are lost, in both directions."""
        self.delay = 0.0
        """Seconds that each datagram takes longer, one way."""

    @property
    def address(self) -> Address:
        """What the client believes to be the relay."""
        assert self._inner is not None
        name: Address = self._inner.get_extra_info("sockname")
        return name

    async def open(self) -> None:
        """Begin, with a first outer address."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Side(self), ("127.0.0.1", 0))
        self._inner = transport
        await self.rebind()

    async def rebind(self) -> Address:
        """From now on the client has another address; what is sent to the old one is lost."""
        loop = asyncio.get_running_loop()
        side = _Side(self)
        transport, _ = await loop.create_datagram_endpoint(lambda: side, ("127.0.0.1", 0))
        if self._outer is not None:
            self._gone.append(self._outer)
        self._outer, self._outer_side = transport, side
        name: Address = transport.get_extra_info("sockname")
        return name

    def pass_on(self, side: _Side, data: bytes, source: Address) -> None:
        """One datagram, outwards or inwards."""
        if self.lose(data):
            return
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._pass_on, side, data, source)
        else:
            self._pass_on(side, data, source)

    def _pass_on(self, side: _Side, data: bytes, source: Address) -> None:
        assert self._inner is not None and self._outer is not None
        if side is self._outer_side:
            if self._client is not None:
                self._inner.sendto(data, self._client)
        elif source == self._relay or any(side is old.get_protocol() for old in self._gone):
            return
        elif data[0] > 3 or self.carry_checks:
            self._client = source
            self._outer.sendto(data, self._relay)

    def close(self) -> None:
        """Close all sockets."""
        for transport in (self._inner, self._outer, *self._gone):
            if transport is not None:
                transport.close()


@asynccontextmanager
async def nat(relay: str) -> AsyncIterator[Nat]:
    """A NAT in front of a relay, given as host:port."""
    host, _, port = relay.rpartition(":")
    box = Nat((host, int(port)))
    await box.open()
    try:
        yield box
    finally:
        box.close()
