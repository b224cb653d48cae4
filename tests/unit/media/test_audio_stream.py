"""What a session sees of its audio: the seams, and what hostile or odd packets do (nothing, but they are counted)."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from tests.support.impaired_path import Impairment
from tests.support.simulated_call import TERMS, WALL, Call, Clear, spoken
from voicefleet.core.media.coding import OPUS, PCMU, AudioTerms
from voicefleet.core.media.frame import FrameKind
from voicefleet.core.media.stream import AudioStream
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.media.uplink import MAX_SOURCES
from voicefleet.wire import red, rtcp, rtp
from voicefleet.wire.transport_feedback import TransportFeedback

TICKS = 960
CALLER = 0x1111


class Wire:
    """A stream, and hand-made packets for it."""

    def __init__(self, terms: AudioTerms = TERMS) -> None:
        self.now = 10.0
        self.seal = Clear()
        self.stream = AudioStream(
            terms, Clear(), ssrc=0x2222, cname="server", now=self.now, wall_offset=WALL, random=Random(3)
        )

    def packet(
        self,
        sequence: int,
        payload: bytes | None = None,
        *,
        timestamp: int | None = None,
        kind: int = 111,
        ssrc: int = CALLER,
        elements: dict[int, bytes] | None = None,
    ) -> bool:
        profile, octets = rtp.encode_extensions(elements) if elements else (None, b"")
        header = rtp.RtpHeader(
            kind,
            False,
            sequence & 0xFFFF,
            (TICKS * sequence if timestamp is None else timestamp) & 0xFFFFFFFF,
            ssrc,
            extension_profile=profile,
            extensions=octets,
        )
        body = spoken(sequence) if payload is None else payload
        return self.stream.on_srtp(self.seal.seal_rtp(rtp.encode(header, body)), self.now)

    def report(self, *packets: rtcp.RtcpPacket) -> bool:
        return self.stream.on_srtcp(self.seal.seal_rtcp(rtcp.encode(packets)), self.now)

    def sent(self, seconds: float) -> list[rtcp.RtcpPacket]:
        """The RTCP that leaves in the next seconds."""
        packets: list[rtcp.RtcpPacket] = []
        end = self.now + seconds
        while (at := self.stream.next_deadline()) <= end:
            self.now = max(self.now, at)
            for datagram in self.stream.poll(self.now):
                if 192 <= datagram[1] <= 223:
                    packets += rtcp.decode(datagram[:-5]).packets
        self.now = end
        return packets

    def heard(self) -> list[int | FrameKind]:
        return [
            int.from_bytes(frame.payload[1:5]) if frame.kind is FrameKind.HEARD else frame.kind
            for frame in self.stream.take_audio()
        ]


def test_sequence_numbers_and_timestamps_may_wrap_in_the_middle_of_a_word() -> None:
    wire = Wire()
    for sequence in range(65_530, 65_542):
        assert wire.packet(sequence, timestamp=0xFFFFFFFF - 5000 + TICKS * (sequence - 65_530))
    frames = wire.stream.take_audio()
    assert [frame.kind for frame in frames] == [FrameKind.HEARD] * 12
    assert [b.timestamp - a.timestamp for a, b in pairwise(frames)] == [TICKS] * 11


def test_forgeries_are_counted_and_answered_by_nothing() -> None:
    wire = Wire()
    wire.packet(1)
    good = wire.seal.seal_rtp(rtp.encode(rtp.RtpHeader(111, False, 2, TICKS, CALLER), spoken(2)))
    forged = good[:-1] + bytes((good[-1] ^ 1,))
    assert not wire.stream.on_srtp(forged, wire.now)
    assert not wire.stream.on_srtp(b"", wire.now)
    assert not wire.stream.on_srtcp(b"\x80\xc8", wire.now)
    assert wire.stream.on_srtp(good, wire.now)
    assert not wire.stream.on_srtp(good, wire.now)
    assert wire.stream.measurements().refused == {"not_authentic": 1, "malformed": 2, "replayed": 1}
    assert wire.heard() == [1, 2]


def test_authentic_garbage_is_counted_by_reason_and_touches_nothing() -> None:
    wire = Wire(replace(TERMS, red=63))
    wire.packet(1)
    lying = bytearray(rtp.encode(rtp.RtpHeader(111, False, 2, TICKS, CALLER, (), 0xBEDE, b""), spoken(2)))
    lying[14:16] = b"\xff\xff"  # an extension of 256 KiB
    assert wire.stream.on_srtp(wire.seal.seal_rtp(bytes(lying)), wire.now)
    assert wire.packet(2, kind=77)
    assert wire.packet(2, b"\xef\xff\xff\xff", kind=63)
    assert wire.packet(40_000)
    assert wire.stream.on_srtcp(wire.seal.seal_rtcp(b"\x80\xc8\xff\xff" + bytes(12)), wire.now)
    refused = wire.stream.measurements().refused
    assert refused == {"truncated": 3, "unknown_payload_type": 1, "stray_sequence": 1}
    wire.packet(3)
    assert wire.heard() == [1, FrameKind.COMFORT, 3]  # the broken RED packet has its place, and no sound


def test_a_caller_may_change_its_source_and_stragglers_of_the_old_one_are_passed_over() -> None:
    wire = Wire()
    for sequence in range(5):
        wire.packet(sequence)
    wire.packet(30_000, spoken(100), ssrc=0x7777, timestamp=123)
    wire.packet(5)
    wire.packet(30_001, spoken(101), ssrc=0x7777, timestamp=123 + TICKS)
    assert wire.heard() == [0, 1, 2, 3, 4, 100, 101]
    assert wire.stream.measurements().refused == {"old_source": 1}
    wire.now += 2.0
    wire.packet(6)  # but when the new one has fallen silent, the old one may come back
    assert wire.heard()[-1] == 6


def test_sources_are_not_without_number() -> None:
    wire = Wire()
    for source in range(50):
        wire.packet(0, ssrc=source)
    assert len(wire.heard()) == MAX_SOURCES
    assert wire.stream.measurements().refused == {"too_many_sources": 50 - MAX_SOURCES}


def test_redundancy_fills_a_gap_and_leaves_out_what_is_there() -> None:
    wire = Wire(replace(TERMS, red=63))
    wire.packet(1)
    blocks = [red.RedBlock(111, (4 - n) * TICKS, spoken(n)) for n in (1, 2, 3)]
    wire.packet(4, red.encode([*blocks, red.RedBlock(111, 0, spoken(4))]), kind=63)
    wire.packet(5, red.encode([red.RedBlock(111, TICKS, spoken(4)), red.RedBlock(111, 0, spoken(5))]), kind=63)
    frames = wire.stream.take_audio()
    assert [int.from_bytes(frame.payload[1:5]) for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.timestamp for frame in frames] == [TICKS * n for n in range(1, 6)]
    uplink = wire.stream.measurements().uplink
    assert (uplink.recovered_by_redundancy, uplink.lost, uplink.asked) == (2, 2, 0)


def test_keys_come_out_once_and_speech_goes_on_around_them() -> None:
    wire = Wire(replace(TERMS, telephone_events={126: 8000}))
    wire.packet(0)
    for sequence, end in ((1, 0), (2, 0), (3, 0x80), (4, 0x80), (5, 0x80)):
        wire.packet(sequence, bytes((7, end | 10)) + (160 * min(sequence, 3)).to_bytes(2), kind=126, timestamp=TICKS)
    wire.packet(6)
    assert wire.stream.take_keys() == [KeyPress("7", 480 / 8000)]
    assert wire.stream.take_keys() == []
    assert [frame for frame in wire.heard() if not isinstance(frame, FrameKind)] == [0, 6]


def test_a_telephone_call_is_understood_with_its_comfort_noise() -> None:
    wire = Wire(AudioTerms(PCMU, 0, comfort_noise=13))
    wire.packet(0, bytes(160), kind=0, timestamp=0)
    wire.packet(1, b"\x40", kind=13, timestamp=160)
    wire.sent(0.5)
    frames = wire.stream.take_audio()
    assert frames[0].samples == 160
    assert {frame.kind for frame in frames[1:]} == {FrameKind.COMFORT}
    assert len(frames) > 15


def test_a_loss_is_asked_for_in_the_form_that_was_agreed_on() -> None:
    for reduced_size in (True, False):
        wire = Wire(replace(TERMS, reduced_size=reduced_size))
        for sequence in (1, 2, 5):
            wire.packet(sequence)
        packets = wire.sent(0.001)
        assert rtcp.Nack(0x2222, CALLER, (3, 4)) in packets
        kinds = [type(packet) for packet in packets]
        before = [] if reduced_size else [rtcp.ReceiverReport, rtcp.SourceDescription]
        assert kinds[: kinds.index(rtcp.Nack)] == before


def test_nothing_is_asked_for_where_it_was_not_agreed_on() -> None:
    wire = Wire(replace(TERMS, nack=False))
    for sequence in (1, 2, 5):
        wire.packet(sequence)
    assert not [packet for packet in wire.sent(1.0) if isinstance(packet, rtcp.Nack)]


def test_transport_feedback_is_given_where_it_was_agreed_on() -> None:
    wire = Wire(replace(TERMS, transport_sequence=3))
    for sequence in range(10):
        wire.packet(sequence, elements={1: b"\x85", 3: sequence.to_bytes(2), 4: b"0"})
        wire.sent(0.02)
    wire.packet(10, elements={3: (12).to_bytes(2), 200: b"long form"})
    reports = [packet for packet in wire.sent(0.3) if isinstance(packet, TransportFeedback)]
    assert [sequence for report in reports for sequence, _ in report.arrivals][-1] == 12
    assert all(report.media_ssrc == CALLER for report in reports)


def test_reports_tell_what_was_received_and_who_we_are() -> None:
    wire = Wire()
    for sequence in (0, 1, 2, 3, 5, 6, 7, 8, 9):
        wire.packet(sequence)
    report, name = [packet for packet in wire.sent(0.3) if not isinstance(packet, rtcp.Nack)][:2]
    assert isinstance(report, rtcp.SenderReport)
    (block,) = report.reports
    assert (block.ssrc, block.packets_lost, block.fraction_lost) == (CALLER, 1, 25)
    assert name == rtcp.SourceDescription((rtcp.SdesChunk(0x2222, ((rtcp.CNAME, b"server"),)),))


def test_the_report_of_a_source_that_was_left_is_not_answered_to_the_next_one() -> None:
    wire = Wire()
    wire.packet(1)
    wire.report(rtcp.SenderReport(CALLER, 1 << 63, TICKS, 1, 1))
    wire.packet(2)
    wire.packet(900, ssrc=CALLER + 1)
    report = next(packet for packet in wire.sent(2.0) if isinstance(packet, rtcp.SenderReport))
    assert [(block.ssrc, block.last_report) for block in report.reports] == [(CALLER + 1, 0)]


def test_a_listener_that_misses_the_first_packets_can_open_the_others() -> None:
    """Its count of wraps (SRTP's ROC) begins with the first packet that it hears."""
    for seed in range(100):
        stream = AudioStream(TERMS, Clear(), ssrc=1, cname="server", now=10.0, wall_offset=WALL, random=Random(seed))
        stream.say(spoken(0), 10.0)
        (first,) = (packet for packet in stream.poll(10.0) if packet[1] & 0x7F == 111)
        assert int.from_bytes(first[2:4]) < 1 << 15, "ten minutes are left until a wrap"


def test_goodbyes_are_said_and_heard() -> None:
    wire = Wire()
    wire.packet(1)
    wire.report(rtcp.ReceiverReport(CALLER), rtcp.Goodbye((0x9999,)))
    assert not wire.stream.peer_left
    wire.report(rtcp.ReceiverReport(CALLER), rtcp.Goodbye((CALLER,)))
    assert wire.stream.peer_left
    (datagram,) = wire.stream.goodbye(wire.now)
    assert rtcp.decode(datagram[:-5]).packets[-1] == rtcp.Goodbye((0x2222,))


def test_the_agent_is_told_when_it_says_what_is_no_audio_or_too_much() -> None:
    wire = Wire()
    with pytest.raises(ValueError, match="not a frame of opus"):
        wire.stream.say(b"", wire.now)
    said = 0
    while wire.stream.say(spoken(said), wire.now):
        said += 1
    assert said == 3000


def test_a_flood_of_reports_leaves_nothing_behind() -> None:
    wire = Wire()
    wire.packet(1)
    for _ in range(2000):
        wire.report(
            rtcp.Nack(CALLER, 0x2222, tuple(range(0, 65_000, 2000))),
            rtcp.ReceiverReport(CALLER, (rtcp.ReportBlock(0x2222, 255, 9, 9, 9, 9, 9),) * 31),
        )
    assert len(wire.stream.poll(wire.now)) < 10
    assert wire.stream.measurements().downlink.loss == pytest.approx(255 / 256)


def test_an_idle_call_is_polled_a_few_times_a_second_and_not_more() -> None:
    call = Call(Impairment(delay=0.01))
    call.caller_speaks = False
    polls, now = 0, call.now
    stream = call.server
    while (now := max(now, stream.next_deadline())) < call.now + 30:
        stream.poll(now)
        polls += 1
    assert polls < 30 * 4
    assert OPUS.silence
