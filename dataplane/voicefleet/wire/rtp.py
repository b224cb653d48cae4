"""RTP packet headers (RFC 3550, 5.1) and their extensions (RFC 8285).

`decode_header` reads everything up to the payload and checks every length, the padding's too, so that
`header.payload(packet)` cannot go wrong. Extension elements stay bytes until somebody asks: `extensions(header)`. Any
bytes give a header or `WireError`. The packet is a plain one, after SRTP: padding of a sealed packet is not readable.

Nothing here knows a codec or keeps state; order and wrap-around are in `sequence`.
"""

from collections.abc import Mapping
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from voicefleet.wire.errors import Reason, WireError

FIXED: Final = 12
"""Octets of a header without sources and extensions."""
ONE_BYTE_PROFILE: Final = 0xBEDE
TWO_BYTE_PROFILE: Final = 0x1000
"""The low four bits of a two-byte profile belong to the application (RFC 8285, 4.3)."""

_FIXED: Final = Struct("!BBHII")
_WITH_EXTENSION: Final = Struct("!BBHIIHH")
_CSRC: Final = Struct("!I")
_EXTENSION: Final = Struct("!HH")
_unpack_fixed: Final = _FIXED.unpack_from
_unpack_with_extension: Final = _WITH_EXTENSION.unpack_from
_new = tuple.__new__


class RtpHeader(NamedTuple):
    """What stands before an RTP payload, and where the payload lies in the packet it was read from."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    csrcs: tuple[int, ...] = ()
    extension_profile: int | None = None
    """None: there is no extension; an extension without a single element has a profile all the same."""
    extensions: bytes = b""
    """The elements as they came, a multiple of four octets; `extensions()` reads them."""
    payload_at: int = FIXED
    padding: int = 0
    """Octets after the payload, the last of which counts them."""

    def payload(self, packet: bytes) -> bytes:
        """The payload of the packet that this header was read from."""
        return packet[self.payload_at : len(packet) - self.padding]


def decode_header(packet: bytes) -> RtpHeader:
    """Read the header of a packet.

    The two shapes that browsers send take the short way, 0.7 us: an extension and nothing else, or nothing at all.
    NamedTuple's own constructor would add half of that again, hence `tuple.__new__`.
    """
    try:
        first, second, sequence, timestamp, ssrc, profile, words = _unpack_with_extension(packet)
    except StructError:
        return _decode_any_header(packet)  # too short for an extension: a short packet, or none at all
    if first == 0x90:
        payload_at = 16 + 4 * words
        if payload_at <= len(packet):
            return _new(
                RtpHeader,
                (
                    second & 0x7F,
                    second > 0x7F,
                    sequence,
                    timestamp,
                    ssrc,
                    (),
                    profile,
                    packet[16:payload_at],
                    payload_at,
                    0,
                ),
            )
    elif first == 0x80:
        return _new(RtpHeader, (second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, (), None, b"", FIXED, 0))
    return _decode_any_header(packet)


def _decode_any_header(packet: bytes) -> RtpHeader:
    size = len(packet)
    if size < FIXED:
        raise WireError(Reason.TRUNCATED, f"an RTP header has 12 octets, this packet {size}")
    first, second, sequence, timestamp, ssrc = _unpack_fixed(packet)
    if first >> 6 != 2:
        raise WireError(Reason.BAD_VERSION, f"RTP version {first >> 6}")
    at = FIXED + 4 * (first & 0x0F)
    if at > size:
        raise WireError(Reason.TRUNCATED, "contributing sources beyond the end")
    csrcs = tuple(int.from_bytes(packet[i : i + 4]) for i in range(FIXED, at, 4))
    profile, elements = None, b""
    if first & 0x10:
        if at + 4 > size:
            raise WireError(Reason.TRUNCATED, "no room for the extension's length")
        profile, words = _EXTENSION.unpack_from(packet, at)
        start, at = at + 4, at + 4 + 4 * words
        if at > size:
            raise WireError(Reason.TRUNCATED, "extension beyond the end")
        elements = packet[start:at]
    padding = 0
    if first & 0x20:
        padding = packet[-1]
        if not 0 < padding <= size - at:
            raise WireError(Reason.BAD_LENGTH, f"{padding} octets of padding in {size - at} of payload")
    return RtpHeader(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, csrcs, profile, elements, at, padding)


def encode_header(header: RtpHeader) -> bytes:
    """The octets before the payload. `payload_at` follows from the rest and is not looked at."""
    if not 0 <= header.payload_type <= 0x7F:
        raise ValueError(f"payload type {header.payload_type} does not fit 7 bits")
    if len(header.csrcs) > 15:
        raise ValueError(f"{len(header.csrcs)} contributing sources, 15 fit")
    if header.extension_profile is None and header.extensions:
        raise ValueError("extension elements without a profile")
    first = 0x80 | (0x20 if header.padding else 0) | len(header.csrcs)
    second = header.payload_type | (0x80 if header.marker else 0)
    octets = [b""]
    try:
        octets += (_CSRC.pack(csrc) for csrc in header.csrcs)
        if header.extension_profile is not None:
            words, odd = divmod(len(header.extensions), 4)
            if odd:
                raise ValueError("extension elements are not padded to four octets")
            first |= 0x10
            octets += (_EXTENSION.pack(header.extension_profile, words), header.extensions)
        octets[0] = _FIXED.pack(first, second, header.sequence, header.timestamp, header.ssrc)
    except StructError as error:
        raise ValueError(f"{header}: {error}") from error
    return b"".join(octets)


def encode(header: RtpHeader, payload: bytes) -> bytes:
    """A whole packet, with as many octets of padding as the header says."""
    packet = encode_header(header) + payload
    if not header.padding:
        return packet
    if not 0 < header.padding <= 0xFF:
        raise ValueError(f"{header.padding} octets of padding, 255 fit")
    return packet + bytes(header.padding - 1) + bytes((header.padding,))


class HeaderTemplate:
    """The header of one sender, whose payload type and SSRC stay: a quarter of a microsecond each."""

    __slots__ = ("_payload_type", "_ssrc")

    def __init__(self, payload_type: int, ssrc: int) -> None:
        encode_header(RtpHeader(payload_type, False, 0, 0, ssrc))  # raises on values that do not fit
        self._payload_type = payload_type
        self._ssrc = ssrc

    def encode(self, sequence: int, timestamp: int, marker: bool = False) -> bytes:
        """The twelve octets before a payload."""
        return _FIXED.pack(
            0x80, self._payload_type | 0x80 if marker else self._payload_type, sequence, timestamp, self._ssrc
        )


def extensions(header: RtpHeader) -> dict[int, bytes]:
    """Extension elements by their local id; none when the profile is not one of RFC 8285's."""
    profile = header.extension_profile
    if profile is None:
        return {}
    if profile == ONE_BYTE_PROFILE:
        return _one_byte_elements(header.extensions)
    if profile & 0xFFF0 == TWO_BYTE_PROFILE:
        return _two_byte_elements(header.extensions)
    return {}


def _one_byte_elements(octets: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    at, end = 0, len(octets)
    while at < end:
        first = octets[at]
        at += 1
        if first == 0:
            continue  # padding
        number = first >> 4
        if number == 15 or number == 0:
            break  # RFC 8285, 4.2: neither may carry data; what stands before them counts, nothing after
        stop = at + (first & 0x0F) + 1
        if stop > end:
            raise WireError(Reason.TRUNCATED, f"extension element {number} beyond the end")
        if number in elements:
            raise WireError(Reason.DUPLICATE, f"extension element {number} stands twice")
        elements[number] = octets[at:stop]
        at = stop
    return elements


def _two_byte_elements(octets: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    at, end = 0, len(octets)
    while at < end:
        number = octets[at]
        at += 1
        if number == 0:
            continue  # padding is one octet, in this form as well
        if at == end:
            raise WireError(Reason.TRUNCATED, f"extension element {number} without a length")
        start = at + 1
        stop = start + octets[at]
        if stop > end:
            raise WireError(Reason.TRUNCATED, f"extension element {number} beyond the end")
        if number in elements:
            raise WireError(Reason.DUPLICATE, f"extension element {number} stands twice")
        elements[number] = octets[start:stop]
        at = stop
    return elements


def encode_extensions(elements: Mapping[int, bytes]) -> tuple[int, bytes]:
    """Profile and octets for a header: the one-byte form wherever every element fits it (RFC 8285, 4.1.2)."""
    if all(1 <= number <= 14 and 1 <= len(value) <= 16 for number, value in elements.items()):
        profile = ONE_BYTE_PROFILE
        octets = b"".join(bytes((number << 4 | len(value) - 1,)) + value for number, value in elements.items())
    else:
        if not all(1 <= number <= 255 and len(value) <= 255 for number, value in elements.items()):
            raise ValueError("an extension element has an id from 1 to 255 and up to 255 octets")
        profile = TWO_BYTE_PROFILE
        octets = b"".join(bytes((number, len(value))) + value for number, value in elements.items())
    return profile, octets + bytes(-len(octets) % 4)
