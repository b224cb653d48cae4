"""Sound in the protocol's events, read and written with one copy, because there is more of it than of all the rest."""

from typing import Final, Literal

import msgspec
from pybase64 import b64encode

DELTA: Final = "response.output_audio.delta"
_MARK: Final = DELTA.encode() + b'"'
_LOOK: Final = 160
"""Octets at the beginning of an event in which its type usually stands."""
_BEFORE: Final = b'{"type":"input_audio_buffer.append","audio":"'
_AFTER: Final = b'"}'


class AudioDelta(msgspec.Struct, frozen=True, gc=False):
    """A piece of what the model says."""

    type: Literal["response.output_audio.delta"]
    response_id: str
    item_id: str
    content_index: int
    delta: bytes


_DECODER: Final = msgspec.json.Decoder(AudioDelta)


def read_delta(message: bytes) -> AudioDelta | None:
    """The sound in an event; None for an event that is none, or that is written in an unusual way."""
    if message.find(_MARK, 0, _LOOK) < 0:
        return None
    try:
        return _DECODER.decode(message)
    except msgspec.DecodeError:
        return None


def append_event(audio: bytes) -> bytes:
    """An `input_audio_buffer.append`."""
    return b"%b%b%b" % (_BEFORE, b64encode(audio), _AFTER)
