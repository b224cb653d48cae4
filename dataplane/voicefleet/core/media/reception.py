"""What RTCP tells a sender about its packets (RFC 3550, A.1, A.3, A.8): extended sequence, loss, interarrival jitter.

Loss is counted as the network made it: what retransmission or redundancy brings back later was lost all the same.
"""

from typing import Final, NamedTuple

MAX_DROPOUT: Final = 3000
MAX_MISORDER: Final = 500
"""RFC 3550 A.1 has 100; a path that switches (Wi-Fi to mobile) can overtake itself by seconds."""

_HALF: Final = 1 << 15
_CYCLE: Final = 1 << 16


class LossInterval(NamedTuple):
    """A report's figures: what one report block says."""

    fraction: float
    """Lost since the last report, 0..1."""
    cumulative: int
    highest: int
    """Extended highest sequence number, as RTCP writes it (32 bits)."""
    jitter: int
    """In clock units."""


class Reception:
    """Statistics of one SSRC. `update` also turns 16-bit sequence numbers into ones that never wrap."""

    __slots__ = (
        "_arrival",
        "_base",
        "_cycles",
        "_expected_prior",
        "_inverse",
        "_jitter",
        "_rate",
        "_received_prior",
        "_suspect",
        "_timestamp",
        "highest",
        "received",
        "restarts",
    )

    def __init__(self, clock_rate: int) -> None:
        self._rate = clock_rate
        self._inverse = 1.0 / clock_rate
        self.highest = -1
        self._base = 0
        self._cycles = _CYCLE
        self.received = 0
        self.restarts = 0
        self._suspect = -1
        self._jitter = 0.0
        self._arrival = 0.0
        self._timestamp = 0
        self._expected_prior = 0
        self._received_prior = 0

    def update(self, sequence: int, timestamp: int, now: float) -> int:
        """Count a packet; its extended sequence number, or -1 for one that may be a stray (to be dropped)."""
        highest = self.highest
        if highest < 0:
            # One cycle up, so that packets from before the first one have numbers too.
            self.highest = self._base = sequence + _CYCLE
            self._arrival, self._timestamp = now, timestamp
            self.received = 1
            return self.highest
        delta = (sequence - highest) & 0xFFFF
        if delta < _HALF:
            if delta > MAX_DROPOUT:
                return self._stray(sequence, timestamp, now)
            self.received += 1
            if delta and timestamp != self._timestamp:
                # The difference in RTP time as a signed 32-bit number, then both in seconds.
                step = (timestamp - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
                difference = now - self._arrival - step * self._inverse
                if difference < 0.0:
                    difference = -difference
                self._jitter += (difference - self._jitter) * 0.0625
                self._arrival = now
                self._timestamp = timestamp
            self.highest = highest = highest + delta
            return highest
        if _CYCLE - delta > MAX_MISORDER:
            return self._stray(sequence, timestamp, now)
        self.received += 1  # overtaken, or sent again: its time says nothing about the path's jitter
        return highest + delta - _CYCLE

    def retransmitted(self) -> None:
        """The packet just counted was lost and sent again: lost all the same."""
        self.received -= 1

    def _stray(self, sequence: int, timestamp: int, now: float) -> int:
        """Far off: believed when the next packet follows on it, then the numbers go on two cycles later (A.1)."""
        if sequence != self._suspect:
            self._suspect = (sequence + 1) & 0xFFFF
            return -1
        self._suspect = -1
        self.restarts += 1
        self._cycles = (self.highest // _CYCLE + 2) * _CYCLE
        self.highest = self._cycles + sequence
        self._base = self.highest
        self._expected_prior = self._received_prior = 0
        self.received = 1
        self._arrival, self._timestamp = now, timestamp
        return self.highest

    @property
    def expected(self) -> int:
        """How many packets the sender has sent since the first one seen."""
        return self.highest - self._base + 1 if self.highest >= 0 else 0

    @property
    def lost(self) -> int:
        """Packets that the network lost; negative when it duplicated more."""
        return self.expected - self.received

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds."""
        return self._jitter

    def interval(self) -> LossInterval:
        """The figures for a report now; the next call's fraction counts from here."""
        expected = self.expected - self._expected_prior
        received = self.received - self._received_prior
        self._expected_prior, self._received_prior = self.expected, self.received
        fraction = max(0.0, (expected - received) / expected) if expected > 0 else 0.0
        return LossInterval(
            fraction, self.lost, (self.highest - self._cycles) & 0xFFFFFFFF, round(self._jitter * self._rate)
        )
