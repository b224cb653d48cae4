"""RTCP (RFC 3550, 6) with the feedback that voice needs: generic NACK (RFC 4585) and transport-wide feedback.

`decode` takes a compound packet as it comes, or a reduced-size one (RFC 5506), after SRTCP. What a voice call has no
use for (picture loss, extended reports, application packets) is skipped and counted, not refused: a browser may send
it. Any bytes give a compound or `WireError`; one broken packet refuses the whole compound, since its length can't be
trusted either.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Final, NamedTuple

from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.transport_feedback import TransportFeedback, decode_body, encode_body

_SR, _RR, _SDES, _BYE, _RTPFB = 200, 201, 202, 203, 205
_NACK, _TRANSPORT_FEEDBACK = 1, 15
"""Formats of RTPFB."""

CNAME: Final = 1
"""The one SDES item that everybody sends."""

_HEADER: Final = Struct("!BBH")
_REPORT_BLOCK: Final = Struct("!6I")
_SENDER: Final = Struct("!IQIII")
_PAIR: Final = Struct("!II")
_LOSSES: Final = Struct("!HH")


class ReportBlock(NamedTuple):
    """What a receiver says about one source (RFC 3550, 6.4.1)."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    """Signed, 24 bits: duplicates make it negative."""
    highest_sequence: int
    """Extended: the high 16 bits count the times that it wrapped."""
    jitter: int
    last_report: int
    """Middle 32 bits of the NTP time of the last sender report; 0 if there was none."""
    delay: int
    """Time since then in 1/65536 s."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A sender's clocks and counts, and what it receives itself."""

    ssrc: int
    ntp_time: int
    rtp_time: int
    packets: int
    octets: int
    reports: tuple[ReportBlock, ...] = ()
    profile_extension: bytes = b""


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What somebody who sends nothing receives."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()
    profile_extension: bytes = b""


class SdesChunk(NamedTuple):
    """Items (type, text) about one source."""

    ssrc: int
    items: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """Who the sources are: in practice one CNAME."""

    chunks: tuple[SdesChunk, ...]


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Sources that stop; an empty reason is one not given."""

    sources: tuple[int, ...]
    reason: bytes = b""


@dataclass(frozen=True, slots=True)
class Nack:
    """Sequence numbers to send again, in the order given."""

    sender_ssrc: int
    media_ssrc: int
    lost: tuple[int, ...]


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | Nack | TransportFeedback
"""What a compound may hold."""


class Compound(NamedTuple):
    """The packets of one datagram in their order, and how many of other types were passed over."""

    packets: tuple[RtcpPacket, ...]
    skipped: int


def decode(compound: bytes) -> Compound:
    """Read every packet of a compound.

    Lengths must add up (RFC 3550, A.2); which packet comes first is not checked (RFC 5506), nor is padding refused on
    another than the last, because libwebrtc pads each of its transport feedbacks.
    """
    if not compound:
        raise WireError(Reason.TRUNCATED, "no octets")
    packets: list[RtcpPacket] = []
    skipped, at, end = 0, 0, len(compound)
    while at < end:
        if at + 4 > end:
            raise WireError(Reason.TRUNCATED, "RTCP header beyond the end")
        first, kind, words = _HEADER.unpack_from(compound, at)
        if first >> 6 != 2:
            raise WireError(Reason.BAD_VERSION, f"RTCP version {first >> 6}")
        if not 192 <= kind <= 223:
            raise WireError(Reason.BAD_VALUE, f"packet type {kind} is not RTCP's (RFC 5761, 4)")
        start, at = at + 4, at + 4 + 4 * words
        if at > end:
            raise WireError(Reason.TRUNCATED, "RTCP packet beyond the end")
        body = compound[start:at]
        if first & 0x20:
            body = _unpadded(body)
        packet = _decode_body(kind, first & 0x1F, body)
        if packet is None:
            skipped += 1
        else:
            packets.append(packet)
    return Compound(tuple(packets), skipped)


def _unpadded(body: bytes) -> bytes:
    padding = body[-1] if body else 0
    if not 0 < padding <= len(body):
        raise WireError(Reason.BAD_LENGTH, f"{padding} octets of padding in {len(body)}")
    return body[:-padding]


def _decode_body(kind: int, count: int, body: bytes) -> RtcpPacket | None:
    """One packet; `count` is the low five bits of its first octet, which each type uses its own way."""
    if kind == _SR:
        if len(body) < _SENDER.size:
            raise WireError(Reason.TRUNCATED, "sender report without its sender's part")
        reports, at = _decode_reports(body, _SENDER.size, count)
        ssrc, ntp_time, rtp_time, packets, octets = _SENDER.unpack_from(body)
        return SenderReport(ssrc, ntp_time, rtp_time, packets, octets, reports, body[at:])
    if kind == _RR:
        if len(body) < 4:
            raise WireError(Reason.TRUNCATED, "receiver report without a sender")
        reports, at = _decode_reports(body, 4, count)
        return ReceiverReport(int.from_bytes(body[:4]), reports, body[at:])
    if kind == _SDES:
        return _decode_sdes(body, count)
    if kind == _BYE:
        return _decode_bye(body, count)
    if kind == _RTPFB and count == _NACK:
        return _decode_nack(body)
    if kind == _RTPFB and count == _TRANSPORT_FEEDBACK:
        return decode_body(body)
    return None


def _decode_reports(body: bytes, at: int, count: int) -> tuple[tuple[ReportBlock, ...], int]:
    end = at + count * _REPORT_BLOCK.size
    if end > len(body):
        raise WireError(Reason.TRUNCATED, f"{count} report blocks beyond the end")
    reports = []
    for ssrc, losses, highest, jitter, last, delay in _REPORT_BLOCK.iter_unpack(body[at:end]):
        lost = losses & 0xFFFFFF
        reports.append(ReportBlock(ssrc, losses >> 24, lost - (lost >> 23 << 24), highest, jitter, last, delay))
    if (len(body) - end) % 4:
        raise WireError(Reason.BAD_LENGTH, "profile-specific extension is not whole words")
    return tuple(reports), end


def _decode_sdes(body: bytes, count: int) -> SourceDescription:
    chunks = []
    at, end = 0, len(body)
    for _ in range(count):
        if at + 4 > end:
            raise WireError(Reason.TRUNCATED, "SDES chunk without a source")
        ssrc = int.from_bytes(body[at : at + 4])
        at += 4
        items = []
        while True:
            if at >= end:
                raise WireError(Reason.TRUNCATED, "SDES chunk without an end")
            kind = body[at]
            if kind == 0:
                break
            start = at + 2
            if start > end or start + body[at + 1] > end:
                raise WireError(Reason.TRUNCATED, f"SDES item {kind} beyond the end")
            at = start + body[at + 1]
            items.append((kind, body[start:at]))
        at += 4 - at % 4  # at least one null octet ends the list, then up to the next word (RFC 3550, 6.5)
        chunks.append(SdesChunk(ssrc, tuple(items)))
    if any(body[at:]):  # zeros are let through: aiortc writes two octets at a chunk's end, and then pads
        raise WireError(Reason.TOO_LONG, "octets after the last SDES chunk")
    return SourceDescription(tuple(chunks))


def _decode_bye(body: bytes, count: int) -> Goodbye:
    at = 4 * count
    if at > len(body):
        raise WireError(Reason.TRUNCATED, f"{count} sources beyond the end")
    sources = tuple(int.from_bytes(body[i : i + 4]) for i in range(0, at, 4))
    if at == len(body):
        return Goodbye(sources)
    stop = at + 1 + body[at]
    if stop > len(body):
        raise WireError(Reason.TRUNCATED, "reason for leaving beyond the end")
    if len(body) - stop > 3:
        raise WireError(Reason.TOO_LONG, "octets after the reason for leaving")
    return Goodbye(sources, body[at + 1 : stop])


def _decode_nack(body: bytes) -> Nack:
    if len(body) < 12 or len(body) % 4:
        raise WireError(Reason.BAD_LENGTH, "a NACK names at least one packet, in whole words")
    lost: list[int] = []
    for first, following in _LOSSES.iter_unpack(body[8:]):
        lost.append(first)
        while following:
            lowest = following & -following
            lost.append((first + lowest.bit_length()) & 0xFFFF)
            following ^= lowest
    sender_ssrc, media_ssrc = _PAIR.unpack_from(body)
    return Nack(sender_ssrc, media_ssrc, tuple(lost))


def encode(packets: Iterable[RtcpPacket]) -> bytes:
    """A compound of these packets; the caller puts a report first unless reduced size was negotiated."""
    try:
        return b"".join(map(_encode_packet, packets))
    except (StructError, OverflowError) as error:
        raise ValueError(f"a field does not fit: {error}") from error


def _encode_packet(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            sender = _SENDER.pack(packet.ssrc, packet.ntp_time, packet.rtp_time, packet.packets, packet.octets)
            body = sender + _encode_reports(packet.reports) + packet.profile_extension
            return _framed(_SR, len(packet.reports), body)
        case ReceiverReport():
            body = packet.ssrc.to_bytes(4) + _encode_reports(packet.reports) + packet.profile_extension
            return _framed(_RR, len(packet.reports), body)
        case SourceDescription():
            return _framed(_SDES, len(packet.chunks), b"".join(map(_encode_chunk, packet.chunks)))
        case Goodbye():
            body = b"".join(source.to_bytes(4) for source in packet.sources)
            if packet.reason:
                body += len(packet.reason).to_bytes(1) + packet.reason
            return _framed(_BYE, len(packet.sources), body + bytes(-len(body) % 4))
        case Nack():
            body = _PAIR.pack(packet.sender_ssrc, packet.media_ssrc) + _encode_losses(packet.lost)
            return _framed(_RTPFB, _NACK, body)
        case TransportFeedback():
            return _framed(_RTPFB, _TRANSPORT_FEEDBACK, encode_body(packet))


def _framed(kind: int, count: int, body: bytes) -> bytes:
    if count > 31:
        raise ValueError(f"{count} entries in one RTCP packet, 31 fit")
    if len(body) % 4:
        raise ValueError("an RTCP packet is whole words long")
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _encode_reports(reports: Iterable[ReportBlock]) -> bytes:
    octets = b""
    for block in reports:
        if not (0 <= block.fraction_lost <= 0xFF and -(1 << 23) <= block.packets_lost < 1 << 23):
            raise ValueError(f"losses do not fit a report block: {block}")
        octets += _REPORT_BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.packets_lost & 0xFFFFFF,
            block.highest_sequence,
            block.jitter,
            block.last_report,
            block.delay,
        )
    return octets


def _encode_chunk(chunk: SdesChunk) -> bytes:
    octets = chunk.ssrc.to_bytes(4)
    for kind, text in chunk.items:
        if kind == 0:
            raise ValueError("SDES item type 0 ends a chunk")
        octets += bytes((kind,)) + len(text).to_bytes(1) + text
    return octets + bytes(4 - len(octets) % 4)


def _encode_losses(lost: Iterable[int]) -> bytes:
    """Pairs of a sequence number and a map of the sixteen after it (RFC 4585, 6.2.1), in the order given.

    A number joins the map of the one before it only where it is read back at the same place, so sorted numbers pack
    best and any others survive as they are.
    """
    pairs: list[tuple[int, int]] = []
    for sequence in lost:
        if pairs:
            first, following = pairs[-1]
            step = (sequence - first) & 0xFFFF
            if following.bit_length() < step <= 16:
                pairs[-1] = first, following | 1 << (step - 1)
                continue
        pairs.append((sequence, 0))
    if not pairs:
        raise ValueError("a NACK names at least one packet")
    return b"".join(_LOSSES.pack(*pair) for pair in pairs)
