"""Tells by its first octets what a packet on a WebRTC port is (RFC 7983, 9443, 5761). It never looks further."""

from enum import IntEnum
from typing import Final


class PacketKind(IntEnum):
    """What shares one UDP port."""

    STUN = 0
    DTLS = 1
    QUIC = 2
    RTP = 3
    RTCP = 4
    UNKNOWN = 5


def _kind_of(octet: int) -> PacketKind:
    if octet <= 3:
        return PacketKind.STUN
    if 20 <= octet <= 63:
        return PacketKind.DTLS
    if 64 <= octet <= 127 or octet >= 192:
        return PacketKind.QUIC
    if 128 <= octet <= 191:
        return PacketKind.RTP
    return PacketKind.UNKNOWN


FIRST_OCTET: Final[tuple[PacketKind, ...]] = tuple(_kind_of(octet) for octet in range(256))
"""The kind by the first octet alone, for hot loops; RTCP stands as RTP there."""


def classify(packet: bytes | memoryview) -> PacketKind:
    """The kind of a packet; RTP and RTCP are told apart by the second octet (RFC 5761 section 4)."""
    if not packet:
        return PacketKind.UNKNOWN
    kind = FIRST_OCTET[packet[0]]
    if kind is PacketKind.RTP and len(packet) > 1 and 192 <= packet[1] <= 223:
        return PacketKind.RTCP
    return kind
