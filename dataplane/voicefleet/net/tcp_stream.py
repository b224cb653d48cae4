"""ICE-TCP's sockets (RFC 6544, passive): a listener, and connections that carry packets by RFC 4571."""

import socket
from collections.abc import Callable
from typing import Final

from voicefleet.core.relay.flow import TCP, Buffer, Client
from voicefleet.core.relay.framed_stream import BrokenStream, FrameQueue, FrameReader, frame
from voicefleet.net.udp import local_address

Address = tuple[str, int]

_DEFER: Final = 5
"""Seconds that the kernel keeps a connection to itself until the client has sent something."""
_UNSENT: Final = 8 * 1024
"""Octets that the kernel holds beyond what is under way: older media is better dropped than kept there."""
_DEAD_AFTER: Final = 20_000
"""Milliseconds without an acknowledgement until a connection is given up."""
_READ: Final = 16 * 1024
_BACKLOG: Final = 256


class TcpStream:
    """One connection; a `Via` of the core. It never waits and raises only for itself."""

    def __init__(
        self,
        connected: socket.socket,
        client: Address,
        longest: int,
        dropped: Callable[[int], None],
        wants_to_write: Callable[["TcpStream"], None],
        unread: bytes = b"",
        unwritten: bytes = b"",
    ) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER)
        self.socket: Final = connected
        self.client: Final[Client] = (client[0], client[1], TCP)
        self.local: Final = local_address(connected)
        self.broken = False
        """Whether it is of no use any more; whoever owns it closes it."""
        self._reader = FrameReader(longest, unread)
        self._queue = FrameQueue(unwritten)
        self._dropped = dropped
        self._wants_to_write = wants_to_write

    def fileno(self) -> int:
        """For epoll."""
        return self.socket.fileno()

    def send(self, packet: Buffer, _client: Client) -> None:
        """Send a packet, or let it wait, or drop an older one for it."""
        if self.broken or not packet:
            self._dropped(1)
            return
        try:
            if len(self._queue):
                self._dropped(self._queue.push(packet))
                return
            framed = frame(packet)
            taken = self._write(framed)
            if taken < len(framed):
                if taken:
                    self._queue.cut(framed[taken:])
                else:
                    self._queue.push(packet)
                self._wants_to_write(self)
        except BrokenStream:
            self._break()

    @property
    def unread(self) -> bytes:
        """What has come of the next packet."""
        return self._reader.rest

    def unwritten(self, most: int) -> bytes | None:
        """What waits to be written, without the media if it is more than this; None if it still is."""
        return self._queue.all(most)

    @property
    def waiting(self) -> bool:
        """Whether something waits to be written."""
        return bool(len(self._queue))

    def drain(self) -> bool:
        """Write what waits, as far as it is taken; whether all was."""
        while octets := self._queue.next():
            taken = self._write(octets)
            self._queue.written(taken)
            if taken < len(octets):
                return self.broken
        return True

    def receive(self) -> list[bytes]:
        """The packets that have come; marks itself broken at the stream's end."""
        try:
            octets = self.socket.recv(_READ)
        except BlockingIOError:
            return []
        except OSError:
            octets = b""
        if not octets:
            self._break()
            return []
        try:
            return self._reader.feed(octets)
        except BrokenStream:
            self._break()
            return []

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _write(self, octets: bytes) -> int:
        try:
            return self.socket.send(octets, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:
            self._break()
            return 0

    def _break(self) -> None:
        if not self.broken:
            self.broken = True
            self._wants_to_write(self)


def bind_tcp(address: Address) -> socket.socket:
    """A listener for one packet process; connections are spread over them (SO_REUSEPORT)."""
    listener = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
