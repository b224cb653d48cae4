"""The UDP socket of one packet process towards transceivers: several datagrams a system call, and ICMP errors read.

With UDP_GRO the kernel hands over a train of equally long datagrams of one sender at once; with UDP_SEGMENT it takes
one. Both work on every kernel from 5.0 on, and are left off where it refuses.
"""

import socket
import struct
from collections.abc import Iterable
from typing import Final

from voicefleet.net.udp import local_address, udp_socket

Address = tuple[str, int]

_UDP_GRO: Final = 104
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_EXTENDED_ERROR: Final = struct.Struct("=LBBBBLL")
_SEGMENT: Final = struct.Struct("=i")
_FROM_ICMP: Final = (2, 3)
"""SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6."""
_ECONNREFUSED: Final = 111
_LARGEST: Final = 65_535
_ANCILLARY: Final = socket.CMSG_SPACE(_SEGMENT.size)


class HopSocket:
    """One address that transceivers answer to; of one packet process alone."""

    def __init__(self, bound: socket.socket, *, trains: bool = True) -> None:
        """Without `trains` datagrams come one by one: the network card joins them before a kernel program sees them."""
        self.socket: Final = bound
        self.local: Final = local_address(bound)
        self.v6: Final = bound.family == socket.AF_INET6
        bound.setsockopt(*((socket.IPPROTO_IPV6, _IPV6_RECVERR) if self.v6 else (socket.IPPROTO_IP, _IP_RECVERR)), 1)
        try:
            bound.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, int(trains))
        except OSError:
            pass  # datagrams come one by one
        self.send: Final = bound.sendto
        self._receive: Final = bound.recvmsg

    def fileno(self) -> int:
        """For epoll."""
        return self.socket.fileno()

    def receive(self) -> tuple[bytes, int, Address]:
        """(octets, length of each datagram in them or 0 if it is one, sender); raises BlockingIOError when empty."""
        data, ancillary, _, source = self._receive(_LARGEST, _ANCILLARY)
        step = 0
        for level, kind, value in ancillary:
            if level == socket.IPPROTO_UDP and kind == _UDP_GRO:
                step = _SEGMENT.unpack_from(value)[0]
        return data, step if step < len(data) else 0, source if len(source) == 2 else source[:2]

    def errors(self) -> Iterable[tuple[Address, bool]]:
        """What the network reported about datagrams sent: (destination, whether its port is closed)."""
        while True:
            try:
                _, ancillary, _, source = self.socket.recvmsg(0, 512, _MSG_ERRQUEUE)
            except OSError:
                return
            for _, _, data in ancillary:
                if len(data) >= _EXTENDED_ERROR.size:
                    code, origin, *_ = _EXTENDED_ERROR.unpack_from(data)
                    if origin in _FROM_ICMP:
                        yield (source[0], source[1]), code == _ECONNREFUSED

    def close(self) -> None:
        """Close the socket in this process."""
        self.socket.close()


def bind_hop(address: Address, preferred_port: int = 0) -> socket.socket:
    """A bound socket; with port 0 the preferred one if it is free, so that a restarted relay is found where it was."""
    if address[1] == 0 and preferred_port:
        try:
            return udp_socket((address[0], preferred_port))
        except OSError:
            pass  # somebody else has it now; any other will do
    return udp_socket(address)
