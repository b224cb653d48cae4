"""The UDP sockets that clients talk to: one for each local address, shared by all packet processes (SO_REUSEPORT)."""

import errno
import socket
from ipaddress import ip_address
from typing import Final

from voicefleet.core.relay.flow import Send
from voicefleet.net.local_addresses import local_addresses
from voicefleet.net.udp import local_address, udp_socket

Address = tuple[str, int]

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class PublicSocket:
    """One public address of one packet process; a `Via` of the core."""

    def __init__(self, bound: socket.socket) -> None:
        self.socket: Final = bound
        self.local: Final = local_address(bound)
        self.send: Final[Send] = bound.sendto
        self.receive: Final = bound.recvfrom
        self.wildcard: Final = ip_address(self.local[0]).is_unspecified

    def fileno(self) -> int:
        """For epoll."""
        return self.socket.fileno()

    def serves(self, host: str) -> bool:
        """Whether it could reach a client at this address: same IP version."""
        return (":" in host) == (":" in self.local[0])

    def close(self) -> None:
        """Close the socket in this process."""
        self.socket.close()


def public_addresses(listen: tuple[Address, ...]) -> list[Address]:
    """The addresses to bind for what is to be listened on.

    A wildcard stands for itself and, on a machine with several addresses, for each of them: the kernel prefers the
    socket with the exact address, so answers leave from where the client sent to.
    """
    wanted: dict[Address, None] = {}
    for host, port in listen:
        wanted[host, port] = None
        if ip_address(host).is_unspecified:
            found = local_addresses(6 if ":" in host else 4)
            reachable = [each for each in found if not ip_address(each).is_loopback]
            if len(reachable) > 1:
                wanted.update(dict.fromkeys((each, port) for each in found))
    return list(wanted)


def bind_public(address: Address) -> socket.socket | None:
    """A bound socket for one packet process; None for an address (or an IP version) that this machine has not."""
    try:
        return udp_socket(address, shared=True)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return None
        raise
