"""RTCP holds for any packets and for any bytes, and aiortc reads and writes the same compounds."""

from aiortc import rtp as aiortc
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.oracles import rtcp_compound
from voicefleet.wire import rtcp
from voicefleet.wire.rtcp import (
    Goodbye,
    Nack,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesChunk,
    SenderReport,
    SourceDescription,
)
from voicefleet.wire.transport_feedback import Arrival, TransportFeedback

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
s24 = st.integers(-(1 << 23), (1 << 23) - 1)
blocks = st.builds(ReportBlock, u32, u8, s24, u32, u32, u32, u32)
block_lists = st.lists(blocks, max_size=31).map(tuple)
extensions = st.integers(0, 3).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words))
sender_reports = st.builds(SenderReport, u32, st.integers(0, (1 << 64) - 1), u32, u32, u32, block_lists, extensions)
receiver_reports = st.builds(ReceiverReport, u32, block_lists, extensions)
items = st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=255)), max_size=5).map(tuple)
descriptions = st.builds(SourceDescription, st.lists(st.builds(SdesChunk, u32, items), max_size=31).map(tuple))
goodbyes = st.builds(Goodbye, st.lists(u32, max_size=31).map(tuple), st.binary(max_size=255))
nacks = st.builds(Nack, u32, u32, st.lists(u16, min_size=1, max_size=60).map(tuple))


@st.composite
def feedbacks(draw: st.DrawFn) -> TransportFeedback:
    """Bursts of losses and arrivals, short and long, so that every kind of chunk is written."""
    base = draw(u16)
    steps = draw(st.lists(st.tuples(st.sampled_from((0, 0, 0, 1, 2, 13, 14, 9000)), st.integers(1, 20)), max_size=8))
    deltas = st.integers(0, 255) | st.integers(-(1 << 15), (1 << 15) - 1)
    arrivals, offset = [], 0
    for lost, arrived in steps:
        offset += lost
        small = draw(st.booleans())
        for _ in range(arrived):
            if offset <= 0xFFFE:
                arrivals.append(Arrival((base + offset) & 0xFFFF, draw(u8 if small else deltas)))
                offset += 1
    count = min(0xFFFF, max(1, offset + draw(st.sampled_from((0, 1, 9000)))))
    return TransportFeedback(draw(u32), draw(u32), base, count, draw(s24), draw(u8), tuple(arrivals))


packets: st.SearchStrategy[RtcpPacket] = (
    sender_reports | receiver_reports | descriptions | goodbyes | nacks | feedbacks()
)
compounds = st.lists(packets, min_size=1, max_size=4).map(tuple)


@given(compounds)
def test_what_was_encoded_is_decoded(compound: tuple[RtcpPacket, ...]) -> None:
    assert rtcp.decode(rtcp.encode(compound)) == (compound, 0)


@given(st.binary(max_size=120), st.integers(0x80, 0xBF), st.integers(200, 207))
def test_any_bytes_give_a_compound_or_a_wire_error(octets: bytes, first: int, kind: int) -> None:
    rtcp_compound(octets)
    rtcp_compound(bytes((first, kind)) + octets)
    words = len(octets) // 4
    rtcp_compound(bytes((first, kind)) + words.to_bytes(2) + octets[: 4 * words])
    rtcp_compound(bytes((0x8F, 205)) + words.to_bytes(2) + octets[: 4 * words])


@given(compounds, st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4), st.integers(0, 10**6))
def test_a_damaged_compound_gives_a_compound_or_a_wire_error(
    compound: tuple[RtcpPacket, ...], flips: list[tuple[int, int]], cut: int
) -> None:
    octets = bytearray(rtcp.encode(compound))
    for at, bits in flips:
        octets[at % len(octets)] ^= bits
    rtcp_compound(bytes(octets))
    rtcp_compound(bytes(octets[: cut % len(octets)]))


def as_aiortc(packet: RtcpPacket) -> aiortc.AnyRtcpPacket:
    """The same packet in aiortc's classes."""
    match packet:
        case SenderReport():
            sender = aiortc.RtcpSenderInfo(packet.ntp_time, packet.rtp_time, packet.packets, packet.octets)
            return aiortc.RtcpSrPacket(packet.ssrc, sender, [aiortc.RtcpReceiverInfo(*b) for b in packet.reports])
        case ReceiverReport():
            return aiortc.RtcpRrPacket(packet.ssrc, [aiortc.RtcpReceiverInfo(*b) for b in packet.reports])
        case SourceDescription():
            return aiortc.RtcpSdesPacket([aiortc.RtcpSourceInfo(c.ssrc, list(c.items)) for c in packet.chunks])
        case Goodbye():
            return aiortc.RtcpByePacket(list(packet.sources))
        case Nack():
            return aiortc.RtcpRtpfbPacket(1, packet.sender_ssrc, packet.media_ssrc, list(packet.lost))
        case TransportFeedback():
            raise TypeError("aiortc does not know transport-wide feedback")


# What aiortc can say: reports without profile extensions, one SDES chunk (it aligns only the last), goodbyes without a
# reason, losses that rise and do not wrap.
common_to_both: st.SearchStrategy[RtcpPacket] = (
    sender_reports.map(lambda p: SenderReport(p.ssrc, p.ntp_time, p.rtp_time, p.packets, p.octets, p.reports))
    | receiver_reports.map(lambda p: ReceiverReport(p.ssrc, p.reports))
    | st.builds(SourceDescription, st.tuples(st.builds(SdesChunk, u32, items)))
    | goodbyes.map(lambda p: Goodbye(p.sources))
    | st.builds(Nack, u32, u32, st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=40).map(sorted).map(tuple))
)
common_compounds = st.lists(common_to_both, min_size=1, max_size=4)


@given(common_compounds)
def test_aiortc_reads_what_is_written_here(compound: list[RtcpPacket]) -> None:
    assert aiortc.RtcpPacket.parse(rtcp.encode(compound)) == [as_aiortc(packet) for packet in compound]


@given(common_compounds)
def test_what_aiortc_writes_is_read_here(compound: list[RtcpPacket]) -> None:
    octets = b"".join(bytes(as_aiortc(packet)) for packet in compound)
    assert rtcp.decode(octets) == (tuple(compound), 0)


@given(u32, st.sampled_from((b"", b"fci.")))
def test_a_picture_loss_that_aiortc_writes_is_skipped(ssrc: int, fci: bytes) -> None:
    assert rtcp.decode(bytes(aiortc.RtcpPsfbPacket(aiortc.RTCP_PSFB_PLI, ssrc, ssrc, fci))) == ((), 1)
