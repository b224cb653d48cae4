"""Redundant audio (RFC 2198): one payload that carries the newest frame and copies of earlier ones.

Blocks stand oldest first; the last is the primary, whose length is what is left of the payload. Any bytes give blocks
or `WireError`.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from voicefleet.wire.errors import Reason, WireError

MAX_OFFSET: Final = (1 << 14) - 1
"""Ticks that a copy may be older than the primary: 341 ms of Opus."""
MAX_LENGTH: Final = (1 << 10) - 1
"""Octets in a copy; the primary may have more."""
MAX_BLOCKS: Final = 32
"""More than 341 ms of 20 ms frames need, and as many as libwebrtc accepts."""


class RedBlock(NamedTuple):
    """One frame, and how many timestamp ticks it is older than the packet that carries it."""

    payload_type: int
    timestamp_offset: int
    data: bytes


def decode(payload: bytes) -> list[RedBlock]:
    """All blocks, the primary last; there is always one."""
    heads: list[tuple[int, int, int]] = []
    at, end = 0, len(payload)
    while True:
        if at >= end:
            raise WireError(Reason.TRUNCATED, "no header of a primary block")
        first = payload[at]
        if first < 0x80:
            break
        if at + 4 > end:
            raise WireError(Reason.TRUNCATED, "block header beyond the end")
        if len(heads) == MAX_BLOCKS - 1:
            raise WireError(Reason.TOO_LONG, f"more than {MAX_BLOCKS} blocks")
        word = int.from_bytes(payload[at + 1 : at + 4])
        heads.append((first & 0x7F, word >> 10, word & MAX_LENGTH))
        at += 4
    at += 1
    blocks = []
    for payload_type, offset, length in heads:
        stop = at + length
        if stop > end:
            raise WireError(Reason.TRUNCATED, f"block of {length} octets beyond the end")
        blocks.append(RedBlock(payload_type, offset, payload[at:stop]))
        at = stop
    blocks.append(RedBlock(first, 0, payload[at:]))
    return blocks


def encode(blocks: Sequence[RedBlock]) -> bytes:
    """A payload of these blocks, the primary last."""
    if not 1 <= len(blocks) <= MAX_BLOCKS:
        raise ValueError(f"{len(blocks)} blocks: one is needed, {MAX_BLOCKS} are the most")
    *copies, primary = blocks
    if primary.timestamp_offset:
        raise ValueError("the last block is the primary, its timestamp is the packet's")
    heads = bytearray()
    for block in blocks:
        if not 0 <= block.payload_type <= 0x7F:
            raise ValueError(f"payload type {block.payload_type} does not fit 7 bits")
    for block in copies:
        if not (0 <= block.timestamp_offset <= MAX_OFFSET and len(block.data) <= MAX_LENGTH):
            raise ValueError(f"a copy of {len(block.data)} octets, {block.timestamp_offset} ticks old, does not fit")
        word = 0x80 | block.payload_type
        heads += (word << 24 | block.timestamp_offset << 10 | len(block.data)).to_bytes(4)
    heads.append(primary.payload_type)
    return b"".join((heads, *(block.data for block in blocks)))


def with_copies(primary: RedBlock, timestamp: int, earlier: Iterable[tuple[int, bytes]], limit: int) -> list[RedBlock]:
    """The primary after as many of the `earlier` frames (timestamp, data; oldest first) as a payload of `limit` holds.

    The newest copies win: they are those that a burst of losses has not made useless. Frames that the format cannot
    express (too old, too large) and empty ones (silence) are left out.
    """
    left = limit - 1 - len(primary.data)
    blocks = [primary]
    for then, data in reversed(list(earlier)):
        offset = (timestamp - then) & 0xFFFFFFFF
        if not data or not 0 < offset <= MAX_OFFSET or len(data) > MAX_LENGTH:
            continue
        left -= 4 + len(data)
        if left < 0 or len(blocks) == MAX_BLOCKS:
            break
        blocks.append(RedBlock(primary.payload_type, offset, data))
    blocks.reverse()
    return blocks
