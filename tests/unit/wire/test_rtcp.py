"""RTCP compounds are read as browsers send them, and what a voice call has no use for is passed over."""

import time

import pytest

from voicefleet.wire import rtcp
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.rtcp import (
    CNAME,
    Compound,
    Goodbye,
    Nack,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesChunk,
    SenderReport,
    SourceDescription,
)

REPORT = "0000000b 05fffffe 0001ffff 00000010 12345678 00010000"
BLOCK = ReportBlock(11, 5, -2, 0x1FFFF, 16, 0x12345678, 65536)
SENDER = "81c8000c 0000000a e0000000 80000000 00015f90 00000003 000000a0" + REPORT
RECEIVER = "81c90007 0000000a" + REPORT
PLI = "81ce0002 00000001 00000002"


def decode(text: str) -> Compound:
    return rtcp.decode(bytes.fromhex(text))


def refused(text: str) -> Reason:
    with pytest.raises(WireError) as caught:
        decode(text)
    return caught.value.reason


def test_a_sender_report_is_read() -> None:
    report = SenderReport(10, 0xE000000080000000, 90000, 3, 160, (BLOCK,))
    assert decode(SENDER) == ((report,), 0)
    assert rtcp.encode([report]) == bytes.fromhex(SENDER)


def test_a_receiver_report_is_read() -> None:
    report = ReceiverReport(10, (BLOCK,))
    assert decode(RECEIVER) == ((report,), 0)
    assert rtcp.encode([report]) == bytes.fromhex(RECEIVER)


def test_more_duplicates_than_losses_make_the_losses_negative() -> None:
    for octets, lost in (("7fffff", 0x7FFFFF), ("800000", -0x800000), ("ffffff", -1), ("000001", 1)):
        report = decode("81c90007 0000000a 0000000b 00" + octets + "00" * 16).packets[0]
        assert isinstance(report, ReceiverReport) and report.reports[0].packets_lost == lost


def test_a_profile_extension_of_a_report_is_kept() -> None:
    report = ReceiverReport(10, (BLOCK,), b"four")
    assert decode("81c90008 0000000a" + REPORT + b"four".hex()).packets == (report,)
    assert rtcp.decode(rtcp.encode([report])).packets == (report,)


def test_names_of_sources_end_on_a_word() -> None:
    for name in (b"", b"a", b"ab", b"abc", b"abcd", b"x" * 255):
        packet = SourceDescription(
            (SdesChunk(1, ((CNAME, name),)), SdesChunk(2, ()), SdesChunk(3, ((2, b"n"), (8, b""))))
        )
        data = rtcp.encode([packet])
        assert rtcp.decode(data) == ((packet,), 0)
    assert rtcp.encode([SourceDescription((SdesChunk(1, ((1, b"abcd"),)),))]) == bytes.fromhex(
        "81ca0003 00000001 0104 61626364 0000"
    )


def test_a_goodbye_may_give_its_reason() -> None:
    assert decode("82cb0002 00000001 00000002").packets == (Goodbye((1, 2)),)
    assert decode("81cb0003 00000001 05 68656c6c6f 0000").packets == (Goodbye((1,), b"hello"),)
    assert decode("80cb0000").packets == (Goodbye(()),)
    assert rtcp.encode([Goodbye((1,), b"hello")]) == bytes.fromhex("81cb0003 00000001 05 68656c6c6f 0000")


def test_a_nack_names_a_packet_and_the_sixteen_after_it() -> None:
    nack = Nack(1, 2, (0xFFFE, 0xFFFF, 0, 14))
    data = bytes.fromhex("81cd0003 00000001 00000002 fffe 8003")
    assert rtcp.decode(data).packets == (nack,)
    assert rtcp.encode([nack]) == data


def test_a_burst_of_losses_fits_few_words() -> None:
    assert len(rtcp.encode([Nack(1, 2, tuple(range(17)))])) == 16
    assert len(rtcp.encode([Nack(1, 2, tuple(range(18)))])) == 20


@pytest.mark.parametrize("lost", [(5, 4), (5, 5), (1, 3, 2), (7, 8, 7), (0, 32768, 1)])
def test_losses_in_any_order_are_read_back_in_it(lost: tuple[int, ...]) -> None:
    assert rtcp.decode(rtcp.encode([Nack(1, 2, lost)])).packets == (Nack(1, 2, lost),)


def test_what_a_voice_call_has_no_use_for_is_skipped_and_counted() -> None:
    extended_report, application, remb = "80cf0001 00000001", "80cc0002 00000001 74657374", "8fce0002 00000001 00000000"
    compound = decode(PLI + RECEIVER + extended_report + application + remb)
    assert compound.skipped == 4
    assert compound.packets == (ReceiverReport(10, (BLOCK,)),)


def test_reduced_size_feedback_stands_alone() -> None:
    assert decode(PLI) == ((), 1)


def test_padding_is_taken_off() -> None:
    assert decode("a1c90008 0000000a" + REPORT + "00000004").packets == (ReceiverReport(10, (BLOCK,)),)


@pytest.mark.parametrize(
    ("compound", "reason"),
    [
        ("", Reason.TRUNCATED),
        ("80c9", Reason.TRUNCATED),
        ("80c90001", Reason.TRUNCATED),
        ("80c90001 000000", Reason.TRUNCATED),
        ("80c90000", Reason.TRUNCATED),
        ("80c80001 00000001", Reason.TRUNCATED),
        ("81c90001 0000000a", Reason.TRUNCATED),
        ("9fc90001 0000000a", Reason.TRUNCATED),
        ("80c9ffff 0000000a", Reason.TRUNCATED),
        (RECEIVER + "80", Reason.TRUNCATED),
        ("40c90001 0000000a", Reason.BAD_VERSION),
        (RECEIVER + "00000000", Reason.BAD_VERSION),
        ("80000001 0000000a", Reason.BAD_VALUE),
        ("80e00001 0000000a", Reason.BAD_VALUE),
        ("a0c90000", Reason.BAD_LENGTH),
        ("a0c90001 00000004", Reason.TRUNCATED),
        ("a0c90002 0000000a 00000009", Reason.BAD_LENGTH),
        ("a0c90002 0000000a 00000000", Reason.BAD_LENGTH),
        ("a0c90002 0000000a 00000002", Reason.BAD_LENGTH),
        ("81ca0000", Reason.TRUNCATED),
        ("81ca0001 00000001", Reason.TRUNCATED),
        ("81ca0002 00000001 01036162", Reason.TRUNCATED),
        ("81ca0002 00000001 01026162", Reason.TRUNCATED),
        ("81ca0002 00000001 01016101", Reason.TRUNCATED),
        ("82ca0002 00000001 00000000", Reason.TRUNCATED),
        ("80ca0001 00000001", Reason.TOO_LONG),
        ("82cb0001 00000001", Reason.TRUNCATED),
        ("80cb0001 04616263", Reason.TRUNCATED),
        ("80cb0002 02616200 00000000", Reason.TOO_LONG),
        ("81cd0001 00000001", Reason.BAD_LENGTH),
        ("81cd0002 00000001 00000002", Reason.BAD_LENGTH),
    ],
)
def test_a_length_that_lies_is_refused(compound: str, reason: Reason) -> None:
    assert refused(compound) is reason


@pytest.mark.parametrize(
    "packet",
    [
        ReceiverReport(1, (BLOCK,) * 32),
        ReceiverReport(1, (BLOCK._replace(packets_lost=1 << 23),)),
        ReceiverReport(1, (BLOCK._replace(packets_lost=-(1 << 23) - 1),)),
        ReceiverReport(1, (BLOCK._replace(fraction_lost=256),)),
        ReceiverReport(1, (BLOCK._replace(jitter=1 << 32),)),
        ReceiverReport(1 << 32),
        ReceiverReport(1, (), b"odd"),
        SenderReport(1, 1 << 64, 0, 0, 0),
        SourceDescription((SdesChunk(1, ((0, b""),)),)),
        SourceDescription((SdesChunk(1, ((1, bytes(256)),)),)),
        Goodbye((1 << 32,)),
        Goodbye((1,), bytes(256)),
        Nack(1, 2, ()),
        Nack(1, 2, (65536,)),
        Nack(1, 1 << 32, (1,)),
    ],
)
def test_values_that_do_not_fit_are_never_written(packet: RtcpPacket) -> None:
    with pytest.raises(ValueError, match=r"fit|least|words|ends a chunk"):
        rtcp.encode([packet])


@pytest.mark.parametrize(
    "packet",
    [
        "81ca0002 00000001 00000000",
        "80cb0000",
        "81cd0003 00000001 00000002 0001ffff",
        "8fcd0005 00000001 00000002 00013ffe 00000000 1fff1fff",
        PLI,
    ],
)
def test_the_largest_datagram_of_the_smallest_packets_is_read_at_once(packet: str) -> None:
    octets = bytes.fromhex(packet)
    started = time.process_time()
    try:
        rtcp.decode(octets * (65_535 // len(octets)))
    except WireError:
        pass
    assert time.process_time() - started < 3  # a tenth of a second in fact; quadratic work would be minutes
