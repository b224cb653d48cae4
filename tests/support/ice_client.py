"""A client of a relay without a browser: sends checks, and media with sequence numbers, over UDP or ICE-TCP."""

import asyncio
import errno
import os
import socket
import struct
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.support.facts import DEADLINE
from voicefleet.wire import stun
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import TokenOpener

Address = tuple[str, int]
RETRANSMIT = 0.1
"""Seconds until a check is sent again; ICE does so after 50 to 500 ms."""


class IceClient(asyncio.DatagramProtocol):
    """One 4-tuple after another towards one relay."""

    def __init__(
        self, relay: Address, token: str, ring: KeyRing, ssrc: int, bound: Callable[[], socket.socket] | None = None
    ) -> None:
        self.relay = relay
        self.token = token
        self.ring = ring
        self.ssrc = ssrc
        self.sent = 0
        self.echoed: dict[int, int] = {}
        """How often each media packet came back, by its number."""
        self.heard: list[float] = []
        """When media came back, on the monotonic clock."""
        self.received: list[bytes] = []
        """Whatever arrived, in order."""
        self.responses: asyncio.Queue[stun.Message] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None
        self._bound = bound
        """Makes its sockets, where these are to be elsewhere than on loopback."""
        self._arrived = asyncio.Event()

    @property
    def address(self) -> Address:
        """Where it sends from."""
        assert self._transport is not None
        name = self._transport.get_extra_info("sockname")
        return name[0], name[1]

    @property
    def transport_socket(self) -> socket.socket:
        """For its options."""
        assert self._transport is not None
        made: socket.socket = self._transport.get_extra_info("socket")
        return made

    @property
    def password(self) -> bytes:
        """What it was given with its token."""
        return password_of(self.token, self.ring)

    async def rebind(self) -> None:
        """From now on it sends from another port; the old one is closed."""
        old = self._transport
        host = ("::1" if ":" in self.relay[0] else "127.0.0.1") if old is None else self.address[0]
        loop = asyncio.get_running_loop()
        if self._bound is not None:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._bound())
        else:
            transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, 0))
        self._transport = transport
        if old is not None:
            old.close()

    def request(self, password: bytes | None = None) -> bytes:
        """A check, with the right password unless another is given."""
        secret = self.password if password is None else password
        return stun.binding_request(
            os.urandom(12), f"{self.token}:client", secret, priority=1, controlling=1, use_candidate=True
        )

    def send(self, packet: bytes) -> None:
        """Anything."""
        assert self._transport is not None
        self._transport.sendto(packet, self.relay)

    async def check(self, deadline: float = DEADLINE) -> stun.Message:
        """A check and its authenticated answer, success or error; sent again until there is one."""
        request = self.request()
        async with asyncio.timeout(deadline):
            while True:
                self.send(request)
                try:
                    async with asyncio.timeout(RETRANSMIT):
                        while True:
                            response = await self.responses.get()
                            if response.transaction_id == request[8:20]:
                                return response
                except TimeoutError:
                    pass

    def media(self, end: bytes = b"") -> int:
        """One packet of media; its number."""
        number = self.sent
        self.sent += 1
        self.send(b"\x80\x6f" + bytes(6) + self.ssrc.to_bytes(4) + number.to_bytes(4) + bytes(160) + end)
        return number

    async def hears(self, number: int, deadline: float = DEADLINE) -> None:
        """Waits until this packet came back."""
        async with asyncio.timeout(deadline):
            while number not in self.echoed:
                self._arrived.clear()
                await self._arrived.wait()

    async def talks(self, deadline: float = DEADLINE) -> None:
        """Sends media until some of it comes back."""
        async with asyncio.timeout(deadline):
            while True:
                number = self.media()
                try:
                    await self.hears(number, RETRANSMIT)
                    return
                except TimeoutError:
                    pass

    def heard_since(self, moment: float) -> float | None:
        """When media came back for the first time after that moment."""
        at = bisect_right(self.heard, moment)
        return self.heard[at] if at < len(self.heard) else None

    @property
    def lost(self) -> int:
        """Packets that never came back."""
        return self.sent - len(self.echoed)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        assert addr[:2] == self.relay, "the answer comes from where the client sent to"
        self.take(data)

    def take(self, data: bytes) -> None:
        """One packet of the relay."""
        self.received.append(data)
        if data[:1] <= b"\3":
            message = stun.decode(data)
            assert message.integrity_at is not None
            assert stun.integrity_ok(data, message.integrity_at, self.password), "nobody else may answer"
            self.responses.put_nowait(message)
        elif len(data) >= 16:
            number = int.from_bytes(data[12:16])
            self.echoed[number] = self.echoed.get(number, 0) + 1
            self.heard.append(time.monotonic())
        self._arrived.set()

    def close(self) -> None:
        """It is gone."""
        if self._transport is not None:
            self._transport.close()


def password_of(token: str, ring: KeyRing) -> bytes:
    """The ICE password that belongs to a token."""
    return TokenOpener(ring).password(token.encode())


class TcpIceClient(IceClient):
    """The same over ICE-TCP."""

    def __init__(self, relay: Address, token: str, ring: KeyRing, ssrc: int) -> None:
        super().__init__(relay, token, ring, ssrc)
        self.closed = asyncio.Event()
        """Set when the relay closed the connection."""
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        assert self._writer is not None
        name = self._writer.get_extra_info("sockname")
        return name[0], name[1]

    async def rebind(self) -> None:
        """A new connection; the old one is closed."""
        self.close()
        self._reader, self._writer = await asyncio.open_connection(*self.relay)
        self.closed.clear()
        self.read()

    async def resets(self) -> None:
        """A new connection from the same port; the old one ends by a reset."""
        assert self._reading is not None and self._writer is not None
        self._reading.cancel()
        address = self.address
        connected: socket.socket = self._writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        await asyncio.sleep(0)
        self._reader, self._writer = await self._connect_from(address)
        self.read()

    async def _connect_from(self, address: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    return await asyncio.open_connection(*self.relay, local_addr=address)
                except OSError as error:
                    if error.errno != errno.EADDRINUSE:
                        raise
                    await asyncio.sleep(0.05)  # somebody else was given the port meanwhile

    def read(self) -> None:
        """Read on what arrives."""
        self._reading = asyncio.ensure_future(self._read())

    def stop_reading(self) -> None:
        """As a client does that hangs."""
        assert self._reading is not None and self._writer is not None
        self._reading.cancel()
        transport = self._writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()

    def send(self, packet: bytes) -> None:
        self.send_octets(len(packet).to_bytes(2) + packet)

    def send_octets(self, octets: bytes) -> None:
        """Anything, without a length before it."""
        assert self._writer is not None
        self._writer.write(octets)

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()

    async def _read(self) -> None:
        assert self._reader is not None and self._writer is not None
        transport = self._writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        if not transport.is_reading():
            transport.resume_reading()
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(2))
                self.take(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()


@asynccontextmanager
async def tcp_ice_client(relay: Address, token: str, ring: KeyRing, ssrc: int = 7) -> AsyncIterator[TcpIceClient]:
    """A client that is connected."""
    client = TcpIceClient(relay, token, ring, ssrc)
    await client.rebind()
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def ice_client(
    relay: Address, token: str, ring: KeyRing, ssrc: int = 7, bound: Callable[[], socket.socket] | None = None
) -> AsyncIterator[IceClient]:
    """A client that has a socket."""
    client = IceClient(relay, token, ring, ssrc, bound)
    await client.rebind()
    try:
        yield client
    finally:
        client.close()
