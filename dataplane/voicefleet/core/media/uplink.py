"""The caller's audio on its way to the agent: opened RTP packets in, frames in order and feedback to send out.

What a packet means is decided here (audio, redundancy, a key press, a pause, another source), what becomes of audio in
`jitter_buffer`, what is done about losses in `loss_recovery`. Any authentic packet is either used or refused by reason.
"""

from collections import Counter
from enum import StrEnum
from typing import Final

from voicefleet.core.media.arrivals import Arrivals
from voicefleet.core.media.coding import AudioTerms
from voicefleet.core.media.jitter_buffer import JitterBuffer
from voicefleet.core.media.loss_recovery import LossRecovery
from voicefleet.core.media.patience import Outlook, Profile, patience
from voicefleet.core.media.reception import Reception
from voicefleet.core.media.round_trip import RoundTrip
from voicefleet.core.media.telephone_event import KeyPress, TelephoneEvents
from voicefleet.wire.errors import WireError
from voicefleet.wire.red import decode as decode_red
from voicefleet.wire.rtp import ONE_BYTE_PROFILE, RtpHeader, decode_header, extensions
from voicefleet.wire.sequence import extend_timestamp

MAX_SOURCES: Final = 8
"""SSRCs that one caller may use in a call: each costs libsrtp a context."""
SOURCE_KEEPS: Final = 1.0
"""A source that was left is taken back only after the current one was silent for so long; else it is a straggler."""


_NEVER: Final = float("inf")


class Unusable(StrEnum):
    """Why an authentic packet was not used; `wire.Reason` names the rest."""

    UNKNOWN_PAYLOAD_TYPE = "unknown_payload_type"
    STRAY_SEQUENCE = "stray_sequence"
    OLD_SOURCE = "old_source"
    TOO_MANY_SOURCES = "too_many_sources"


class Uplink:
    """One caller's audio."""

    __slots__ = (
        "_audio_type",
        "_coding",
        "_events",
        "_last_packet",
        "_lost_before",
        "_red_type",
        "_round_trip",
        "_sources",
        "_terms",
        "arrivals",
        "buffer",
        "keys",
        "octets",
        "packets",
        "reception",
        "recovered_by_redundancy",
        "recovery",
        "refused",
        "sooner",
        "source",
    )

    def __init__(self, terms: AudioTerms, profile: Profile, round_trip: RoundTrip, refused: Counter[str]) -> None:
        self._terms = terms
        self._coding = terms.coding
        self._audio_type = terms.payload_type
        self._red_type = -1 if terms.red is None else terms.red
        self._round_trip = round_trip
        self.refused = refused
        self.buffer = JitterBuffer(terms.coding.clock_rate, terms.coding.samples_of, terms.coding.is_pause, profile)
        self.reception = Reception(terms.coding.clock_rate)
        self.recovery = LossRecovery()
        self.arrivals = Arrivals()
        self.keys: list[KeyPress] = []
        self.source: int | None = None
        """The SSRC that is listened to."""
        self._sources: set[int] = set()
        self._events: dict[int, TelephoneEvents] = {}
        self._last_packet = 0.0
        self._lost_before = 0
        self.packets = self.octets = 0
        self.sooner = True
        """`deadline`, or that of `arrivals`, may have come nearer; whoever has taken note of them makes it false."""
        self.recovered_by_redundancy = 0
        self.weigh()

    @property
    def lost(self) -> int:
        """Packets that the network lost, over all sources."""
        return self._lost_before + self.reception.lost

    @property
    def profile(self) -> Profile:
        """What matters more on this call; see `patience`."""
        return self.buffer.profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self.buffer.profile = profile
        self.weigh()

    def weigh(self) -> None:
        """Decide anew how long gaps are waited for, from what is known now."""
        recovery = self.recovery
        self.buffer.wait = patience(
            self.buffer.profile,
            Outlook(
                recovery.reordering,
                self._terms.nack and recovery.answered,
                self._round_trip.value,
                recovery.guard,
            ),
        )

    def admits(self, ssrc: int) -> bool:
        """Whether a packet of this SSRC is worth opening."""
        return ssrc == self.source or ssrc in self._sources or len(self._sources) < MAX_SOURCES

    def packet(self, packet: bytes, now: float) -> None:
        """An authentic RTP packet."""
        try:
            header = decode_header(packet)
        except WireError as error:
            self.refused[error.reason] += 1
            return
        kind, _, sequence, timestamp, ssrc, _, profile, elements, payload_at, padding = header
        if ssrc != self.source and not self._take_source(ssrc, now):
            self.refused[Unusable.OLD_SOURCE] += 1
            return
        if profile is not None and self._terms.transport_sequence is not None:
            self._note_arrival(header, profile, elements, now)
        self._last_packet = now
        payload = packet[payload_at : len(packet) - padding]
        if kind != self._audio_type and kind != self._red_type and not self._knows(kind):
            self.refused[Unusable.UNKNOWN_PAYLOAD_TYPE] += 1
            return
        reception, buffer = self.reception, self.buffer
        highest = reception.highest
        number = reception.update(sequence, timestamp, now)
        if number < 0:
            self.refused[Unusable.STRAY_SEQUENCE] += 1
            return
        self.packets += 1
        self.octets += len(payload)
        media_time = buffer.timeline
        if timestamp != media_time & 0xFFFFFFFF:  # most often it is the frame whose turn it is
            media_time = timestamp if highest < 0 else extend_timestamp(timestamp, media_time)
        if number == highest + 1:
            if kind == self._audio_type:
                buffer.insert(number, media_time, payload, now)
                if buffer.pausing:
                    self.sooner = True
                return
        elif number > highest:
            if highest >= 0 and number - highest <= 0xFFFF:
                self.recovery.missing(highest + 1, number, now)
        elif number < highest:
            self._older(number, now)
        self.sooner = True
        if kind == self._audio_type:
            buffer.insert(number, media_time, payload, now)
        elif kind == self._red_type:
            self._redundant(number, media_time, payload, now)
        else:
            self._no_audio(kind, number, media_time, timestamp, payload, now)
        self.recovery.forget_before(buffer.expected)

    def poll(self, now: float) -> list[int]:
        """Let gaps go that were waited for long enough; sequence numbers (16 bits) to be NACKed now."""
        if self.buffer.deadline() <= now:
            self.buffer.poll(now)
            self.recovery.forget_before(self.buffer.expected)
        if not self._terms.nack:
            return []
        return [number & 0xFFFF for number in self.recovery.due(now, self._round_trip.value, self.buffer.wait)]

    def deadline(self) -> float:
        """When `poll` has something to do."""
        at = self.buffer.deadline()
        return min(at, self.recovery.deadline()) if self._terms.nack else at

    def second(self) -> None:
        """To be called about once a second."""
        self.recovery.fade()
        self.weigh()

    def _take_source(self, ssrc: int, now: float) -> bool:
        """Whether another SSRC than the current one is listened to from now on."""
        if ssrc in self._sources and now - self._last_packet < SOURCE_KEEPS:
            return False
        if self.source is not None:
            self._lost_before += self.reception.lost
            self.reception = Reception(self._coding.clock_rate)
            self.recovery.forget_before(1 << 62)
            self.buffer.begin_again(now)
            self._events.clear()
        self.source = ssrc
        self._sources.add(ssrc)
        return True

    def _knows(self, kind: int) -> bool:
        return kind in self._terms.telephone_events or kind == self._terms.comfort_noise

    def _older(self, number: int, now: float) -> None:
        """A packet that others came before: overtaken, or a retransmission, or a duplicate."""
        if self.recovery.arrived(number, now, self._round_trip.value):
            self.reception.retransmitted()
            sample = self.recovery.round_trip_sample
            if sample is not None:
                self.recovery.round_trip_sample = None
                self._round_trip.estimated(sample)
        self.weigh()

    def _redundant(self, number: int, media_time: int, payload: bytes, now: float) -> None:
        """A RED packet: the copies first, for the gaps that they fill, then the frame itself."""
        if not payload:  # padding alone, by which browsers measure their bandwidth
            self.buffer.insert(number, media_time, b"", now)
            return
        try:
            blocks = decode_red(payload)
        except WireError as error:
            self.refused[error.reason] += 1
            self.buffer.insert(number, media_time, b"", now)
            return
        buffer = self.buffer
        if buffer.expected < number and buffer.expected >= 0:
            # A copy is of the packet just so many before this one: senders leave none out in between.
            age = len(blocks) - 1
            for kind, offset, copy in blocks[:-1]:
                earlier = number - age
                age -= 1
                if kind == self._audio_type and copy and offset and buffer.wants(earlier):
                    self.recovered_by_redundancy += 1
                    self.recovery.found(earlier)
                    buffer.insert(earlier, media_time - offset, copy, now, sent=False)
        kind, _, frame = blocks[-1]
        if kind != self._audio_type:
            self.refused[Unusable.UNKNOWN_PAYLOAD_TYPE] += 1
            frame = b""
        buffer.insert(number, media_time, frame, now)

    def _no_audio(self, kind: int, number: int, media_time: int, timestamp: int, payload: bytes, now: float) -> None:
        """A packet that has its place in the order and no sound in it."""
        if kind == self._terms.comfort_noise:
            self.buffer.pause()
        else:
            events = self._events.get(kind)
            if events is None:
                events = self._events[kind] = TelephoneEvents(self._terms.telephone_events[kind])
            self.keys += events.read(payload, timestamp)
        self.buffer.insert(number, media_time, b"", now)

    def _note_arrival(self, header: RtpHeader, profile: int, elements: bytes, now: float) -> None:
        if self.arrivals.due_at == _NEVER:
            self.sooner = True
        wanted = self._terms.transport_sequence
        if profile == ONE_BYTE_PROFILE and wanted is not None:
            # The one element looked for, without a dictionary of all of them.
            at, end, first = 0, len(elements), (wanted << 4) | 1
            while at < end:
                octet = elements[at]
                if octet == first:
                    if at + 3 <= end:
                        self.arrivals.add(elements[at + 1] << 8 | elements[at + 2], now)
                    return
                at += 2 + (octet & 0x0F) if octet else 1
            return
        try:
            value = extensions(header).get(wanted or 0, b"")
        except WireError as error:
            self.refused[error.reason] += 1
            return
        if len(value) == 2:
            self.arrivals.add(int.from_bytes(value), now)
