"""Transport-wide feedback says which packets arrived and when, as the draft draws it, and losses cost no memory."""

import tracemalloc
from dataclasses import replace

import pytest

from tests.support.arrival_times import arrival_times
from voicefleet.wire import rtcp
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.transport_feedback import Arrival, TransportFeedback, decode_body, encode_body

FIXED = "00000001 00000002"


def body(base: int, count: int, rest: str, reference: str = "000001", feedback: str = "07") -> bytes:
    return bytes.fromhex(f"{FIXED} {base:04x} {count:04x} {reference} {feedback} {rest}")


def feedback(base: int, count: int, *arrivals: tuple[int, int]) -> TransportFeedback:
    return TransportFeedback(1, 2, base, count, 1, 7, tuple(Arrival(*arrival) for arrival in arrivals))


def refused(octets: bytes) -> Reason:
    with pytest.raises(WireError) as caught:
        decode_body(octets)
    return caught.value.reason


def test_a_run_of_losses_is_two_octets() -> None:
    """The first example of the draft's section 3.1.3: 221 packets lost."""
    assert decode_body(body(5, 221, "00dd 0000")) == feedback(5, 221)
    assert encode_body(feedback(5, 221)) == body(5, 221, "00dd 0000")


def test_a_vector_of_bits_names_fourteen_packets() -> None:
    """The first example of the draft's section 3.1.4: lost, 5 received, 3 lost, 3 received, 2 lost."""
    arrived = feedback(0, 14, *((n, n) for n in (1, 2, 3, 4, 5, 9, 10, 11)))
    octets = body(0, 14, "9f1c 01020304 05090a0b 0000")
    assert decode_body(octets) == arrived
    assert encode_body(arrived) == octets


def test_a_vector_of_pairs_tells_large_steps_and_steps_back() -> None:
    chunk = 0b11_01_00_10_01_10_00_00  # a vector of pairs: small, lost, large, small, large, lost, lost
    octets = body(0xFFFE, 7, f"{chunk:04x} 64 ffff ff 0100")
    arrived = feedback(0xFFFE, 7, (0xFFFE, 100), (0, -1), (1, 255), (2, 256))
    assert decode_body(octets) == arrived
    assert encode_body(arrived) == octets


def test_times_of_arrival_count_from_the_reference() -> None:
    report = replace(feedback(9, 3, (9, 4), (11, -2)), reference_time=-1)
    assert list(arrival_times(report)) == [(9, -63_000), (11, -63_500)]


@pytest.mark.parametrize(("octets", "reference"), [("7fffff", 0x7FFFFF), ("800000", -0x800000), ("ffffff", -1)])
def test_the_reference_time_has_a_sign(octets: str, reference: int) -> None:
    report = decode_body(body(1, 1, "0001 0000", reference=octets))
    assert report.reference_time == reference
    assert encode_body(report) == body(1, 1, "0001 0000", reference=octets)


def test_symbols_after_the_last_packet_mean_nothing() -> None:
    assert decode_body(body(0, 1, "bfff 05 00")) == feedback(0, 1, (0, 5))
    assert decode_body(body(0, 2, "3fff 0506")) == feedback(0, 2, (0, 5), (1, 6))


def test_libwebrtc_pads_its_feedback_in_any_place() -> None:
    padded = bytes.fromhex("afcd0005") + body(0, 1, "2001 05 01")
    compound = rtcp.decode(padded + padded)
    assert compound.packets == (feedback(0, 1, (0, 5)),) * 2


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (body(0, 1, "")[:15], Reason.TRUNCATED),
        (body(0, 0, "0000"), Reason.BAD_VALUE),
        (body(0, 1, ""), Reason.TRUNCATED),
        (body(0, 1, "20"), Reason.TRUNCATED),
        (body(0, 1, "2001"), Reason.TRUNCATED),
        (body(0, 1, "4001 00"), Reason.TRUNCATED),
        (body(0, 14, "bfff 00000000"), Reason.TRUNCATED),
        (body(0, 65535, "3fff 00000000"), Reason.TRUNCATED),
        (body(0, 8192, "1fff 0000"), Reason.BAD_LENGTH),
        (body(0, 1, "6001 000000"), Reason.BAD_VALUE),
        (body(0, 7, "cd50 0000 0000 0000"), Reason.BAD_VALUE),
        (body(0, 1, "2001 05 00000000"), Reason.TOO_LONG),
    ],
)
def test_a_length_that_lies_is_refused(octets: bytes, reason: Reason) -> None:
    assert refused(octets) is reason


def test_a_report_of_losses_is_small_in_memory_too() -> None:
    lost = bytes.fromhex("8fcd0008") + body(0, 8 * 8191, "1fff" * 8)
    compound = lost * (65_535 // len(lost))
    tracemalloc.start()
    try:
        assert len(rtcp.decode(compound).packets) == len(compound) // len(lost)
        assert tracemalloc.get_traced_memory()[1] < 30 * len(compound)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "report",
    [
        feedback(0, 0),
        feedback(0, 65536),
        feedback(0, 1, (1, 0)),
        feedback(5, 10, (4, 0)),
        feedback(0, 3, (1, 0), (0, 0)),
        feedback(0, 3, (1, 0), (1, 0)),
        feedback(0, 1, (0, 32768)),
        feedback(0, 1, (0, -32769)),
        replace(feedback(0, 1), reference_time=1 << 23),
        replace(feedback(0, 1), feedback_count=256),
        replace(feedback(0, 1), sender_ssrc=1 << 32),
    ],
)
def test_values_that_do_not_fit_are_never_written(report: TransportFeedback) -> None:
    with pytest.raises(ValueError, match=r"fit|outside"):
        rtcp.encode([report])
