"""The downlink's RTP: sequence numbers, redundant copies, a history for retransmission, a sender report's counts.

Keeps sealed packets, so that a retransmission is the very same datagram: nothing is sealed twice under one index,
which AES-GCM does not survive. Memory: HISTORY packets.
"""

from collections import deque
from typing import Final

from voicefleet.core.media.protection import Protection
from voicefleet.wire.red import RedBlock, encode, with_copies
from voicefleet.wire.rtp import HeaderTemplate

HISTORY: Final = 64
"""Packets: 1.28 s at 20 ms each; older ones can't be played any more where they went."""
MAX_COPIES: Final = 2
LARGEST_PAYLOAD: Final = 1100
"""Copies are left out beyond this; with header, seal and hop header it stays below the MTU."""
ANSWERS_PER_NACK: Final = 32
"""A peer can't make one small packet of its own into more than this many of ours."""

_NEVER: Final = float("-inf")
_SPACING: Final = 0.01
"""Least time between two retransmissions of one packet, on a path of no length."""


class Sender:
    """One SSRC of ours."""

    __slots__ = (
        "_answered",
        "_first_sequence",
        "_first_timestamp",
        "_header",
        "_history",
        "_payload_type",
        "_protection",
        "_recent",
        "_red_header",
        "copies",
        "copies_sent",
        "octets",
        "packets",
        "refused",
        "retransmitted",
        "ssrc",
    )

    def __init__(
        self,
        protection: Protection,
        ssrc: int,
        payload_type: int,
        red_payload_type: int | None,
        first_sequence: int,
        first_timestamp: int,
    ) -> None:
        self._protection = protection
        self.ssrc = ssrc
        self._payload_type = payload_type
        self._header = HeaderTemplate(payload_type, ssrc)
        self._red_header = None if red_payload_type is None else HeaderTemplate(red_payload_type, ssrc)
        self._first_sequence = first_sequence
        self._first_timestamp = first_timestamp
        self._history: list[tuple[int, bytes] | None] = [None] * HISTORY
        self._answered: list[float] = [_NEVER] * HISTORY
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=MAX_COPIES)
        self.copies = 0
        """Earlier frames that each packet shall carry; without RED negotiated it means nothing."""
        self.packets = self.octets = 0
        self.copies_sent = self.retransmitted = self.refused = 0

    def timestamp(self, position: int) -> int:
        """The RTP timestamp of a media position."""
        return self._first_timestamp + position & 0xFFFFFFFF

    def datagram(self, payload: bytes, position: int, marker: bool) -> bytes:
        """The next packet, sealed."""
        sequence = self._first_sequence + self.packets & 0xFFFF
        timestamp = self._first_timestamp + position & 0xFFFFFFFF
        red = self._red_header
        if red is None:
            body = payload
            header = self._header.encode(sequence, timestamp, marker)
        else:
            if self.copies and self._recent:
                earlier = list(self._recent)[-self.copies :]
                blocks = with_copies(RedBlock(self._payload_type, 0, payload), timestamp, earlier, LARGEST_PAYLOAD)
                self.copies_sent += len(blocks) - 1
                body = encode(blocks)
                header = red.encode(sequence, timestamp, marker)
            else:
                body = payload
                header = self._header.encode(sequence, timestamp, marker)
            self._recent.append((timestamp, payload))
        sealed = self._protection.seal_rtp(header + body)
        slot = self.packets % HISTORY
        self._history[slot] = (sequence, sealed)
        self._answered[slot] = _NEVER
        self.packets += 1
        self.octets += len(body)
        return sealed

    def again(self, lost: tuple[int, ...], now: float, round_trip: float) -> list[bytes]:
        """Datagrams for a NACK; a packet is not sent again while the last answer may be on its way."""
        datagrams = []
        spacing = max(_SPACING, 0.5 * round_trip)
        for sequence in lost[:ANSWERS_PER_NACK]:
            slot = (sequence - self._first_sequence & 0xFFFF) % HISTORY
            entry = self._history[slot]
            if entry is None or entry[0] != sequence or now - self._answered[slot] < spacing:
                self.refused += 1
                continue
            self._answered[slot] = now
            self.retransmitted += 1
            datagrams.append(entry[1])
        return datagrams
