"""Sound in the protocol's events, read and written with one copy, because there is more of it than of all the rest."""

import json
import re
from binascii import Error, a2b_base64, b2a_base64
from typing import Any, Final, NamedTuple

DELTA: Final = "response.output_audio.delta"
_MARK: Final = DELTA.encode() + b'"'
_LOOK: Final = 160
"""Octets at the beginning of an event in which its type usually stands."""
_SOUND: Final = re.compile(rb'"delta"\s*:\s*"([A-Za-z0-9+/=]*)"')
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
    found = _SOUND.search(message)
    if found is None:
        return None
    start, end = found.span(1)
    try:
        event = json.loads(message[:start] + message[end:])
        if event.get("type") != DELTA or event.get("delta") != "":
            return None
        return AudioDelta(event, a2b_base64(memoryview(message)[start:end]))
    except (ValueError, Error, AttributeError):
        return None


def append_event(audio: bytes) -> bytes:
    """An `input_audio_buffer.append`."""
    return b"%b%b%b" % (_BEFORE, b2a_base64(audio, newline=False), _AFTER)
