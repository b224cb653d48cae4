"""What leaves for the caller: plain, with copies, again when asked for, and reported truly."""

from random import Random

import pytest

from tests.support.arrival_times import arrival_times
from tests.support.simulated_call import WALL, Clear
from voicefleet.core.media.arrivals import Arrivals
from voicefleet.core.media.opus_packet import SILENCE
from voicefleet.core.media.pacing import Playout
from voicefleet.core.media.reports import Reports
from voicefleet.core.media.round_trip import RoundTrip
from voicefleet.core.media.sender import ANSWERS_PER_NACK, HISTORY, Sender
from voicefleet.wire import red, rtcp, rtp

RTT = 0.08
TICKS = 960


def sender(red_type: int | None = 63, first: int = 65_530) -> Sender:
    return Sender(Clear(), 0x2222, 111, red_type, first, 0xFFFFFF00)


def packet(datagram: bytes) -> tuple[rtp.RtpHeader, bytes]:
    plain = datagram[:-1]
    header = rtp.decode_header(plain)
    return header, header.payload(plain)


def test_numbers_and_timestamps_wrap_as_they_should() -> None:
    ours = sender(None)
    headers = [packet(ours.datagram(b"\x48abc", n * TICKS, n == 0))[0] for n in range(10)]
    assert [header.sequence for header in headers] == [*range(65_530, 65_536), 0, 1, 2, 3]
    assert [header.timestamp for header in headers] == [(0xFFFFFF00 + n * TICKS) & 0xFFFFFFFF for n in range(10)]
    assert [header.marker for header in headers] == [True] + [False] * 9
    assert (ours.packets, ours.octets) == (10, 40)


def test_without_loss_frames_go_plain_though_red_was_agreed_on() -> None:
    header, payload = packet(sender().datagram(b"\x48abc", 0, False))
    assert (header.payload_type, payload) == (111, b"\x48abc")


def test_copies_are_of_the_frames_before_in_their_order() -> None:
    ours = sender()
    ours.copies = 2
    payloads = [b"\x48" + bytes((n,)) for n in range(4)]
    sent = [packet(ours.datagram(payload, n * TICKS, False)) for n, payload in enumerate(payloads)]
    assert sent[0][0].payload_type == 111  # there was nothing to copy
    header, body = sent[3]
    assert header.payload_type == 63
    assert red.decode(body) == [
        red.RedBlock(111, 2 * TICKS, payloads[1]),
        red.RedBlock(111, TICKS, payloads[2]),
        red.RedBlock(111, 0, payloads[3]),
    ]
    assert ours.copies_sent == 1 + 2 + 2


def test_copies_that_are_too_old_after_a_pause_or_too_large_are_left_out() -> None:
    ours = sender()
    ours.copies = 2
    ours.datagram(b"\x48a", 0, False)
    assert red.decode(packet(ours.datagram(b"\x48b", 50 * TICKS, True))[1]) == [red.RedBlock(111, 0, b"\x48b")]
    for n in range(3):
        body = packet(ours.datagram(b"\x48" + bytes(700), (51 + n) * TICKS, False))[1]
        assert len(body) < 1200


def test_a_nack_brings_the_very_same_datagram() -> None:
    ours = sender()
    datagrams = [ours.datagram(b"\x48" + bytes((n,)), n * TICKS, False) for n in range(8)]
    assert ours.again((65_531, 1), 10.0, RTT) == [datagrams[1], datagrams[7]]
    assert ours.retransmitted == 2


def test_a_packet_is_not_sent_again_while_the_answer_is_on_its_way() -> None:
    ours = sender()
    datagram = ours.datagram(b"\x48", 0, False)
    assert ours.again((65_530,), 0.0, RTT) == [datagram]
    assert ours.again((65_530,), 0.02, RTT) == []
    assert ours.again((65_530,), 0.1, RTT) == [datagram]
    assert ours.again((65_530,), 0.105, 0.0) == []  # also on a path of no length
    assert ours.refused == 2


def test_one_nack_makes_a_bounded_answer_and_the_past_is_forgotten() -> None:
    ours = sender(first=0)
    for n in range(200):
        ours.datagram(b"\x48", n * TICKS, False)
    assert len(ours.again(tuple(range(200)), 0.0, RTT)) == 0  # the first 32 named are long gone
    assert len(ours.again(tuple(range(199, 0, -1)), 0.0, RTT)) == ANSWERS_PER_NACK
    assert ours.again((200 - HISTORY - 1, 30_000), 0.0, RTT) == []


def test_a_sender_report_names_the_timestamp_that_is_played_at_its_time() -> None:
    """The mapping is true to a sample, long after the start and across silence."""
    now = 1000.0
    playout = Playout(48_000, now, SILENCE, TICKS)
    ours = sender(None)
    reports = Reports("name", WALL, Random(1), now)
    playout.enqueue(b"\x48", TICKS, now + 7.0)
    (word,) = [departure for departure in playout.due(now + 7.0) if departure.marker]
    ours.datagram(word.payload, word.position, word.marker)
    report = reports.compound(now + 107.0, ours, playout, None, None)[0]
    assert isinstance(report, rtcp.SenderReport)
    ntp = report.ntp_time / (1 << 32) - 2_208_988_800
    assert ntp == pytest.approx(WALL + 1107.0, abs=1e-6)
    elapsed = (report.rtp_time - ours.timestamp(word.position)) & 0xFFFFFFFF
    assert elapsed / 48_000 == pytest.approx(100.0, abs=1 / 48_000)


def test_reports_do_not_fall_into_step() -> None:
    reports = Reports("name", WALL, Random(7), 0.0)
    playout, ours = Playout(48_000, 0.0, SILENCE, TICKS), sender()
    gaps = []
    for _ in range(200):
        before = reports.due_at
        reports.compound(before, ours, playout, None, None)
        gaps.append(reports.due_at - before)
    assert 0.5 <= min(gaps) < 0.6
    assert 1.4 < max(gaps) <= 1.5


def test_the_round_trip_is_exact_whatever_the_peer_waited() -> None:
    reports = Reports("name", WALL, Random(1), 0.0)
    sent_at, peer_waited, returned = 500.0, 1.25, 500.0 + 1.25 + 0.0801
    ntp = round((sent_at + WALL + 2_208_988_800) * (1 << 32))
    block = rtcp.ReportBlock(1, 0, 0, 0, 0, ntp >> 16 & 0xFFFFFFFF, round(peer_waited * 65536))
    assert reports.round_trip(block, returned) == pytest.approx(0.0801, abs=1e-4)
    assert reports.round_trip(block._replace(last_report=0), returned) is None
    assert reports.round_trip(block._replace(delay=10 * 65536), returned) is None  # earlier than it was asked


def test_a_measured_round_trip_replaces_the_estimates() -> None:
    round_trip = RoundTrip()
    assert round_trip.or_guess == pytest.approx(0.1)
    round_trip.estimated(0.3)
    round_trip.estimated(0.3)
    round_trip.measured(0.08)
    round_trip.estimated(0.9)
    assert round_trip.value == pytest.approx(0.08)
    round_trip.measured(60.0)  # a lie, or a clock that was set
    assert round_trip.value == pytest.approx(0.08)


def test_transport_feedback_tells_what_came_when_and_what_did_not() -> None:
    arrivals = Arrivals()
    for sequence, at in ((65_534, 100.000), (65_535, 100.020), (1, 100.060), (2, 100.081)):
        arrivals.add(sequence, at)
    arrivals.add(1, 100.09)  # a duplicate: the first arrival counts
    feedback = arrivals.report(1, 2)
    assert feedback is not None
    (again,) = rtcp.decode(rtcp.encode([feedback])).packets
    assert again == feedback
    assert feedback.packet_count == 5
    times = list(arrival_times(feedback))
    assert [sequence for sequence, _ in times] == [65_534, 65_535, 1, 2]
    assert [at - times[0][1] for _, at in times] == pytest.approx([0, 20_000, 60_000, 81_000], abs=250)
    assert arrivals.report(1, 2) is None
    arrivals.add(5, 100.2)
    following = arrivals.report(1, 2)
    assert following is not None
    assert (following.base_sequence, following.packet_count, following.feedback_count) == (3, 3, 1)
