"""SRTP as the media core sees it: sealed bytes in, plain bytes out. `net.srtp` is the real one.

What a peer may send is limited before anything is opened, so a flood of forgeries costs one check each.
"""

from enum import StrEnum
from typing import Protocol


class SealBroken(StrEnum):
    """Why a sealed packet was refused."""

    NOT_AUTHENTIC = "not_authentic"
    REPLAYED = "replayed"
    """Seen before, or older than the replay window."""
    MALFORMED = "malformed"
    """Too short or too long to be sealed, or its header does not hold together."""


class ProtectionError(Exception):
    """A packet that could not be opened; nothing about the call has changed."""

    def __init__(self, reason: SealBroken) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Protection(Protocol):
    """Both directions of one call. `open_*` raise `ProtectionError` and nothing else, for any bytes."""

    def seal_rtp(self, packet: bytes) -> bytes:
        """SRTP of an RTP packet."""
        ...

    def seal_rtcp(self, compound: bytes) -> bytes:
        """SRTCP of an RTCP compound."""
        ...

    def open_rtp(self, packet: bytes) -> bytes:
        """The RTP packet in an authentic, new SRTP packet."""
        ...

    def open_rtcp(self, compound: bytes) -> bytes:
        """The RTCP compound in an authentic, new SRTCP packet."""
        ...
