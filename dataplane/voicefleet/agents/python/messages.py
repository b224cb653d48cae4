"""What a worker and an agent's process say to each other: a kind, a length, and octets, over a stream. Pure."""

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final

_HEAD: Final = struct.Struct("=BI")
SECONDS: Final = struct.Struct("=d")
"""Before the PCM of a piece of audio, when it was said; and all of LAST_WORD."""
PLAYED: Final = struct.Struct("=dd")
PID: Final = struct.Struct("=I")
LARGEST: Final = 16 * 1024 * 1024
"""Octets of one message: minutes of speech, said at once."""


class Kind(IntEnum):
    """What a message is. The first ones go to the agent, the others come from it."""

    START = 1
    AUDIO = 2
    KEY = 3
    EVENT = 4
    PLAYED = 5
    """The answer to HUSH or QUEUED: milliseconds played, and milliseconds that wait."""
    END = 6
    SAY = 16
    FINISH = 17
    HUSH = 18
    QUEUED = 19
    TELL = 20
    HANG_UP = 21
    ALIVE = 22
    """The agent's loop came round."""
    HELLO = 15
    """The first one: which process it is."""
    LAST_WORD = 23
    """The caller's turn is over; seconds since its last word."""


class Malformed(ValueError):
    """The other end speaks something else."""


def written(kind: Kind, payload: bytes = b"") -> bytes:
    """One message."""
    return _HEAD.pack(kind, len(payload)) + payload


def written_json(kind: Kind, fields: Any) -> bytes:
    """One message whose payload is JSON."""
    return written(kind, json.dumps(fields, separators=(",", ":")).encode())


class Reader:
    """Messages out of a stream, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """The messages that are whole now; raises `Malformed`."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _HEAD.size:
            number, length = _HEAD.unpack_from(buffer, at)
            if length > LARGEST:
                raise Malformed(f"a message of {length} octets")
            end = at + _HEAD.size + length
            if len(buffer) < end:
                break
            try:
                kind = Kind(number)
            except ValueError:
                raise Malformed(f"a message of kind {number}") from None
            yield kind, bytes(buffer[at + _HEAD.size : end])
            at = end
        del buffer[:at]
