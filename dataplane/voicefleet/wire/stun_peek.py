"""What a relay reads of a STUN message, and no more: class, method, user name, and where its integrity stands.

It walks the attributes once, which costs a tenth of a full decode, and is exactly as strict about their lengths: where
`stun.decode` succeeds `peek` does too, and both name the same user name and the same place of the integrity. It checks
neither integrity nor fingerprint.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

from voicefleet.wire.errors import Reason, WireError

MAGIC_COOKIE: Final = 0x2112A442
HEADER: Final = 20
_HEADER: Final = struct.Struct("!HHL")
_HEAD: Final = struct.Struct("!HH")


class Attribute(IntEnum):
    """Attribute types of RFC 8489 and RFC 8445 that have a meaning here."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    REALM = 0x0014
    NONCE = 0x0015
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


class Peek(NamedTuple):
    """A STUN message as a relay sees it: empty `username` and -1 as `integrity_at` mean absent."""

    cls: int
    method: int
    username: bytes
    integrity_at: int


_USERNAME: Final = int(Attribute.USERNAME)
_INTEGRITY: Final = int(Attribute.MESSAGE_INTEGRITY)


def peek(data: bytes) -> Peek:
    """Class, method, user name and place of the integrity; raises `WireError` for what is no STUN message."""
    end = len(data)
    if end < HEADER:
        raise WireError(Reason.TRUNCATED, "shorter than a STUN header")
    kind, length, cookie = _HEADER.unpack_from(data)
    if cookie != MAGIC_COOKIE or kind > 0x3FFF:
        raise WireError(Reason.BAD_MAGIC, "not STUN")
    if length & 3 or length + HEADER != end:
        raise WireError(Reason.BAD_LENGTH, "the length field does not fit the datagram")
    unpack = _HEAD.unpack_from
    username = b""
    named = False
    integrity_at = -1
    at = HEADER
    while at < end:
        attribute, length = unpack(data, at)  # four octets are there: everything is a multiple of four
        after = at + 4 + (length + 3 & -4)
        if after > end:
            raise WireError(Reason.BAD_LENGTH, "an attribute reaches beyond the end")
        if attribute == _USERNAME:
            if not named and integrity_at < 0:
                named = True
                username = data[at + 4 : at + 4 + length]
        elif attribute == _INTEGRITY and integrity_at < 0:
            if length != 20:
                raise WireError(Reason.BAD_LENGTH, "MESSAGE-INTEGRITY")
            integrity_at = at
        at = after
    return Peek(
        kind >> 7 & 2 | kind >> 4 & 1, kind >> 2 & 0xF80 | kind >> 1 & 0x70 | kind & 0xF, username, integrity_at
    )
