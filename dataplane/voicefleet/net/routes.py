"""Which way a packet would leave this machine, as its kernel says (rtnetlink), and when that changes."""

import errno
import socket
import struct
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct("=IHHII")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")
_LINK: Final = struct.Struct("=BxHiII")
_ATTRIBUTE: Final = struct.Struct("=HH")

_ERROR, _NEWLINK, _DELLINK, _GETLINK, _NEWROUTE, _DELROUTE, _GETROUTE = 2, 16, 17, 18, 24, 25, 26
_REQUEST: Final = 1
_RTA_DST, _RTA_SRC, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_METRICS, _RTA_VIA = 1, 2, 4, 5, 7, 8, 18
_RTAX_MTU: Final = 2
_RTN_UNICAST: Final = 1
_IFLA_MTU: Final = 4
_IFF_UP: Final = 1
_ARPHRD_ETHER: Final = 1
_GROUPS: Final = 1 | 0x40 | 0x400
"""Links, routes of IPv4, routes of IPv6."""
_LARGEST: Final = 64 * 1024


class Route(NamedTuple):
    """The way to one destination."""

    interface: int
    source: str
    """The address that this machine would send from."""
    next_hop: bytes
    """The gateway, or the destination where it is on the link: 4 or 16 octets."""
    mtu: int


class Change(NamedTuple):
    """Routes to these destinations may be others than before: those in `prefix`, or all by way of `interface`."""

    interface: int | None
    prefix: bytes
    length: int

    def concerns(self, destination: bytes, interface: int) -> bool:
        """Whether a route to `destination` (4 or 16 octets) by way of `interface` has to be asked for again."""
        if self.interface is not None:
            return interface == self.interface
        if len(destination) != len(self.prefix):
            return False
        shift = len(self.prefix) * 8 - self.length
        return int.from_bytes(destination) >> shift == int.from_bytes(self.prefix) >> shift


class _Link(NamedTuple):
    mtu: int
    usable: bool


class Routes:
    """Asks the kernel. Every answer is as of now; a question takes some 20 us."""

    def __init__(self) -> None:
        self._asking = _netlink(0)
        self._listening = _netlink(_GROUPS)
        self._listening.setblocking(False)
        self._links: dict[int, _Link] = {}
        self._number = 0

    def fileno(self) -> int:
        """Readable when `changes` has something to say."""
        return self._listening.fileno()

    def to(self, destination: str, source: str | None = None) -> Route | None:
        """The way to an address of another machine over an Ethernet link; None if there is none of that kind."""
        packed, family = _packed(destination)
        body = _attribute(_RTA_DST, packed)
        if source is not None:
            body += _attribute(_RTA_SRC, _packed(source)[0])
        bits = len(packed) * 8
        head = _ROUTE.pack(family, bits, bits if source is not None else 0, 0, 0, 0, 0, 0, 0)
        answer = self._ask(_GETROUTE, head + body)
        if answer is None or answer[7] != _RTN_UNICAST:
            return None
        found = dict(_attributes(answer[_ROUTE.size :]))
        if _RTA_OIF not in found:
            return None
        interface = int.from_bytes(found[_RTA_OIF], sys.byteorder)
        link = self._link(interface)
        if not link.usable:
            return None
        next_hop = found.get(_RTA_GATEWAY, packed)
        if _RTA_VIA in found:
            next_hop = found[_RTA_VIA][2:]
        metrics = dict(_attributes(found.get(_RTA_METRICS, b"")))
        mtu = int.from_bytes(metrics.get(_RTAX_MTU, b""), sys.byteorder) or link.mtu
        if source is None:
            preferred = found.get(_RTA_PREFSRC)
            if preferred is None:
                return None
            source = socket.inet_ntop(family, preferred)
        return Route(interface, source, next_hop, min(mtu, link.mtu))

    def usable(self, interface: int) -> bool:
        """Whether it is an Ethernet link (or looks like one) that is up."""
        return self._link(interface).usable

    def changes(self) -> list[Change]:
        """What has changed since the last call."""
        found: list[Change] = []
        while True:
            try:
                data = self._listening.recv(_LARGEST)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # More happened than fits the socket: everything may be different now.
                self._links.clear()
                return [Change(None, bytes(4), 0), Change(None, bytes(16), 0)]
            for kind, body in _messages(data):
                if kind in (_NEWLINK, _DELLINK):
                    interface = _LINK.unpack_from(body)[2]
                    known = self._links.pop(interface, None)
                    if known is not None and (kind == _DELLINK or known != _link_of(body)):
                        found.append(Change(interface, b"", 0))
                elif kind in (_NEWROUTE, _DELROUTE) and body[0] in (socket.AF_INET, socket.AF_INET6):
                    any_address = bytes(4 if body[0] == socket.AF_INET else 16)
                    prefix = dict(_attributes(body[_ROUTE.size :])).get(_RTA_DST, any_address)
                    found.append(Change(None, prefix, body[1]))

    def close(self) -> None:
        """Ask and listen no more."""
        self._asking.close()
        self._listening.close()

    def _link(self, interface: int) -> _Link:
        known = self._links.get(interface)
        if known is None:
            answer = self._ask(_GETLINK, _LINK.pack(0, 0, interface, 0, 0))
            known = self._links[interface] = _Link(0, False) if answer is None else _link_of(answer)
        return known

    def _ask(self, kind: int, body: bytes) -> bytes | None:
        self._number = self._number + 1 & 0xFFFFFFFF
        self._asking.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, self._number, 0) + body)
        for answered, answer in _messages(self._asking.recv(_LARGEST)):
            return None if answered == _ERROR else answer
        return None


def interfaces_with(addresses: set[str]) -> set[int]:
    """The interfaces that carry one of these addresses."""
    import ifaddr

    return {
        adapter.index
        for adapter in ifaddr.get_adapters()
        for each in adapter.ips
        if adapter.index and (each.ip if isinstance(each.ip, str) else each.ip[0]) in addresses
    }


def _netlink(groups: int) -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    made.bind((0, groups))
    return made


def _packed(address: str) -> tuple[bytes, int]:
    packed = ip_address(address).packed
    return packed, socket.AF_INET if len(packed) == 4 else socket.AF_INET6


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value  # addresses need no padding


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + length]
        at += -(-length // 4) * 4


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + length]
        at += -(-length // 4) * 4


def _link_of(body: bytes) -> _Link:
    _, kind, _, flags, _ = _LINK.unpack_from(body)
    found = dict(_attributes(body[_LINK.size :]))
    mtu = int.from_bytes(found.get(_IFLA_MTU, b""), sys.byteorder)
    return _Link(mtu, kind == _ARPHRD_ETHER and bool(flags & _IFF_UP))
