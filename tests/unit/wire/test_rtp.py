"""RTP headers are read as the RFCs draw them, and lengths that lie are refused."""

import pytest

from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.rtp import (
    ONE_BYTE_PROFILE,
    HeaderTemplate,
    RtpHeader,
    decode_header,
    encode,
    encode_extensions,
    encode_header,
    extensions,
)

OPUS = bytes.fromhex("906f1234 00010000 cafebabe bede0002 10aa 22010203 0000") + b"opus"
"""What a browser sends: marker off, payload type 111, an audio level (1) and an absolute send time (2)."""


def with_elements(profile: int, octets: str) -> RtpHeader:
    return RtpHeader(111, False, 1, 2, 3, (), profile, bytes.fromhex(octets))


def refused(packet: bytes) -> Reason:
    with pytest.raises(WireError) as caught:
        decode_header(packet)
    return caught.value.reason


def test_a_browser_packet_is_read() -> None:
    header = decode_header(OPUS)
    assert header == RtpHeader(
        payload_type=111,
        marker=False,
        sequence=0x1234,
        timestamp=0x10000,
        ssrc=0xCAFEBABE,
        csrcs=(),
        extension_profile=ONE_BYTE_PROFILE,
        extensions=bytes.fromhex("10aa220102030000"),
        payload_at=24,
        padding=0,
    )
    assert header.payload(OPUS) == b"opus"
    assert extensions(header) == {1: b"\xaa", 2: b"\x01\x02\x03"}


def test_a_bare_packet_is_read() -> None:
    packet = bytes.fromhex("80e0ffff ffffffff 00000001") + b"audio of any length"
    header = decode_header(packet)
    assert header == RtpHeader(96, True, 0xFFFF, 0xFFFFFFFF, 1)
    assert header.payload(packet) == b"audio of any length"
    assert extensions(header) == {}


@pytest.mark.parametrize("payload", [b"", b"a", b"abc", b"abcd"])
def test_a_payload_shorter_than_an_extension_head_is_a_payload(payload: bytes) -> None:
    packet = bytes.fromhex("806f0001 00000002 00000003") + payload
    assert decode_header(packet).payload(packet) == payload


def test_contributing_sources_and_padding_are_read() -> None:
    packet = bytes.fromhex("a26f0001 00000002 00000003 0000000a 0000000b") + b"xy" + b"\0\0\3"
    header = decode_header(packet)
    assert header.csrcs == (10, 11)
    assert header.padding == 3
    assert header.payload(packet) == b"xy"


def test_a_packet_of_padding_alone_has_an_empty_payload() -> None:
    packet = bytes.fromhex("a06f0001 00000002 00000003") + b"\0\0\0\4"
    assert decode_header(packet).payload(packet) == b""


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        ("", Reason.TRUNCATED),
        ("80", Reason.TRUNCATED),
        ("806f0001 00000002 000003", Reason.TRUNCATED),
        ("406f0001 00000002 00000003", Reason.BAD_VERSION),
        ("006f0001 00000002 00000003 00000000 00000000", Reason.BAD_VERSION),
        ("d06f0001 00000002 00000003 bede0000", Reason.BAD_VERSION),
        ("816f0001 00000002 00000003 0000", Reason.TRUNCATED),
        ("8f6f0001 00000002 00000003 00000000 00000000", Reason.TRUNCATED),
        ("906f0001 00000002 00000003", Reason.TRUNCATED),
        ("906f0001 00000002 00000003 bede00", Reason.TRUNCATED),
        ("906f0001 00000002 00000003 bede0001", Reason.TRUNCATED),
        ("906f0001 00000002 00000003 bedeffff 00000000", Reason.TRUNCATED),
        ("916f0001 00000002 00000003 00000000 bede0001", Reason.TRUNCATED),
        ("a06f0001 00000002 00000003", Reason.BAD_LENGTH),
        ("a06f0001 00000002 00000003 00", Reason.BAD_LENGTH),
        ("a06f0001 00000002 00000003 02", Reason.BAD_LENGTH),
        ("b06f0001 00000002 00000003 bede0001 00000008", Reason.BAD_LENGTH),
    ],
)
def test_a_length_that_lies_is_refused(packet: str, reason: Reason) -> None:
    assert refused(bytes.fromhex(packet)) is reason


def test_elements_stop_at_the_reserved_numbers() -> None:
    assert extensions(with_elements(ONE_BYTE_PROFILE, "10aa f0bb 20cc 0000")) == {1: b"\xaa"}
    assert extensions(with_elements(ONE_BYTE_PROFILE, "10aa 03bb 20cc 0000")) == {1: b"\xaa"}


def test_the_two_byte_form_has_empty_and_long_elements() -> None:
    header = with_elements(0x1005, "0100 00 1102cafe ff01dd" + "00" * 2)
    assert extensions(header) == {1: b"", 0x11: b"\xca\xfe", 0xFF: b"\xdd"}


def test_an_extension_of_another_profile_is_nothing_to_us() -> None:
    assert extensions(with_elements(0xABAC, "ffffffff")) == {}


@pytest.mark.parametrize(
    ("profile", "octets", "reason"),
    [
        (ONE_BYTE_PROFILE, "12aabb00" + "15aabbcc", Reason.TRUNCATED),
        (ONE_BYTE_PROFILE, "0000001f", Reason.TRUNCATED),
        (ONE_BYTE_PROFILE, "10aa10aa", Reason.DUPLICATE),
        (0x1000, "00000001", Reason.TRUNCATED),
        (0x1000, "0000 0103", Reason.TRUNCATED),
        (0x1000, "0100 0100", Reason.DUPLICATE),
    ],
)
def test_elements_that_overlap_the_end_or_stand_twice_are_refused(profile: int, octets: str, reason: Reason) -> None:
    with pytest.raises(WireError) as caught:
        extensions(with_elements(profile, octets))
    assert caught.value.reason is reason


def test_elements_take_the_short_form_where_all_fit_it() -> None:
    assert encode_extensions({1: b"\xaa", 14: bytes(16)}) == (0xBEDE, b"\x10\xaa\xef" + bytes(17))
    assert encode_extensions({15: b"\xaa"}) == (0x1000, b"\x0f\x01\xaa\0")
    assert encode_extensions({1: b""}) == (0x1000, b"\x01\0\0\0")
    assert encode_extensions({1: bytes(17)})[0] == 0x1000
    assert encode_extensions({}) == (0xBEDE, b"")


def test_a_sender_writes_what_the_general_way_writes() -> None:
    sender = HeaderTemplate(payload_type=111, ssrc=0xCAFEBABE)
    for marker in (False, True):
        header = RtpHeader(111, marker, 0xFFFF, 0xFFFFFFFF, 0xCAFEBABE)
        assert sender.encode(0xFFFF, 0xFFFFFFFF, marker) == encode_header(header)


def test_padding_is_written_with_its_count_last() -> None:
    packet = encode(RtpHeader(111, False, 1, 2, 3, padding=3), b"xy")
    assert packet == bytes.fromhex("a06f0001 00000002 00000003") + b"xy\0\0\3"


@pytest.mark.parametrize(
    "header",
    [
        RtpHeader(128, False, 0, 0, 0),
        RtpHeader(-1, False, 0, 0, 0),
        RtpHeader(0, False, 65536, 0, 0),
        RtpHeader(0, False, 0, 1 << 32, 0),
        RtpHeader(0, False, 0, 0, -1),
        RtpHeader(0, False, 0, 0, 0, csrcs=tuple(range(16))),
        RtpHeader(0, False, 0, 0, 0, csrcs=(1 << 32,)),
        RtpHeader(0, False, 0, 0, 0, extensions=b"four"),
        RtpHeader(0, False, 0, 0, 0, extension_profile=0xBEDE, extensions=b"odd"),
        RtpHeader(0, False, 0, 0, 0, extension_profile=0x10000),
        RtpHeader(0, False, 0, 0, 0, padding=256),
    ],
)
def test_values_that_do_not_fit_are_never_written(header: RtpHeader) -> None:
    with pytest.raises(ValueError):
        encode(header, b"")


@pytest.mark.parametrize("elements", [{0: b"a"}, {256: b"a"}, {1: bytes(256)}])
def test_elements_that_do_not_fit_are_never_written(elements: dict[int, bytes]) -> None:
    with pytest.raises(ValueError, match="extension element"):
        encode_extensions(elements)


def test_a_sender_of_impossible_values_is_not_made() -> None:
    for payload_type, ssrc in ((128, 1), (111, 1 << 32)):
        with pytest.raises(ValueError):
            HeaderTemplate(payload_type, ssrc)
