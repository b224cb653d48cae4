"""Transport-wide congestion feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01): which packets arrived, when.

The body of an RTCP packet of type RTPFB, format 15; `rtcp` reads and writes the header around it. Only packets that
arrived become values: a report of 65,535 losses is eight octets on the wire and must not be more in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from voicefleet.wire.errors import Reason, WireError

DELTA_TICK_US: Final = 250
REFERENCE_TICK_US: Final = 64_000

_FIXED: Final = Struct("!IIHHI")
_LOST, _SMALL, _LARGE = 0, 1, 2
"""Status symbols; a symbol is also the number of octets of its delta. 3 is reserved."""
_MAX_RUN: Final = (1 << 13) - 1


class Arrival(NamedTuple):
    """One packet that arrived."""

    sequence: int
    """Transport-wide sequence number, 16 bits."""
    delta: int
    """Ticks of 250 us since the arrival before it in the report, or since the reference time for the first."""


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """A receiver's report on `packet_count` packets from `base_sequence` on; those without an arrival are lost."""

    sender_ssrc: int
    media_ssrc: int
    base_sequence: int
    packet_count: int
    reference_time: int
    """Ticks of 64 ms on the receiver's clock, signed, 24 bits."""
    feedback_count: int
    """Counts the reports themselves, 8 bits, so that a lost report shows."""
    arrivals: tuple[Arrival, ...]


def decode_body(body: bytes) -> TransportFeedback:
    """Read the octets after the RTCP header, without its padding."""
    if len(body) < _FIXED.size:
        raise WireError(Reason.TRUNCATED, "transport feedback without its fixed part")
    sender_ssrc, media_ssrc, base, count, word = _FIXED.unpack_from(body)
    if count == 0:
        raise WireError(Reason.BAD_VALUE, "transport feedback on no packet")
    received, at = _decode_chunks(body, count)
    arrivals = []
    for offset, size in received:
        delta = body[at] if size == _SMALL else int.from_bytes(body[at : at + 2], signed=True)
        arrivals.append(Arrival((base + offset) & 0xFFFF, delta))
        at += size
    if len(body) - at > 3:
        raise WireError(Reason.TOO_LONG, "octets after the last delta")
    reference = word >> 8
    return TransportFeedback(
        sender_ssrc,
        media_ssrc,
        base,
        count,
        reference - (1 << 24) if reference & 0x800000 else reference,
        word & 0xFF,
        tuple(arrivals),
    )


def _decode_chunks(body: bytes, count: int) -> tuple[list[tuple[int, int]], int]:
    """(offset, octets of its delta) for each packet received, and where the deltas start."""
    received: list[tuple[int, int]] = []
    offset, needed, at, end = 0, 0, _FIXED.size, len(body)
    while offset < count:
        if at + 2 > end:
            raise WireError(Reason.TRUNCATED, "status chunks end too early")
        chunk = int.from_bytes(body[at : at + 2])
        at += 2
        if chunk < 0x8000:
            run, symbol = min(chunk & _MAX_RUN, count - offset), chunk >> 13
            if run == 0:
                raise WireError(Reason.BAD_LENGTH, "a run of no packets")
            needed += run * symbol
            if needed > end - at:
                raise WireError(Reason.TRUNCATED, "fewer deltas than packets received")
            if symbol == 3:
                raise WireError(Reason.BAD_VALUE, "reserved status symbol")
            if symbol != _LOST:
                received += [(offset + i, symbol) for i in range(run)]
            offset += run
            continue
        width = 2 if chunk & 0x4000 else 1
        for shift in range(14 - width, -1, -width):
            if offset == count:
                break  # the rest of the last vector means nothing
            symbol = chunk >> shift & (3 if width == 2 else 1)
            if symbol == 3:
                raise WireError(Reason.BAD_VALUE, "reserved status symbol")
            if symbol != _LOST:
                needed += symbol
                received.append((offset, symbol))
            offset += 1
    if needed > end - at:
        raise WireError(Reason.TRUNCATED, "fewer deltas than packets received")
    return received, at


def encode_body(feedback: TransportFeedback) -> bytes:
    """The octets after the RTCP header, padded with zeros to four octets as the draft draws it."""
    if not 1 <= feedback.packet_count <= 0xFFFF:
        raise ValueError(f"feedback on {feedback.packet_count} packets: 1 to 65535 fit")
    if not -(1 << 23) <= feedback.reference_time < 1 << 23:
        raise ValueError(f"reference time {feedback.reference_time} does not fit 24 bits")
    if not 0 <= feedback.feedback_count <= 0xFF:
        raise ValueError(f"feedback count {feedback.feedback_count} does not fit 8 bits")
    octets = bytearray(
        _FIXED.pack(
            feedback.sender_ssrc,
            feedback.media_ssrc,
            feedback.base_sequence,
            feedback.packet_count,
            (feedback.reference_time & 0xFFFFFF) << 8 | feedback.feedback_count,
        )
    )
    for chunk in _chunks(_runs(feedback)):
        octets += chunk.to_bytes(2)
    for arrival in feedback.arrivals:
        small = 0 <= arrival.delta <= 0xFF
        octets += arrival.delta.to_bytes(1) if small else arrival.delta.to_bytes(2, signed=True)
    return bytes(octets) + bytes(-len(octets) % 4)


def _runs(feedback: TransportFeedback) -> list[tuple[int, int]]:
    """The report as (symbol, length), neighbours different."""
    runs: list[tuple[int, int]] = []
    reported = 0
    for sequence, delta in feedback.arrivals:
        offset = (sequence - feedback.base_sequence) & 0xFFFF
        if not reported <= offset < feedback.packet_count:
            raise ValueError(f"packet {sequence} is outside the report, or not in order")
        symbol = _SMALL if 0 <= delta <= 0xFF else _LARGE
        if offset > reported:
            runs.append((_LOST, offset - reported))
        if runs and runs[-1][0] == symbol:
            runs[-1] = symbol, runs[-1][1] + 1
        else:
            runs.append((symbol, 1))
        reported = offset + 1
    if reported < feedback.packet_count:
        runs.append((_LOST, feedback.packet_count - reported))
    return runs


def _chunks(runs: list[tuple[int, int]]) -> Iterator[int]:
    """Each run as one chunk if that says at least as much as a vector would, else the next 14 or 7 packets as one."""
    index = done = 0  # runs that are written, packets of the next one that are written
    while index < len(runs):
        symbol, length = runs[index]
        length = min(length - done, _MAX_RUN)
        window = _window(runs, index, done)
        width = 1 if max(window) <= _SMALL else 2
        if length >= 14 // width or index == len(runs) - 1:
            yield symbol << 13 | length
        else:
            length = 14 // width
            value = 0
            for symbol in window[:length]:
                value = value << width | symbol
            yield (0x8000 if width == 1 else 0xC000) | value
        done += length
        while index < len(runs) and done >= runs[index][1]:
            done -= runs[index][1]
            index += 1


def _window(runs: list[tuple[int, int]], index: int, done: int) -> list[int]:
    """The next 14 symbols, with losses after the last."""
    window: list[int] = []
    for symbol, length in runs[index : index + 14]:
        window += [symbol] * min(length - done, 14)
        done = 0
    return (window + [_LOST] * 14)[:14]
