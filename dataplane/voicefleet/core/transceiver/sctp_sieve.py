"""Looks at an SCTP packet (RFC 9260) before the library does: what would cost it unbounded time or memory is refused.

A caller's packets are authentic, yet nobody knows the caller. A parameter of length zero, a gap report over 65,535
packets, a chunk from far outside of the window: each is one packet that a careless reader pays for with seconds, and
here all calls of a worker share one reader. What passes costs time in proportion to its chunks.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

MAX_STREAM: Final = 1023
"""Highest stream id; browsers use no higher one."""
WINDOW: Final = 1024
"""How far ahead of what has arrived in order a chunk may be: what we advertise (1 MiB), in full packets."""
MAX_GAPPED: Final = 4096
"""Packets that the gap blocks of one report may span: more than we ever have on the way."""
_HEADER: Final = 12
_CHUNK: Final = Struct("!BBH")
_PARAMETER: Final = Struct("!HH")
_DATA: Final = Struct("!LHHL")
_SACK: Final = Struct("!LLHH")
_DATA_TYPE, _INIT, _INIT_ACK, _SACK_TYPE, _HEARTBEAT, _HEARTBEAT_ACK, _ABORT = range(7)
_ERROR: Final = 9
_RECONFIG: Final = 130
_FORWARD: Final = 192
_PARAMETERS_AT: Final = {_INIT: 16, _INIT_ACK: 16, _HEARTBEAT: 0, _HEARTBEAT_ACK: 0, _ABORT: 0, _ERROR: 0, _RECONFIG: 0}
"""Where the parameters of a chunk's body begin."""


class SctpRefused(Exception):
    """A packet that is not handed on; the message says why, for a counter."""


class DataChunk(NamedTuple):
    """What matters of a DATA chunk before it is taken."""

    stream: int
    sequence: int
    protocol: int
    unordered: bool


class Sifted(NamedTuple):
    """A packet that may be handed on."""

    chunks: int
    data: tuple[DataChunk, ...]


def sift(packet: bytes, received: int | None) -> Sifted:
    """Check a packet; `received` is the highest TSN that has arrived in order. Raises `SctpRefused`."""
    data: list[DataChunk] = []
    kinds: list[int] = []
    for kind, flags, body in _chunks(packet):
        kinds.append(kind)
        if kind == _DATA_TYPE:
            data.append(_data(flags, body, received))
        elif kind == _SACK_TYPE:
            _check_gaps(body)
        elif kind == _FORWARD:
            _check_forward(body, received)
        elif (at := _PARAMETERS_AT.get(kind)) is not None:
            _check_parameters(body, at)
    if not kinds:
        raise SctpRefused("empty")
    if _INIT in kinds and len(kinds) > 1:
        raise SctpRefused("init_in_company")
    return Sifted(len(kinds), tuple(data))


def _chunks(packet: bytes) -> Iterator[tuple[int, int, bytes]]:
    at, end = _HEADER, len(packet)
    while at < end:
        if end - at < _CHUNK.size:
            raise SctpRefused("chunk_length")
        kind, flags, length = _CHUNK.unpack_from(packet, at)
        if length < _CHUNK.size or at + length > end:
            raise SctpRefused("chunk_length")
        yield kind, flags, packet[at + _CHUNK.size : at + length]
        at += length + (-length & 3)


def _data(flags: int, body: bytes, received: int | None) -> DataChunk:
    if len(body) <= _DATA.size:
        raise SctpRefused("chunk_length")
    tsn, stream, sequence, protocol = _DATA.unpack_from(body)
    if stream > MAX_STREAM:
        raise SctpRefused("stream")
    _check_window(tsn, received)
    return DataChunk(stream, sequence, protocol, bool(flags & 0x04))


def _check_window(tsn: int, received: int | None) -> None:
    """Duplicates lie behind, and are as welcome as what lies a little ahead."""
    if received is not None and WINDOW < (tsn - received) & 0xFFFFFFFF < 0x80000000:
        raise SctpRefused("window")


def _check_gaps(body: bytes) -> None:
    if len(body) < _SACK.size:
        raise SctpRefused("chunk_length")
    _, _, gaps, duplicates = _SACK.unpack_from(body)
    if len(body) != _SACK.size + 4 * (gaps + duplicates):
        raise SctpRefused("chunk_length")
    spanned = 0
    for at in range(_SACK.size, _SACK.size + 4 * gaps, 4):
        first, last = _PARAMETER.unpack_from(body, at)
        if not 0 < first <= last:
            raise SctpRefused("gap")
        spanned += last - first + 1
    if spanned > MAX_GAPPED:
        raise SctpRefused("gap")


def _check_forward(body: bytes, received: int | None) -> None:
    if len(body) < 4 or len(body) % 4:
        raise SctpRefused("chunk_length")
    _check_window(int.from_bytes(body[:4]), received)
    for at in range(4, len(body), 4):
        if _PARAMETER.unpack_from(body, at)[0] > MAX_STREAM:
            raise SctpRefused("stream")


def _check_parameters(body: bytes, at: int) -> None:
    if len(body) < at:
        raise SctpRefused("chunk_length")
    while at < len(body):
        if len(body) - at < _PARAMETER.size:
            raise SctpRefused("parameter_length")
        _, length = _PARAMETER.unpack_from(body, at)
        if length < _PARAMETER.size or at + length > len(body):
            raise SctpRefused("parameter_length")
        at += length + (-length & 3)
