"""The first octets tell what a packet is."""

import pytest

from voicefleet.wire.demux import FIRST_OCTET, PacketKind, classify


@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        (0, 3, PacketKind.STUN),
        (4, 19, PacketKind.UNKNOWN),
        (20, 63, PacketKind.DTLS),
        (64, 127, PacketKind.QUIC),
        (128, 191, PacketKind.RTP),
        (192, 255, PacketKind.QUIC),
    ],
)
def test_the_ranges_are_those_of_rfc_7983_and_rfc_9443(first: int, last: int, kind: PacketKind) -> None:
    for octet in range(first, last + 1):
        assert classify(bytes((octet,))) is FIRST_OCTET[octet] is kind


def test_rtcp_is_told_from_rtp_by_the_second_octet() -> None:
    kinds = [classify(bytes((0x80, second))) for second in range(256)]
    assert [n for n, kind in enumerate(kinds) if kind is PacketKind.RTCP] == list(range(192, 224))
    assert classify(b"") is PacketKind.UNKNOWN
    assert classify(memoryview(b"\x80\xc8")) is PacketKind.RTCP
