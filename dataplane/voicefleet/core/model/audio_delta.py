"""Sound in the protocol's events, read and written with one copy, because there is more of it than of all the rest."""

import json
from binascii import Error
from typing import Any, Final, NamedTuple

from pybase64 import b64decode, b64encode

DELTA: Final = "response.output_audio.delta"
_MARK: Final = DELTA.encode() + b'"'
_LOOK: Final = 160
"""Octets at the beginning of an event in which its type usually stands."""
_SOUNDS: Final = (b'"delta":"', b'"delta": "')
"""How servers write it: with a space or without."""
_BEFORE: Final = b'{"type":"input_audio_buffer.append","audio":"'
_AFTER: Final = b'"}'


class AudioDelta(NamedTuple):
    """A piece of what the model says."""

    event: dict[str, Any]
    """The event without its sound."""
    audio: bytes


def read_delta(message: bytes) -> AudioDelta | None:
    """The sound in an event; None for an event that is none, or that is written in an unusual way."""
    if message.find(_MARK, 0, _LOOK) < 0:
        return None
    start = _start(message)
    end = message.find(b'"', start)
    if start < 0 or end < 0:
        return None
    try:
        event = json.loads(message[:start] + message[end:])
        if event.get("type") != DELTA or event.get("delta") != "":
            return None
        return AudioDelta(event, b64decode(memoryview(message)[start:end], validate=True))
    except (ValueError, Error, AttributeError):
        return None  # an escape in the sound ends here too


def _start(message: bytes) -> int:
    """Where the sound begins."""
    for before in _SOUNDS:
        at = message.find(before)
        if at >= 0:
            return at + len(before)
    return -1


def append_event(audio: bytes) -> bytes:
    """An `input_audio_buffer.append`."""
    return b"%b%b%b" % (_BEFORE, b64encode(audio), _AFTER)
