"""One call's audio, both ways: sealed datagrams and the agent's frames in, frames and sealed datagrams out. Sans-IO.

The transport gives what came (`on_srtp`, `on_srtcp`), sends what `poll` returns and calls it again at
`next_deadline()`, which may have moved after every other call. The agent's side takes frames (`take_audio`) and speaks
(`say`, `flush`). Forgeries, replays and authentic garbage are counted by reason in `refused` and change nothing else.
All of this belongs to one thread.
"""

from bisect import bisect_left
from collections import Counter
from random import Random
from typing import Final

from voicefleet.core.media import quality
from voicefleet.core.media.coding import AudioTerms
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.measurements import DownlinkMeasurements, Measurements, UplinkMeasurements
from voicefleet.core.media.pacing import LEAD, Flushed, Playout
from voicefleet.core.media.patience import CONVERSATIONAL, Profile
from voicefleet.core.media.protection import Protection, ProtectionError
from voicefleet.core.media.redundancy import DownlinkReport, Redundancy, RedundancyPolicy, SteppedRedundancy
from voicefleet.core.media.reports import Reports
from voicefleet.core.media.round_trip import RoundTrip
from voicefleet.core.media.sender import MAX_COPIES, Sender
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.media.uplink import Unusable, Uplink
from voicefleet.wire.errors import WireError
from voicefleet.wire.rtcp import Goodbye, Nack, ReceiverReport, ReportBlock, RtcpPacket, SenderReport, decode, encode

CLOCK_ERROR_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.010, 0.020)
"""Seconds; upper bounds of the buckets that late departures are counted in."""

_PEER_BUFFER: Final = 0.06
"""What a browser's own jitter buffer adds at least, for the downlink's estimate."""
_FRAME: Final = 0.02


class AudioStream:
    """One call's audio, from the moment at which its keys are known."""

    def __init__(
        self,
        terms: AudioTerms,
        protection: Protection,
        *,
        ssrc: int,
        cname: str,
        now: float,
        wall_offset: float,
        random: Random,
        profile: Profile = CONVERSATIONAL,
        redundancy: RedundancyPolicy | None = None,
        lead: float = LEAD,
        prebuffer: float = 0.0,
    ) -> None:
        """`wall_offset`: seconds from our monotonic clock to Unix time; `lead` and `prebuffer`: see `pacing`."""
        coding = terms.coding
        self._terms = terms
        self._protection = protection
        self._policy: RedundancyPolicy = SteppedRedundancy() if redundancy is None else redundancy
        self.refused: Counter[str] = Counter()
        self.round_trip = RoundTrip()
        self.uplink = Uplink(terms, profile, self.round_trip, self.refused)
        self.playout = Playout(
            coding.clock_rate, now, coding.silence, coding.samples_of(coding.silence), lead, prebuffer
        )
        # The first number is in the lower half: a listener that misses the first packets, because its keys come later
        # than ours, must not miss a wrap with them, or it could open none of the call's packets (RFC 3711, 3.3.1).
        self.sender = Sender(
            protection, ssrc, terms.payload_type, terms.red, random.getrandbits(15), random.getrandbits(32)
        )
        self._reports = Reports(cname, wall_offset, random, now)
        self._outgoing: list[bytes] = []
        self._clock_error = [0] * (len(CLOCK_ERROR_BOUNDS) + 1)
        self._report: ReportBlock | None = None
        self._asked_for = self._weighed_packets = 0
        self._uplink_due = now
        self.sooner = True
        """`next_deadline()` may have come nearer since it was asked last, if this says so or `uplink.sooner`."""
        self.redundancy = Redundancy()
        """What the downlink carries now; an encoder looks at `fec_loss`."""
        self.peer_left = False
        """The caller's side said goodbye to its audio (RTCP BYE)."""

    # The transport's side

    def on_srtp(self, datagram: bytes, now: float) -> bool:
        """A datagram that looks like SRTP; whether it was authentic and new (whatever it held)."""
        uplink = self.uplink
        source = uplink.source
        ssrc = int.from_bytes(datagram[8:12])
        if ssrc != source and not uplink.admits(ssrc):
            self.refused[Unusable.TOO_MANY_SOURCES] += 1
            return False
        try:
            packet = self._protection.open_rtp(datagram)
        except ProtectionError as error:
            self.refused[error.reason] += 1
            return False
        uplink.packet(packet, now)
        if uplink.source != source:
            self._reports.forget_peer()
        return True

    def on_srtcp(self, datagram: bytes, now: float) -> bool:
        """A datagram that looks like SRTCP; whether it was authentic and new."""
        self.sooner = True
        try:
            compound = self._protection.open_rtcp(datagram)
        except ProtectionError as error:
            self.refused[error.reason] += 1
            return False
        try:
            packets = decode(compound).packets
        except WireError as malformed:  # not named as above: one name has one type where this is compiled
            self.refused[malformed.reason] += 1
            return True
        for packet in packets:
            self._on_rtcp(packet, now)
        return True

    def poll(self, now: float) -> list[bytes]:
        """Datagrams to send now."""
        outgoing, self._outgoing = self._outgoing, []
        for payload, position, marker, late in self.playout.due(now):
            outgoing.append(self.sender.datagram(payload, position, marker))
            self._clock_error[bisect_left(CLOCK_ERROR_BOUNDS, late)] += 1
        uplink = self.uplink
        due = uplink.deadline()
        if due <= now:
            lost = uplink.poll(now)
            if lost and uplink.source is not None:
                self._feedback(Nack(self.sender.ssrc, uplink.source, tuple(lost)), outgoing)
            due = uplink.deadline()
        self._uplink_due = due
        uplink.sooner = False
        if uplink.arrivals.due_at <= now:
            report = uplink.arrivals.report(self.sender.ssrc, uplink.source or 0)
            if report is not None:
                self._feedback(report, outgoing)
        if self._reports.due_at <= now:
            uplink.second()
            self._weigh_nacks(now)
            outgoing.append(self._sealed(self._compound(now)))
        return outgoing

    def next_deadline(self) -> float:
        """When `poll` should be called next; too early where what was waited for has come meanwhile."""
        self.sooner = False
        if self._outgoing:
            return float("-inf")
        uplink = self.uplink
        if uplink.sooner:
            uplink.sooner = False
            self._uplink_due = uplink.deadline()
        return min(self.playout.deadline(), self._uplink_due, self._reports.due_at, uplink.arrivals.due_at)

    def hint_round_trip(self, sample: float) -> None:
        """A round trip that the transport has seen (a handshake's); counts until a report tells a better one."""
        self.sooner = True
        self.round_trip.estimated(sample)
        self.uplink.weigh()

    def goodbye(self, now: float) -> list[bytes]:
        """The last datagram of the call: a report and BYE (RFC 3550, 6.6)."""
        return [self._sealed([*self._compound(now), Goodbye((self.sender.ssrc,))])]

    # The agent's side

    def take_audio(self) -> list[AudioFrame]:
        """Frames whose turn has come since the last call, in order."""
        frames = self.uplink.buffer.ready
        if frames:
            self.uplink.buffer.ready = []
        return frames

    def take_keys(self) -> list[KeyPress]:
        """Keys that the caller pressed since the last call."""
        keys, self.uplink.keys = self.uplink.keys, []
        return keys

    def say(self, payload: bytes, now: float) -> bool:
        """Queue an encoded frame, or several of a coding that can be cut; false when 60 s are waiting already, and then
        it was not taken."""
        cut = self._terms.coding.frame
        if cut and len(payload) > cut:
            return all(self.say(payload[at : at + cut], now) for at in range(0, len(payload), cut))
        samples = self._terms.coding.samples_of(payload)
        if not samples:
            raise ValueError(f"not a frame of {self._terms.coding.name}: {payload[:8].hex()}")
        playout = self.playout
        if not playout.playing or not playout.queued:
            self.sooner = True
        return playout.enqueue(payload, samples, now)

    def flush(self) -> Flushed:
        """Fall silent at once; how many milliseconds the caller will have heard since the call began."""
        self.sooner = True
        return self.playout.flush()

    @property
    def profile(self) -> Profile:
        """`conversational` or `accurate`; may be set while the call lives."""
        return self.uplink.profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self.uplink.profile = profile
        self.uplink.sooner = True

    def measurements(self) -> Measurements:
        """How the call is, so far."""
        return Measurements(self.round_trip.value, self._uplink_figures(), self._downlink_figures(), dict(self.refused))

    # Inside

    def _on_rtcp(self, packet: RtcpPacket, now: float) -> None:
        if isinstance(packet, SenderReport):
            if packet.ssrc == self.uplink.source:
                self._reports.heard(packet, now)
            self._on_blocks(packet.reports, now)
        elif isinstance(packet, ReceiverReport):
            self._on_blocks(packet.reports, now)
        elif isinstance(packet, Nack):
            if packet.media_ssrc == self.sender.ssrc:
                self._asked_for += len(packet.lost)
                self._outgoing += self.sender.again(packet.lost, now, self.round_trip.or_guess)
        elif isinstance(packet, Goodbye) and self.uplink.source in packet.sources:
            self.peer_left = True

    def _on_blocks(self, blocks: tuple[ReportBlock, ...], now: float) -> None:
        for block in blocks:
            if block.ssrc != self.sender.ssrc:
                continue
            self._report = block
            sample = self._reports.round_trip(block, now)
            if sample is not None:
                self.round_trip.measured(sample)
                self.uplink.weigh()
            self._weigh(DownlinkReport(block.fraction_lost / 256, sample), now)

    def _weigh_nacks(self, now: float) -> None:
        """NACKs tell of loss sooner than a browser's report, which comes every five seconds."""
        sent = self.sender.packets - self._weighed_packets
        if self._asked_for and sent:
            self._weigh(DownlinkReport(min(1.0, self._asked_for / sent), self.round_trip.value), now)
        self._asked_for, self._weighed_packets = 0, self.sender.packets

    def _weigh(self, report: DownlinkReport, now: float) -> None:
        self.redundancy = self._policy.decide(report, now)
        self.sender.copies = min(MAX_COPIES, self.redundancy.copies)

    def _compound(self, now: float) -> list[RtcpPacket]:
        uplink = self.uplink
        interval = uplink.reception.interval() if uplink.source is not None and uplink.reception.received else None
        return self._reports.compound(now, self.sender, self.playout, uplink.source, interval)

    def _feedback(self, packet: RtcpPacket, outgoing: list[bytes]) -> None:
        packets = [packet] if self._terms.reduced_size else [*self._reports.nothing(self.sender.ssrc), packet]
        outgoing.append(self._sealed(packets))

    def _sealed(self, packets: list[RtcpPacket]) -> bytes:
        return self._protection.seal_rtcp(encode(packets))

    def _uplink_figures(self) -> UplinkMeasurements:
        uplink, buffer = self.uplink, self.uplink.buffer
        frames = buffer.heard + buffer.concealed
        delay = buffer.delay_sum / buffer.heard if buffer.heard else 0.0
        loss = buffer.concealed / frames if frames else 0.0
        burst = _burst_ratio(loss, buffer.concealed, buffer.concealments)
        one_way = self.round_trip.or_guess / 2 + delay + _FRAME
        r = quality.rating(one_way, loss, burst, self._terms.coding.robustness)
        return UplinkMeasurements(
            packets=uplink.packets,
            octets=uplink.octets,
            lost=uplink.lost,
            jitter=uplink.reception.jitter,
            heard=buffer.heard,
            concealed=buffer.concealed,
            comfort=buffer.comfort,
            stalled=buffer.stalled,
            late=buffer.late,
            duplicates=buffer.duplicates,
            recovered_by_redundancy=uplink.recovered_by_redundancy,
            retransmitted=uplink.recovery.retransmitted,
            overtaken=uplink.recovery.overtaken,
            asked=uplink.recovery.asked,
            buffer_delay=delay,
            buffer_delay_max=buffer.delay_max,
            wait=buffer.wait,
            mos=quality.mean_opinion_score(r),
        )

    def _downlink_figures(self) -> DownlinkMeasurements:
        sender, block = self.sender, self._report
        loss = block.fraction_lost / 256 if block else 0.0
        jitter = block.jitter / self._terms.coding.clock_rate if block else 0.0
        # Of what is lost, a copy leaves what is lost twice; a retransmission's success is the listener's to know.
        residual = loss ** (1 + (sender.copies if self._terms.red is not None else 0))
        one_way = self.round_trip.or_guess / 2 + max(_PEER_BUFFER, 2 * jitter) + _FRAME
        r = quality.rating(one_way, residual, 1.0, self._terms.coding.robustness)
        return DownlinkMeasurements(
            packets=sender.packets,
            octets=sender.octets,
            loss=loss,
            lost=block.packets_lost if block else 0,
            jitter=jitter,
            retransmitted=sender.retransmitted,
            copies=sender.copies_sent,
            played_ms=self.playout.played_ms,
            queued_ms=self.playout.queued_ms,
            slips=self.playout.slips,
            clock_error=tuple(self._clock_error),
            mos=quality.mean_opinion_score(r),
        )


def _burst_ratio(loss: float, frames: int, bursts: int) -> float:
    """Mean length of a loss over what it would be if losses were independent (G.107, 7.3)."""
    return max(1.0, frames / bursts * (1 - loss)) if bursts else 1.0
