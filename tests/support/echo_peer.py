"""The far end of the hop without a transceiver: answers checks with the right password and echoes everything else."""

import asyncio
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from tests.support.ice_client import password_of
from voicefleet.net.udp import udp_socket
from voicefleet.wire import hop, stun
from voicefleet.wire.hop import Flag, HopHeader, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, mint

Address = tuple[str, int]
_UDP_SEGMENT = 103


class EchoPeer(asyncio.DatagramProtocol):
    """One transceiver worker as a relay sees it."""

    def __init__(self, ring: KeyRing, generation: int = 1) -> None:
        self.ring = ring
        self.generation = generation
        self.sessions: set[str] = set()
        """Tokens of calls that live here; checks with others are ignored, as a transceiver does."""
        self.arrived: list[tuple[HopHeader, bytes]] = []
        """What relays sent, other than pings, in order."""
        self.datagrams = 0
        self.relays: Counter[Address] = Counter()
        """Packets by the hop address that they came from."""
        self.deaf = False
        """Whether it does as if it were not there."""
        self.answers_pings = True
        self.bundles = False
        """Whether it answers in bundles where it can."""
        self._transport: asyncio.DatagramTransport | None = None
        self._calls = 0
        self._paths: dict[Address, Address] = {}
        """Client -> relay."""

    @property
    def address(self) -> Address:
        """Its hop address."""
        assert self._transport is not None
        name = self._transport.get_extra_info("sockname")
        return name[0], name[1]

    def new_call(self) -> str:
        """A token of a call that lives here."""
        self._calls += 1
        key = self.ring.minting(time.time())
        token = mint(Route(*self.address, self.generation, self._calls), key, self.ring.fleet_tag)
        self.sessions.add(token)
        return token

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.deaf:
            return
        self.datagrams += 1
        relay = addr[:2]
        parts = hop.unbundle(data) if hop.is_bundle(data) else [(data[: hop.HEADER], data[hop.HEADER :])]
        answers: list[tuple[bytes, bytes]] = []
        for head, payload in parts:
            header = hop.open(head, self.ring)
            assert not header.flags & Flag.DOWNLINK, "a relay never sends what looks like a transceiver's"
            if header.kind is Kind.PING:
                if self.answers_pings:
                    answer = payload + self.generation.to_bytes(2)
                    self._send(hop.seal(Kind.PONG, Flag.DOWNLINK, header.client, self._key) + answer, relay)
                continue
            self.relays[relay] += 1
            self.arrived.append((header, payload))
            reply = self._answer(header, payload)
            if reply is not None:
                answers.append((self._downlink(header), reply))
            if header.flags & Flag.UNVERIFIED and payload.endswith(b"authentic"):
                self.moves(header.client, relay)
        if self.bundles:
            for datagram in hop.bundle(answers):
                self._send(datagram, relay)
        else:
            for head, payload in answers:
                self._send(head + payload, relay)

    def moves(self, new: Address, relay: Address) -> None:
        """Tells the relay that the client's authentic media now comes from there."""
        old = next(reversed([client for client in self._paths if client != new]))
        head = hop.seal(Kind.MOVED, Flag.DOWNLINK, new, self._key)
        self._paths[new] = relay
        self._send(head + hop.pack_address(old[0]) + old[1].to_bytes(2), relay)

    def says(self, client: Address, payload: bytes, *, tcp: bool = False) -> None:
        """Sends to a client unasked, by way of the relay that it was last heard through."""
        flags = Flag.DOWNLINK | (Flag.TCP if tcp else Flag(0))
        self._send(hop.seal(Kind.DATA, flags, client, self._key) + payload, self._paths[client])

    def send_raw(self, datagram: bytes, relay: Address) -> None:
        """Sends a datagram as it is."""
        self._send(datagram, relay)

    def send_train(self, datagrams: list[bytes], relay: Address) -> None:
        """Sends equally long datagrams by one system call (UDP_SEGMENT)."""
        assert self._transport is not None
        (length,) = set(map(len, datagrams))
        bound = socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))
        with bound:
            segment = (socket.IPPROTO_UDP, _UDP_SEGMENT, length.to_bytes(2, sys.byteorder))
            bound.sendmsg([b"".join(datagrams)], [segment], 0, relay)

    def close(self) -> None:
        """The port is closed."""
        if self._transport is not None:
            self._transport.close()

    @property
    def _key(self) -> FleetKey:
        return self.ring.minting(time.time())

    def _downlink(self, header: HopHeader) -> bytes:
        return hop.seal(Kind.DATA, Flag.DOWNLINK | header.flags & Flag.TCP, header.client, self._key)

    def _answer(self, header: HopHeader, payload: bytes) -> bytes | None:
        if payload[:1] > b"\3" or not payload:
            return None if header.flags & Flag.UNVERIFIED else payload
        message = stun.decode(payload)
        if message.cls is not stun.Class.REQUEST or message.username is None:
            return None
        token = message.username.partition(":")[0]
        if token not in self.sessions:
            return None
        self._paths[header.client] = next(reversed(self.relays))
        assert message.integrity_at is not None
        password = password_of(token, self.ring)
        assert stun.integrity_ok(payload, message.integrity_at, password), "the relay lets nothing else through"
        return stun.binding_success(message.transaction_id, header.client, password)

    def _send(self, datagram: bytes, relay: Address) -> None:
        assert self._transport is not None
        self._transport.sendto(datagram, relay)


@asynccontextmanager
async def echo_peer(
    ring: KeyRing,
    host: str = "127.0.0.1",
    port: int = 0,
    generation: int = 1,
    bound: socket.socket | None = None,
) -> AsyncIterator[EchoPeer]:
    """A peer that listens."""
    peer = EchoPeer(ring, generation)
    loop = asyncio.get_running_loop()
    bound = udp_socket((host, port)) if bound is None else bound
    transport, _ = await loop.create_datagram_endpoint(lambda: peer, sock=bound)
    try:
        yield peer
    finally:
        transport.close()
