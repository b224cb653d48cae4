"""STUN as ICE uses it (RFC 8489, RFC 8445): whole messages in and out, strictly.

`decode` promises a `Message` or a `WireError`, in time linear in the datagram. It reads the attributes that ICE needs,
keeps the others, and lists those that it would have to understand and does not (for a 420 answer). Of an attribute that
stands twice the first counts; what stands after MESSAGE-INTEGRITY, other than FINGERPRINT, does not count (section
14.5). It verifies the fingerprint where there is one, and integrity only when asked (`integrity_ok`), because the key
depends on the user name. A relay reads no more than `voicefleet.wire.stun_peek` does.
"""

import hmac
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha1
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.stun_peek import (
    HEADER,
    MAGIC_COOKIE,
    Attribute,
    Peek,
    peek,
)

__all__ = [
    "BINDING",
    "MAGIC_COOKIE",
    "Attribute",
    "Class",
    "Message",
    "Peek",
    "binding_error",
    "binding_request",
    "binding_success",
    "decode",
    "encode",
    "integrity_ok",
    "peek",
]

BINDING: Final = 0x001
"""The only method of ICE."""
FINGERPRINT_XOR: Final = 0x5354554E
MAX_USERNAME: Final = 512
"""RFC 8489 section 14.3: fewer than 513 octets."""
MAX_PHRASE: Final = 763
"""RFC 8489 section 14.8: the reason phrase of an error, in octets."""
_HEADER: Final = struct.Struct("!HHL12s")
_HEAD: Final = struct.Struct("!HH")
_U32: Final = struct.Struct("!L")
_U64: Final = struct.Struct("!Q")
_COOKIE: Final = MAGIC_COOKIE.to_bytes(4)
_TRANSACTION: Final = 12
_INTEGRITY: Final = 24
_FINGERPRINT: Final = 8


class Class(IntEnum):
    """The four classes of a message."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


_CLASSES: Final = tuple(Class)


@dataclass(frozen=True, slots=True)
class Message:
    """A STUN message; what is None or empty is absent. `others` holds attributes that ICE has no use for, in order."""

    cls: Class
    method: int
    transaction_id: bytes
    username: str | None = None
    priority: int | None = None
    use_candidate: bool = False
    ice_controlling: int | None = None
    ice_controlled: int | None = None
    mapped_address: tuple[str, int] | None = None
    error: tuple[int, str] | None = None
    unknown_attributes: tuple[int, ...] = ()
    """What an answer of 420 lists."""
    others: tuple[tuple[int, bytes], ...] = ()
    unknown_required: tuple[int, ...] = ()
    """Comprehension-required attributes of this message that are not understood here."""
    integrity_at: int | None = None
    """Where the MESSAGE-INTEGRITY attribute begins; set by `decode` only."""
    fingerprint: bool = False
    """Whether a FINGERPRINT was there, and right; set by `decode` only."""


def decode(data: bytes) -> Message:
    """The message in a datagram. Whether its integrity holds is for `integrity_ok`."""
    cls, method, _, integrity = peek(data)
    found: dict[int, bytes] = {}
    others: list[tuple[int, bytes]] = []
    unknown: dict[int, None] = {}  # an ordered set: a datagram can hold 16,000 different types
    integrity_at = integrity if integrity >= 0 else None
    fingerprint = False
    at = HEADER
    end = len(data)
    while at < end:  # peek has checked that the attributes tile the message
        kind, length = _HEAD.unpack_from(data, at)
        if kind == Attribute.FINGERPRINT:
            _check_fingerprint(data, at, length)
            fingerprint = True
        elif integrity_at is not None and at >= integrity_at:
            pass
        elif kind in _READ:
            found.setdefault(kind, data[at + 4 : at + 4 + length])
        else:
            others.append((kind, data[at + 4 : at + 4 + length]))
            if kind < 0x8000 and kind not in _KNOWN:
                unknown[kind] = None
        at += 4 + (length + 3 & ~3)
    transaction_id = data[8:HEADER]
    return Message(
        cls=_CLASSES[cls],
        method=method,
        transaction_id=transaction_id,
        username=_username(found.get(Attribute.USERNAME)),
        priority=_u32("PRIORITY", found.get(Attribute.PRIORITY)),
        use_candidate=_flag("USE-CANDIDATE", found.get(Attribute.USE_CANDIDATE)),
        ice_controlling=_u64("ICE-CONTROLLING", found.get(Attribute.ICE_CONTROLLING)),
        ice_controlled=_u64("ICE-CONTROLLED", found.get(Attribute.ICE_CONTROLLED)),
        mapped_address=_mapped(found.get(Attribute.XOR_MAPPED_ADDRESS), transaction_id),
        error=_error(found.get(Attribute.ERROR_CODE)),
        unknown_attributes=_type_list(found.get(Attribute.UNKNOWN_ATTRIBUTES)),
        others=tuple(others),
        unknown_required=tuple(unknown),
        integrity_at=integrity_at,
        fingerprint=fingerprint,
    )


def encode(message: Message, password: bytes | None = None, fingerprint: bool = True) -> bytes:
    """The datagram of a message, with MESSAGE-INTEGRITY under `password` unless that is None."""
    attributes: list[tuple[int, bytes]] = []
    if message.username is not None:
        attributes.append((Attribute.USERNAME, message.username.encode()))
    if message.error is not None:
        code, phrase = message.error
        attributes.append((Attribute.ERROR_CODE, bytes((0, 0, code // 100, code % 100)) + phrase.encode()))
    if message.unknown_attributes:
        attributes.append(
            (
                Attribute.UNKNOWN_ATTRIBUTES,
                struct.pack(f"!{len(message.unknown_attributes)}H", *message.unknown_attributes),
            )
        )
    if message.mapped_address is not None:
        attributes.append((Attribute.XOR_MAPPED_ADDRESS, _xor_address(message.mapped_address, message.transaction_id)))
    attributes += message.others
    if message.ice_controlling is not None:
        attributes.append((Attribute.ICE_CONTROLLING, _U64.pack(message.ice_controlling)))
    if message.ice_controlled is not None:
        attributes.append((Attribute.ICE_CONTROLLED, _U64.pack(message.ice_controlled)))
    if message.use_candidate:
        attributes.append((Attribute.USE_CANDIDATE, b""))
    if message.priority is not None:
        attributes.append((Attribute.PRIORITY, _U32.pack(message.priority)))
    body = b"".join(_HEAD.pack(kind, len(value)) + value + bytes(-len(value) % 4) for kind, value in attributes)
    return _close(_type(message.cls, message.method), message.transaction_id, body, password, fingerprint)


def integrity_ok(data: bytes, integrity_at: int, password: bytes) -> bool:
    """Whether the MESSAGE-INTEGRITY at that offset was made with this password; compared in constant time."""
    # The length field counts up to and with the attribute itself while the HMAC is made (RFC 8489 section 14.5).
    signed = data[:2] + (integrity_at + _INTEGRITY - HEADER).to_bytes(2) + data[4:integrity_at]
    return hmac.compare_digest(_hmac_sha1(password, signed), data[integrity_at + 4 : integrity_at + _INTEGRITY])


def _hmac_sha1(key: bytes, signed: bytes) -> bytes:
    """HMAC-SHA1 (RFC 2104) by two hashes: OpenSSL's one-shot form takes half as long again to find the algorithm."""
    if len(key) > 64:
        key = sha1(key, usedforsecurity=False).digest()
    pad = 64 - len(key)
    inner = sha1(key.translate(hmac.trans_36) + b"\x36" * pad + signed, usedforsecurity=False).digest()
    return sha1(key.translate(hmac.trans_5C) + b"\x5c" * pad + inner, usedforsecurity=False).digest()


def binding_request(
    transaction_id: bytes,
    username: str,
    password: bytes,
    *,
    priority: int,
    controlling: int,
    use_candidate: bool = False,
) -> bytes:
    """An ICE connectivity check."""
    message = Message(
        Class.REQUEST,
        BINDING,
        transaction_id,
        username=username,
        priority=priority,
        ice_controlling=controlling,
        use_candidate=use_candidate,
    )
    return encode(message, password)


def binding_success(transaction_id: bytes, mapped: tuple[str, int], password: bytes) -> bytes:
    """The answer to a check: where it was seen to come from."""
    address = _xor_address(mapped, transaction_id)
    body = _HEAD.pack(Attribute.XOR_MAPPED_ADDRESS, len(address)) + address
    return _close(_type(Class.SUCCESS, BINDING), transaction_id, body, password, True)


def binding_error(
    transaction_id: bytes, code: int, phrase: str, password: bytes | None, unknown: Sequence[int] = ()
) -> bytes:
    """The refusal of a check; authenticated whenever the password is known, so that the client may believe it."""
    message = Message(Class.ERROR, BINDING, transaction_id, error=(code, phrase), unknown_attributes=tuple(unknown))
    return encode(message, password)


def _type(cls: int, method: int) -> int:
    """The message type: the two class bits lie between the method's (RFC 8489 section 5)."""
    return (method & 0xF80) << 2 | (cls & 2) << 7 | (method & 0x70) << 1 | (cls & 1) << 4 | method & 0xF


def _close(kind: int, transaction_id: bytes, body: bytes, password: bytes | None, fingerprint: bool) -> bytes:
    if len(transaction_id) != _TRANSACTION:
        raise ValueError(f"a transaction id has {_TRANSACTION} octets")
    if password is not None:
        head = _HEADER.pack(kind, len(body) + _INTEGRITY, MAGIC_COOKIE, transaction_id)
        body += _HEAD.pack(Attribute.MESSAGE_INTEGRITY, 20) + _hmac_sha1(password, head + body)
    length = len(body) + (_FINGERPRINT if fingerprint else 0)
    data = _HEADER.pack(kind, length, MAGIC_COOKIE, transaction_id) + body
    if fingerprint:
        data += _HEAD.pack(Attribute.FINGERPRINT, 4) + _U32.pack(zlib.crc32(data) ^ FINGERPRINT_XOR)
    return data


def _check_fingerprint(data: bytes, at: int, length: int) -> None:
    if length != 4 or at + _FINGERPRINT != len(data):
        raise WireError(Reason.BAD_LENGTH, "FINGERPRINT is not the last attribute")
    if zlib.crc32(data[:at]) ^ FINGERPRINT_XOR != _U32.unpack_from(data, at + 4)[0]:
        raise WireError(Reason.NOT_AUTHENTIC, "FINGERPRINT does not fit")


def _username(value: bytes | None) -> str | None:
    if value is None:
        return None
    if len(value) > MAX_USERNAME:
        raise WireError(Reason.TOO_LONG, "USERNAME")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise WireError(Reason.BAD_VALUE, "USERNAME is not UTF-8") from None


def _u32(name: str, value: bytes | None) -> int | None:
    if value is None:
        return None
    if len(value) != 4:
        raise WireError(Reason.BAD_LENGTH, name)
    return int.from_bytes(value)


def _u64(name: str, value: bytes | None) -> int | None:
    if value is None:
        return None
    if len(value) != 8:
        raise WireError(Reason.BAD_LENGTH, name)
    return int.from_bytes(value)


def _flag(name: str, value: bytes | None) -> bool:
    if value:
        raise WireError(Reason.BAD_LENGTH, name)
    return value is not None


def _xor_address(address: tuple[str, int], transaction_id: bytes) -> bytes:
    text, port = address
    if ":" in text:
        family, packed, mask = 2, inet_pton(AF_INET6, text), _COOKIE + transaction_id
    else:
        family, packed, mask = 1, inet_pton(AF_INET, text), _COOKIE
    masked = (int.from_bytes(packed) ^ int.from_bytes(mask)).to_bytes(len(packed))
    return _HEAD.pack(family, port ^ MAGIC_COOKIE >> 16) + masked


def _mapped(value: bytes | None, transaction_id: bytes) -> tuple[str, int] | None:
    if value is None:
        return None
    if len(value) < 4:
        raise WireError(Reason.BAD_LENGTH, "XOR-MAPPED-ADDRESS")
    family, port = value[1], int.from_bytes(value[2:4]) ^ MAGIC_COOKIE >> 16
    if family not in (1, 2):
        raise WireError(Reason.BAD_VALUE, "XOR-MAPPED-ADDRESS has no known family")
    mask = _COOKIE if family == 1 else _COOKIE + transaction_id
    if len(value) != 4 + len(mask):
        raise WireError(Reason.BAD_LENGTH, "XOR-MAPPED-ADDRESS")
    packed = (int.from_bytes(value[4:]) ^ int.from_bytes(mask)).to_bytes(len(mask))
    return inet_ntop(AF_INET if family == 1 else AF_INET6, packed), port


def _error(value: bytes | None) -> tuple[int, str] | None:
    if value is None:
        return None
    if len(value) < 4 or len(value) > 4 + MAX_PHRASE:
        raise WireError(Reason.BAD_LENGTH, "ERROR-CODE")
    hundreds, rest = value[2] & 7, value[3]
    if not 3 <= hundreds <= 6 or rest > 99:
        raise WireError(Reason.BAD_VALUE, "ERROR-CODE is not from 300 to 699")
    try:
        return hundreds * 100 + rest, value[4:].decode()
    except UnicodeDecodeError:
        raise WireError(Reason.BAD_VALUE, "the reason phrase is not UTF-8") from None


def _type_list(value: bytes | None) -> tuple[int, ...]:
    if value is None:
        return ()
    if len(value) % 2:
        raise WireError(Reason.BAD_LENGTH, "UNKNOWN-ATTRIBUTES")
    return struct.unpack(f"!{len(value) // 2}H", value)


_READ: Final = frozenset(
    {
        Attribute.USERNAME,
        Attribute.ERROR_CODE,
        Attribute.UNKNOWN_ATTRIBUTES,
        Attribute.XOR_MAPPED_ADDRESS,
        Attribute.PRIORITY,
        Attribute.USE_CANDIDATE,
        Attribute.ICE_CONTROLLED,
        Attribute.ICE_CONTROLLING,
    }
)
_KNOWN: Final = frozenset({Attribute.MAPPED_ADDRESS, Attribute.MESSAGE_INTEGRITY, Attribute.REALM, Attribute.NONCE})
"""Comprehension-required, without use in ICE, and harmless."""
