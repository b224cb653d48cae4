"""What an Opus packet says about itself without being decoded (RFC 6716, section 3). Clock rate 48 kHz (RFC 7587)."""

from typing import Final

CLOCK_RATE: Final = 48_000

SILENCE: Final = b"\xf8\xff\xfe"
"""20 ms of digital silence, mono, CELT fullband: decodable by every Opus decoder in whatever state it is."""

MAX_SAMPLES: Final = 5760
"""120 ms: no Opus packet is longer (RFC 6716, R5)."""

_DTX_OCTETS: Final = 2
"""libopus: `if the return value is 2 bytes or less, then the packet does not need to be transmitted (DTX)`."""


def _frame_samples(toc: int) -> int:
    config = toc >> 3
    if config < 12:  # SILK: 10, 20, 40, 60 ms
        return (480, 960, 1920, 2880)[config & 3]
    if config < 16:  # hybrid: 10, 20 ms
        return (480, 960)[config & 1]
    return (120, 240, 480, 960)[config & 3]  # CELT: 2.5, 5, 10, 20 ms


_FRAME_SAMPLES: Final = tuple(_frame_samples(toc) for toc in range(256))
# Codes 0, 1 and 2 fix the number of frames; code 3 has it in the second octet.
_PACKET_SAMPLES: Final = tuple((1, 2, 2, 0)[toc & 3] * _FRAME_SAMPLES[toc] for toc in range(256))


def samples(payload: bytes) -> int:
    """Duration at 48 kHz, or 0 for what is not an Opus packet."""
    if not payload:
        return 0
    known = _PACKET_SAMPLES[payload[0]]
    if known:
        return known
    if len(payload) < 2:
        return 0
    total = (payload[1] & 0x3F) * _FRAME_SAMPLES[payload[0]]
    return total if total <= MAX_SAMPLES else 0


def is_pause(payload: bytes) -> bool:
    """Whether the sender says with this packet that it will be silent for a while (DTX)."""
    return len(payload) <= _DTX_OCTETS
