"""Non-blocking UDP sockets as packet loops want them, and the reading of what waits in one."""

import socket
from collections.abc import Callable
from typing import Final

BUFFER: Final = 4 * 1024 * 1024
"""Octets of socket buffer asked for. At 2,000 calls a tenth of a second fits in. Without CAP_NET_ADMIN the kernel gives
no more than net.core.rmem_max, which is 208 KiB where nobody has changed it."""
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
BATCH: Final = 64
"""Datagrams taken from one socket before others get their turn."""
LARGEST: Final = 65_536


def udp_socket(bind: tuple[str, int], *, shared: bool = False) -> socket.socket:
    """A bound socket; `shared` lets several processes bind the same port (SO_REUSEPORT). IPv6 is only IPv6."""
    family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setblocking(False)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    for option, beyond_the_limit in ((socket.SO_RCVBUF, _SO_RCVBUFFORCE), (socket.SO_SNDBUF, _SO_SNDBUFFORCE)):
        try:
            made.setsockopt(socket.SOL_SOCKET, beyond_the_limit, BUFFER)
        except OSError:  # it takes CAP_NET_ADMIN
            made.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    made.bind(bind)
    return made


def local_address(bound: socket.socket) -> tuple[str, int]:
    """Host and port of a socket, without what IPv6 adds."""
    name = bound.getsockname()
    return name[0], name[1]


def receive_batch(
    bound: socket.socket,
    take: Callable[[bytes, tuple[str, int]], None],
    batch: int = BATCH,
    largest: int = LARGEST,
) -> bool:
    """Hand over (datagram, sender's host and port) for what waits, at most a batch; whether more may wait."""
    for _ in range(batch):
        try:
            datagram, source = bound.recvfrom(largest)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            continue  # an ICMP error of an earlier datagram; the next call reads on
        take(datagram, source[:2])
    return True
