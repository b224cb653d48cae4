"""The hop header: 32 octets before each datagram between relay and transceiver, and bundles of such datagrams.

It names the client, and is constant for a flow and direction. So a sender makes it once, and a receiver checks its tag
only when it meets it for the first time: afterwards the 32 octets are a key of a dictionary. The layout is in
docs/architecture.md.
"""

import hmac
import struct
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from hashlib import blake2s
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, NamedTuple

from voicefleet.contract import HOP_MTU
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.keyring import FleetKey, KeyRing

HEADER: Final = 32
"""Octets of a header."""
VERSION: Final = 1
_TAGGED: Final = 24
_TAG: Final = 8
_FIELDS: Final = struct.Struct("!2sBBHBB16s")
_MAGIC: Final = b"VF"
_IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"
_MAX_PACKETS: Final = 255


class Kind(IntEnum):
    """What a datagram on the hop is."""

    DATA = 0
    BUNDLE = 1
    PING = 2
    PONG = 3
    MOVED = 4


class Flag(IntFlag):
    """What the sender knows of the packet behind the header."""

    UNVERIFIED = 1
    """The client's address has not been verified by a STUN check: authenticate before believing it."""
    ROAMED = 2
    """The flow came from another address before."""
    TCP = 4
    """The client speaks ICE-TCP."""
    DOWNLINK = 8
    """From the transceiver to the relay; so a reflected uplink datagram is never taken for downlink."""


_BUNDLE_START: Final = _MAGIC + bytes([VERSION << 4 | Kind.BUNDLE])
_BUNDLE_HEAD: Final = 4
_LENGTH: Final = 2
_BUNDLE_HEADS: Final = tuple(_BUNDLE_START + bytes([count]) for count in range(_MAX_PACKETS + 1))
_LENGTHS: Final = tuple(length.to_bytes(_LENGTH) for length in range(HOP_MTU + 1))
"""Made beforehand: relay and transceiver bundle tens of thousands of packets a second."""
_ALL_FLAGS: Final = int(Flag.UNVERIFIED | Flag.ROAMED | Flag.TCP | Flag.DOWNLINK)
_KINDS: Final = {kind.value: kind for kind in Kind}
_FLAGS: Final = tuple(Flag(value) for value in range(_ALL_FLAGS + 1))


class HopHeader(NamedTuple):
    """A header that was authenticated."""

    kind: Kind
    flags: Flag
    client: tuple[str, int]
    key_id: int


def pack_address(address: str) -> bytes:
    """An address in 16 octets, IPv4 as ::ffff:a.b.c.d."""
    return inet_pton(AF_INET6, address) if ":" in address else _IPV4_MAPPED + inet_pton(AF_INET, address)


def unpack_address(packed: bytes) -> str:
    """The text of an address in 16 octets."""
    return inet_ntop(AF_INET, packed[12:]) if packed[:12] == _IPV4_MAPPED else inet_ntop(AF_INET6, packed)


def seal(kind: Kind, flags: Flag, client: tuple[str, int], key: FleetKey) -> bytes:
    """The header of a flow in one direction."""
    head = _FIELDS.pack(_MAGIC, VERSION << 4 | kind, flags, client[1], key.key_id, 0, pack_address(client[0]))
    return head + blake2s(head, digest_size=_TAG, key=key.hop_key).digest()


def open(header: bytes, ring: KeyRing) -> HopHeader:
    """What a header says, once its tag has been checked; raises `WireError`. Only the first 32 octets are read."""
    if len(header) < HEADER:
        raise WireError(Reason.TRUNCATED, "shorter than a hop header")
    magic, version_kind, flags, port, key_id, reserved, address = _FIELDS.unpack_from(header)
    if magic != _MAGIC:
        raise WireError(Reason.BAD_MAGIC, "not a hop header")
    if version_kind >> 4 != VERSION:
        raise WireError(Reason.BAD_VERSION, f"hop version {version_kind >> 4}")
    key = ring.key(key_id)
    if key is None:
        raise WireError(Reason.UNKNOWN_KEY, "key id is not in the ring")
    tag = blake2s(header[:_TAGGED], digest_size=_TAG, key=key.hop_key).digest()
    if not hmac.compare_digest(tag, header[_TAGGED:HEADER]):
        raise WireError(Reason.NOT_AUTHENTIC, "the tag does not fit")
    kind = _KINDS.get(version_kind & 15)
    if kind is None or kind is Kind.BUNDLE or flags > _ALL_FLAGS or reserved:
        raise WireError(Reason.BAD_VALUE, "kind, flags or reserved octet")
    return HopHeader(kind, _FLAGS[flags], (unpack_address(address), port), key_id)


def bundle(parts: Iterable[tuple[bytes, bytes]], mtu: int = HOP_MTU) -> list[bytes]:
    """Datagrams that carry the (header, payload) pairs in order, as few as fit the MTU; one alone is sent plain."""
    datagrams: list[bytes] = []
    pieces = [b""]
    count = 0
    size = _BUNDLE_HEAD
    for header, payload in parts:
        length = len(header) + len(payload)
        if count and (size + _LENGTH + length > mtu or count == _MAX_PACKETS):
            datagrams.append(_join(pieces, count))
            pieces = [b""]
            count = 0
            size = _BUNDLE_HEAD
        pieces += (_LENGTHS[length] if length <= HOP_MTU else length.to_bytes(_LENGTH), header, payload)
        count += 1
        size += _LENGTH + length
    if count:
        datagrams.append(_join(pieces, count))
    return datagrams


def _join(pieces: list[bytes], count: int) -> bytes:
    if count == 1:
        return pieces[2] + pieces[3]
    pieces[0] = _BUNDLE_HEADS[count]
    return b"".join(pieces)


def is_bundle(datagram: bytes) -> bool:
    """Whether a datagram on the hop has to be unbundled."""
    return datagram[:3] == _BUNDLE_START and len(datagram) >= _BUNDLE_HEAD


def unbundle(datagram: bytes) -> list[tuple[bytes, bytes]]:
    """The (header, payload) pairs of a bundle; headers are not authenticated yet. Raises `WireError`."""
    if len(datagram) < _BUNDLE_HEAD:
        raise WireError(Reason.TRUNCATED, "shorter than a bundle's head")
    if datagram[:3] != _BUNDLE_START:
        magic = datagram[:2] == _MAGIC
        raise WireError(Reason.BAD_VERSION if magic else Reason.BAD_MAGIC, "not a bundle of this version")
    at = _BUNDLE_HEAD
    end = len(datagram)
    parts: list[tuple[bytes, bytes]] = []
    for _ in range(datagram[3]):
        head = at + _LENGTH
        if head > end:
            raise WireError(Reason.TRUNCATED, "fewer packets than counted")
        body = head + HEADER
        at = head + (datagram[at] << 8 | datagram[at + 1])
        if at < body or at > end:
            raise WireError(Reason.BAD_LENGTH, "a packet's length does not fit")
        parts.append((datagram[head:body], datagram[body:at]))
    if at != end:
        raise WireError(Reason.TOO_LONG, "octets after the last packet")
    return parts
