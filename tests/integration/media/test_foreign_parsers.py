"""What we send is read by aiortc's own parsers, which were written by others from the same standards."""

from dataclasses import replace
from random import Random

from aiortc.rtp import (
    RTCP_RTPFB_NACK,
    HeaderExtensionsMap,
    RtcpByePacket,
    RtcpPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
    RtpPacket,
)

from tests.support.simulated_call import TERMS, WALL, Clear, spoken
from voicefleet.core.media.stream import AudioStream


def stream(reduced_size: bool = False) -> AudioStream:
    terms = replace(TERMS, reduced_size=reduced_size)
    return AudioStream(terms, Clear(), ssrc=0x2222, cname="server", now=10.0, wall_offset=WALL, random=Random(2))


def caller_packet(sequence: int) -> bytes:
    packet = RtpPacket(payload_type=111, sequence_number=sequence, timestamp=960 * sequence)
    packet.ssrc = 0x1111
    packet.payload = spoken(sequence)
    packet.extensions.mid = "0"
    packet.extensions.audio_level = (True, -20)
    identifiers = HeaderExtensionsMap()
    return packet.serialize(identifiers)


def sent(ours: AudioStream, until: float) -> tuple[list[RtpPacket], list[object]]:
    media: list[RtpPacket] = []
    control: list[object] = []
    while (at := ours.next_deadline()) <= until:
        for datagram in ours.poll(max(10.0, at)):
            if 192 <= datagram[1] <= 223:
                control += RtcpPacket.parse(datagram[:-5])
            else:
                media.append(RtpPacket.parse(datagram[:-1]))
    return media, control


def test_aiortc_reads_our_audio_and_our_reports() -> None:
    ours = stream()
    for sequence in (1, 2, 4, 5):
        assert ours.on_srtp(Clear().seal_rtp(caller_packet(sequence)), 10.0)
    for index in range(20):
        ours.say(spoken(index), 10.0)
    media, control = sent(ours, 10.4)
    words = [packet for packet in media if packet.payload[:1] == b"\x48"]
    assert [int.from_bytes(packet.payload[1:5]) for packet in words] == list(range(20))
    assert {packet.payload_type for packet in words} == {111}
    assert [packet.marker for packet in words] == [1] + [0] * 19
    (nack,) = [packet for packet in control if isinstance(packet, RtcpRtpfbPacket)]
    assert (nack.fmt, nack.ssrc, nack.media_ssrc, nack.lost) == (RTCP_RTPFB_NACK, 0x2222, 0x1111, [3])
    report = next(packet for packet in control if isinstance(packet, RtcpSrPacket))
    assert report.ssrc == 0x2222
    assert report.sender_info.packet_count > 10
    assert report.reports[0].packets_lost == 1
    description = next(packet for packet in control if isinstance(packet, RtcpSdesPacket))
    assert [(chunk.ssrc, chunk.items) for chunk in description.chunks] == [(0x2222, [(1, b"server")])]


def test_aiortc_reads_our_goodbye() -> None:
    (datagram,) = stream().goodbye(10.0)
    packets = RtcpPacket.parse(datagram[:-5])
    assert isinstance(packets[-1], RtcpByePacket)
    assert packets[-1].sources == [0x2222]
