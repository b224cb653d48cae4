"""Arithmetic on numbers that wrap: 16-bit RTP sequence numbers and 32-bit RTP timestamps (RFC 1982, RFC 3550 A.1).

Two numbers less than half the circle apart have an order; the helpers here say which, and unroll a number that wraps
into an index that does not. Pure functions of integers: they never raise and keep no state.
"""

from typing import Final

SEQUENCE_CIRCLE: Final = 1 << 16
TIMESTAMP_CIRCLE: Final = 1 << 32

_SEQUENCE_HALF: Final = SEQUENCE_CIRCLE >> 1
_TIMESTAMP_HALF: Final = TIMESTAMP_CIRCLE >> 1


def sequence_distance(sequence: int, since: int) -> int:
    """Steps from `since` to `sequence` by the shorter way round: -32768 to 32767, negative when `sequence` is older."""
    return ((sequence - since + _SEQUENCE_HALF) & 0xFFFF) - _SEQUENCE_HALF


def timestamp_distance(timestamp: int, since: int) -> int:
    """Ticks from `since` to `timestamp` by the shorter way round, negative when `timestamp` is older."""
    return ((timestamp - since + _TIMESTAMP_HALF) & 0xFFFFFFFF) - _TIMESTAMP_HALF


def extend_sequence(sequence: int, near: int) -> int:
    """The index nearest to `near` whose low 16 bits are `sequence`.

    With `near` the highest index so far this is RFC 3550's extended sequence number (its low 32 bits go into report
    blocks). A packet from before the very first one gets a negative index, so the order stays right there as well.
    """
    return near + sequence_distance(sequence, near)


def extend_timestamp(timestamp: int, near: int) -> int:
    """The 64-bit media time nearest to `near` whose low 32 bits are `timestamp`."""
    return near + timestamp_distance(timestamp, near)
