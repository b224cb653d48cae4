"""Sender and receiver reports (RFC 3550, 6.4): when they are due, what they say, and the round trip that they tell.

The NTP mapping is true: media time is a straight line over our clock (`pacing`), so a report made at any moment names
the RTP timestamp that is being played at exactly its NTP time.
"""

from random import Random
from typing import Final

from voicefleet.core.media.pacing import Playout
from voicefleet.core.media.reception import LossInterval
from voicefleet.core.media.sender import Sender
from voicefleet.wire.rtcp import (
    CNAME,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesChunk,
    SenderReport,
    SourceDescription,
)
from voicefleet.wire.sequence import timestamp_distance

INTERVAL: Final = 1.0
"""Seconds between reports: 1% of a call's packets, so that redundancy follows loss within a second or two."""
FIRST: Final = 0.25
"""After the start, so that the round trip is known soon."""

_NTP_EPOCH: Final = 2_208_988_800
"""1900 to 1970 in seconds."""
_MOST_LOST: Final = (1 << 23) - 1


class Reports:
    """One call's reports. `wall_offset`: seconds to add to our monotonic clock to get Unix time."""

    __slots__ = ("_cname", "_compact", "_random", "_heard_at", "due_at", "wall_offset")

    def __init__(self, cname: str, wall_offset: float, random: Random, now: float) -> None:
        self._cname = cname.encode()
        self.wall_offset = wall_offset
        self._random = random
        self._compact = 0
        self._heard_at = 0.0
        self.due_at = now + FIRST

    def heard(self, report: SenderReport, now: float) -> None:
        """The peer's sender report came."""
        self._compact = report.ntp_time >> 16 & 0xFFFFFFFF
        self._heard_at = now

    def forget_peer(self) -> None:
        """Another source speaks now."""
        self._compact = 0

    def round_trip(self, block: ReportBlock, now: float) -> float | None:
        """From our sender report to this block and back, less the peer's own delay; none if it says nothing."""
        if not block.last_report:
            return None
        passed = timestamp_distance((self._ntp(now) >> 16) & 0xFFFFFFFF, block.last_report) - block.delay
        # Clocks count in 15 us steps: a loopback path may come out a step below nothing.
        return max(0.0, passed / 65536) if passed > -66 else None

    def compound(
        self,
        now: float,
        sender: Sender,
        playout: Playout,
        source: int | None,
        interval: LossInterval | None,
    ) -> list[RtcpPacket]:
        """A report with our name, to which feedback may be added; the next one is due about a second later."""
        # 0.5 to 1.5 of the interval, so that reports of many calls don't fall into step (RFC 3550, 6.2).
        self.due_at = now + INTERVAL * (0.5 + self._random.random())
        blocks: tuple[ReportBlock, ...] = ()
        if source is not None and interval is not None:
            delay = round((now - self._heard_at) * 65536)
            blocks = (
                ReportBlock(
                    source,
                    min(255, int(interval.fraction * 256)),
                    max(-_MOST_LOST, min(_MOST_LOST, interval.cumulative)),
                    interval.highest,
                    min(interval.jitter, 0xFFFFFFFF),
                    self._compact,
                    min(delay, 0xFFFFFFFF) if self._compact else 0,
                ),
            )
        report: RtcpPacket
        if sender.packets:
            rtp_time = sender.timestamp(playout.position(now))
            report = SenderReport(
                sender.ssrc, self._ntp(now), rtp_time, sender.packets & 0xFFFFFFFF, sender.octets & 0xFFFFFFFF, blocks
            )
        else:
            report = ReceiverReport(sender.ssrc, blocks)
        return [report, self._name(sender.ssrc)]

    def nothing(self, ssrc: int) -> list[RtcpPacket]:
        """What feedback is to be preceded by where a compound may not be reduced: no report, and our name."""
        return [ReceiverReport(ssrc), self._name(ssrc)]

    def _name(self, ssrc: int) -> SourceDescription:
        return SourceDescription((SdesChunk(ssrc, ((CNAME, self._cname),)),))

    def _ntp(self, now: float) -> int:
        return round((now + self.wall_offset + _NTP_EPOCH) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
