"""Keys and values of the kernel program's maps, octet by octet as dataplane/bpf/relay.c has them.

A value holds all that stays the same from packet to packet of a flow, so that the program only has to copy and add.
"""

import struct
from enum import IntEnum
from socket import AF_INET, AF_INET6
from typing import Final, NamedTuple

from voicefleet.net.libbpf import processors
from voicefleet.net.routes import Route
from voicefleet.wire.hop import HEADER, pack_address

Address = tuple[str, int]

PROGRAM: Final = "relay"
UPLINK: Final = "uplink"
DOWNLINK: Final = "downlink"
PORTS: Final = "ports"
LEASE: Final = "lease"
CARRIED: Final = "carried"
LEFT: Final = "left"

FIRST: Final = bytes(4)
"""Key of the only entry of an array."""
PORT_ROLES: Final = 65_536

_UPLINK_KEY: Final = struct.Struct("!16s16sHH")
_DOWNLINK_KEY: Final = struct.Struct("!16s16sHH32s")
_WAY: Final = struct.Struct("=QQQ32s40s4sIIII16sIHBB4x")
_SUMS: Final = struct.Struct("=QQQQ")
_SEEN: Final = struct.Struct("=QQQ")
_PROCESS_AT: Final = 139

_DONT_FRAGMENT: Final = 0x4000
_TTL: Final = 64
_UDP: Final = 17


class Role(IntEnum):
    """Whose a UDP port of this machine is."""

    NOBODY = 0
    PUBLIC = 1
    HOP = 2


class Left(IntEnum):
    """Why the program left a packet for one of the relay's ports to userspace."""

    CHECK = 0
    UNKNOWN = 1
    KIND = 2
    ODD = 3
    LONG = 4
    LAPSED = 5
    REFUSED = 6
    DROPPED = 7
    """The one exception: it failed half-way, and the packet is lost."""


class Seen(NamedTuple):
    """What the program counted of one direction of a flow."""

    last: float
    """Monotonic seconds of the last packet; 0 before the first."""
    packets: int
    octets: int


class Carried(NamedTuple):
    """What the program forwarded for one packet process."""

    uplink_packets: int
    uplink_octets: int
    downlink_packets: int
    downlink_octets: int

    def since(self, before: "Carried") -> "Carried":
        """The difference."""
        return Carried(*(now - then for now, then in zip(self, before, strict=True)))


def uplink_key(client: Address, local: Address) -> bytes:
    """Where a client's packets come from and go to."""
    return _UPLINK_KEY.pack(pack_address(client[0]), pack_address(local[0]), client[1], local[1])


def downlink_key(peer: Address, local: Address, header: bytes) -> bytes:
    """Where a transceiver's datagrams come from and go to, and their hop header."""
    return _DOWNLINK_KEY.pack(pack_address(peer[0]), pack_address(local[0]), peer[1], local[1], header)


def uplink_way(
    process: int,
    client: Address,
    local: Address,
    source: Address,
    peer: Address,
    route: Route,
    header: bytes,
    seen: Seen,
) -> bytes:
    """From client to local becomes: from source to peer, with the header in front of the payload."""
    return _way(process, (client, local), (source, peer), route, header, +HEADER, seen)


def downlink_way(
    process: int,
    peer: Address,
    local: Address,
    source: Address,
    client: Address,
    route: Route,
    header: bytes,
    seen: Seen,
) -> bytes:
    """From peer to local becomes: from source to client, without the header."""
    return _way(process, (peer, local), (source, client), route, header, -HEADER, seen)


def seen_of(way: bytes) -> Seen:
    """The counters in a value."""
    last, packets, octets = _SEEN.unpack_from(way)
    return Seen(last / 1e9, packets, octets)


def process_of(way: bytes) -> int:
    """Whose flow a value is."""
    return way[_PROCESS_AT]


def carried_of(values: bytes) -> Carried:
    """The sum over all processors."""
    return Carried(*map(sum, zip(*_SUMS.iter_unpack(values), strict=True)))


def carried_sizes() -> tuple[int, int]:
    """Octets of a key and of a value, which has a sum for each processor."""
    return 4, _SUMS.size * processors()


def count_of(values: bytes) -> int:
    """A counter's sum over all processors."""
    return sum(struct.unpack(f"={len(values) // 8}Q", values))


def seconds(moment: float) -> bytes:
    """A moment of the monotonic clock as the program compares it."""
    return struct.pack("=Q", int(moment * 1e9))


SIZES: Final = {UPLINK: (_UPLINK_KEY.size, _WAY.size), DOWNLINK: (_DOWNLINK_KEY.size, _WAY.size)}
"""What a loaded program has to agree with."""
NEVER: Final = Seen(0.0, 0, 0)


def _way(
    process: int,
    old: tuple[Address, Address],
    new: tuple[Address, Address],
    route: Route,
    header: bytes,
    added: int,
    seen: Seen,
) -> bytes:
    ipv6 = ":" in new[0][0]
    source, destination = (_unmapped(pack_address(host)) for host, _ in new)
    outer = (
        struct.pack("!IHBB16s16s", 6 << 28, 0, _UDP, _TTL, source, destination)
        if ipv6
        else struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, _DONT_FRAGMENT, _TTL, _UDP, 0, source, destination)
    )
    ports = struct.pack("!HH", new[0][1], new[1][1])
    old_addresses = b"".join(_unmapped(pack_address(host)) for host, _ in old)
    old_ports = struct.pack("!HH", old[0][1], old[1][1])
    # Both the pseudo-header and the UDP header say how long the packet is (RFC 768).
    longer = _sum(struct.pack("!H", abs(added))) * (1 if added > 0 else -1)
    pseudo = _sum(source + destination) - _sum(old_addresses) + longer
    body = _sum(ports) - _sum(old_ports) + longer + _sum(header) * (1 if added > 0 else -1)
    return _WAY.pack(
        *(int(seen.last * 1e9), seen.packets, seen.octets, header, outer, ports),
        # Sums in ones' complement, where -x is the same as x modulo 65535.
        *(pseudo % 0xFFFF, body % 0xFFFF, 0 if ipv6 else _sum(outer) % 0xFFFF),
        *(AF_INET if len(route.next_hop) == 4 else AF_INET6, route.next_hop, route.interface),
        *(min(route.mtu, 0xFFFF), ipv6, process),
    )


def _sum(data: bytes) -> int:
    """Of the 16-bit words as this machine reads them: checksums do not depend on the order of octets (RFC 1071)."""
    return sum(struct.unpack(f"={len(data) // 2}H", data))


def _unmapped(packed: bytes) -> bytes:
    return packed[12:] if packed[:12] == bytes(10) + b"\xff\xff" else packed
