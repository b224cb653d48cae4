"""ICE-TCP in a packet process: connections in, their packets to the core, and an end to those that waste time.

A connection is kept for its flow. One that has brought no verified check in time is closed, and when too many such wait
the oldest goes first: an honest client's check comes with its first packet.
"""

import select
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from voicefleet.core.relay.actions import Action
from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.flow import Client
from voicefleet.core.relay.flow_record import record_of
from voicefleet.core.relay.forwarder import Forwarder
from voicefleet.core.relay.limits import Limits
from voicefleet.core.relay.uplink import MAX_PAYLOAD
from voicefleet.net.tcp_stream import TcpStream
from voicefleet.services.relay.messages import Connection
from voicefleet.services.relay.packet_loop import PacketLoop

_MOST_UNWRITTEN: Final = 64 * 1024
"""Octets that fit a message when the connection changes hands."""
_ACCEPTS: Final = 16
"""Connections taken in one turn of the loop: about 1 ms."""


class IceTcp:
    """The connections of one packet process."""

    def __init__(self, loop: PacketLoop, forwarder: Forwarder, limits: Limits) -> None:
        self._loop = loop
        self._forwarder = forwarder
        self._limits = limits
        self._listeners: list[socket.socket] = []
        self._streams: dict[Client, TcpStream] = {}
        self._unproven: dict[Client, float] = {}
        """Connections without a flow, and since when; oldest first."""
        self._sources: Counter[str] = Counter()
        self.accepted = 0
        """Connections so far."""

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, listener: socket.socket) -> None:
        """A listener to serve."""
        self._listeners.append(listener)

    def resume(self) -> None:
        """Take connections and read them from now on."""
        for listener in self._listeners:
            self._loop.serve(listener, self._accepting(listener))
        for stream in self._streams.values():
            self._serve(stream)

    def pause(self) -> None:
        """Read nothing more, and leave the connections as they are."""
        for listener in self._listeners:
            self._loop.leave(listener)
        for stream in self._streams.values():
            self._loop.leave(stream)

    def connections(self) -> Iterator[tuple[Connection, socket.socket]]:
        """What somebody needs who goes on with them."""
        for client, stream in self._streams.items():
            unwritten = stream.unwritten(_MOST_UNWRITTEN)
            if unwritten is not None and not stream.broken:
                flow = self._forwarder.flows.get(client)
                yield Connection(client, record_of(flow) if flow else None, stream.unread, unwritten), stream.socket

    def adopt(self, connection: Connection, connected: socket.socket, now: float) -> None:
        """Go on with one, from the next `resume` on."""
        stream = self._let_in(connected, connection.client[:2], now, connection.unread, connection.unwritten)
        if stream is not None and connection.record is not None:
            self._loop.perform(self._forwarder.remember(connection.record, stream, now), now)

    def stream(self, client: Client) -> TcpStream | None:
        """The connection of a client that comes over TCP."""
        return self._streams.get(client)

    def close(self) -> None:
        """Close everything in this process."""
        for stream in self._streams.values():
            self._loop.leave(stream)
            stream.close()
        for listener in self._listeners:
            listener.close()

    def flow_ended(self, client: Client) -> None:
        """A flow of this connection is over; without another one the connection is too."""
        if not self._has_flow(client) and client in self._streams:
            self._hang_up(self._streams[client])

    def tick(self, now: float) -> None:
        """End what has proven nothing in time."""
        while self._unproven:
            client = next(iter(self._unproven))
            if self._has_flow(client):
                del self._unproven[client]
            elif now - self._unproven[client] >= self._limits.tcp_proof:
                self._waste(client)
            else:
                return

    def _accepting(self, listener: socket.socket) -> Callable[[int, float], None]:
        def accept(_event: int, now: float) -> None:
            for _ in range(_ACCEPTS):
                try:
                    connected, address = listener.accept()
                except OSError:  # nobody waits; or too many descriptors are open: the client tries again
                    return
                self._admit(connected, address[:2], now)

        return accept

    def _admit(self, connected: socket.socket, address: tuple[str, int], now: float) -> None:
        limits = self._limits
        if len(self._streams) >= limits.tcp or (
            limits.tcp_per_address and self._sources[address[0]] >= limits.tcp_per_address
        ):
            self._forwarder.counters.drops[Drop.TCP_FULL] += 1
            connected.close()
            return
        if len(self._unproven) >= limits.tcp_unproven:
            self.tick(now)
            if len(self._unproven) >= limits.tcp_unproven:
                self._waste(next(iter(self._unproven)))
        stream = self._let_in(connected, address, now)
        if stream is not None:
            self.accepted += 1
            self._serve(stream)

    def _let_in(
        self, connected: socket.socket, address: tuple[str, int], now: float, *begun: bytes
    ) -> TcpStream | None:
        try:
            stream = TcpStream(connected, address, MAX_PAYLOAD, self._dropped, self._later, *begun)
        except OSError:  # it is gone already
            connected.close()
            return None
        if stale := self._streams.get(stream.client):  # its end has come, and has not been read yet
            self._hang_up(stale)
        self._streams[stream.client] = stream
        self._sources[address[0]] += 1
        self._unproven[stream.client] = now
        return stream

    def _serve(self, stream: TcpStream) -> None:
        events = select.EPOLLIN | select.EPOLLOUT if stream.waiting else select.EPOLLIN
        self._loop.serve(stream, self._serving(stream), events)

    def _serving(self, stream: TcpStream) -> Callable[[int, float], None]:
        def serve(event: int, now: float) -> None:
            if event & select.EPOLLOUT and stream.drain() and not stream.broken:
                self._loop.expect(stream, select.EPOLLIN)
            if event & ~select.EPOLLOUT and not stream.broken:
                for packet in stream.receive():
                    self._loop.consider(self._forwarder.from_client, packet, stream.client, stream, now)

        return serve

    def _later(self, stream: TcpStream) -> None:
        """The stream has something to write; or it is broken, and ends when whoever writes to it has finished."""
        if self._streams.get(stream.client) is not stream:
            return
        if stream.broken:
            self._loop.soon(partial(self._hang_up, stream))
        else:
            self._loop.expect(stream, select.EPOLLIN | select.EPOLLOUT)

    def _has_flow(self, client: Client) -> bool:
        return client in self._forwarder.flows or client in self._forwarder.table.pending

    def _waste(self, client: Client) -> None:
        self._forwarder.counters.drops[Drop.TCP_UNPROVEN] += 1
        self._hang_up(self._streams[client])

    def _hang_up(self, stream: TcpStream) -> None:
        if self._streams.get(stream.client) is not stream:
            return
        del self._streams[stream.client]
        self._unproven.pop(stream.client, None)
        source = stream.client[0]
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        self._loop.leave(stream)
        stream.close()
        actions: list[Action] = self._forwarder.forget(stream.client)
        self._loop.perform(actions, 0.0)

    def _dropped(self, packets: int) -> None:
        self._forwarder.counters.drops[Drop.TCP_SLOW_READER] += packets
