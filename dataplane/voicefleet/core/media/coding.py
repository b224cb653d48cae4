"""The codecs that a call can have, as far as packets are concerned; `AudioTerms` is what both sides agreed on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from voicefleet.core.media import g711, opus_packet, quality


@dataclass(frozen=True, slots=True)
class Coding:
    """One codec on the wire."""

    name: str
    clock_rate: int
    samples_of: Callable[[bytes], int]
    """Duration of a packet in clock units, 0 for what is none."""
    is_pause: Callable[[bytes], bool]
    """Whether a packet says that silence follows."""
    silence: bytes
    """20 ms of it."""
    robustness: quality.CodecRobustness
    frame: int = 0
    """Octets of 20 ms, where what is encoded can be cut anywhere; 0 where each packet is one piece."""


def _never(payload: bytes) -> bool:
    return False


OPUS: Final = Coding(
    "opus", opus_packet.CLOCK_RATE, opus_packet.samples, opus_packet.is_pause, opus_packet.SILENCE, quality.OPUS
)
PCMU: Final = Coding("PCMU", g711.CLOCK_RATE, len, _never, bytes((g711.Law.MU.value,)) * 160, quality.G711, 160)
PCMA: Final = Coding("PCMA", g711.CLOCK_RATE, len, _never, bytes((g711.Law.A.value,)) * 160, quality.G711, 160)


@dataclass(frozen=True, slots=True)
class AudioTerms:
    """What offer and answer settled for the one audio section. Payload types and extension ids are the offerer's."""

    coding: Coding
    payload_type: int
    red: int | None = None
    """RFC 2198 payload type, if both sides have it."""
    comfort_noise: int | None = None
    """RFC 3389 payload type."""
    telephone_events: Mapping[int, int] = field(default_factory=dict)
    """RFC 4733: clock rate by payload type."""
    nack: bool = False
    """Whether to ask for retransmissions. Chromium answers NACKs even where it did not offer them."""
    reduced_size: bool = False
    """RFC 5506: feedback need not come with a report."""
    transport_sequence: int | None = None
    """Extension id of the transport-wide sequence number, if its feedback was agreed on."""
