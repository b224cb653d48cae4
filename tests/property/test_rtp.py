"""RTP headers hold for any values and for any bytes, and aiortc reads and writes the same packets."""

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, pack_header_extensions, unpack_header_extensions
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.oracles import rtp_header
from voicefleet.wire import rtp
from voicefleet.wire.rtp import RtpHeader
from voicefleet.wire.sequence import (
    extend_sequence,
    extend_timestamp,
    sequence_distance,
    timestamp_distance,
)

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
one_byte_elements = st.dictionaries(st.integers(1, 14), st.binary(min_size=1, max_size=16), max_size=14)
any_elements = st.dictionaries(st.integers(1, 255), st.binary(max_size=255), max_size=8)
AIORTC_EXTENSIONS = HeaderExtensionsMap()
AIORTC_EXTENSIONS.configure(
    RTCRtpParameters(
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(id=number, uri=uri)
            for number, uri in (
                (1, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
                (2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
                (3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
                (4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
            )
        ]
    )
)


@st.composite
def headers(draw: st.DrawFn) -> RtpHeader:
    csrcs = tuple(draw(st.lists(u32, max_size=15)))
    profile, elements = draw(
        st.just((None, b""))
        | one_byte_elements.map(rtp.encode_extensions)
        | any_elements.map(rtp.encode_extensions)
        | st.tuples(u16, st.integers(0, 20).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)))
    )
    return RtpHeader(
        payload_type=draw(st.integers(0, 127)),
        marker=draw(st.booleans()),
        sequence=draw(u16),
        timestamp=draw(u32),
        ssrc=draw(u32),
        csrcs=csrcs,
        extension_profile=profile,
        extensions=elements,
        payload_at=12 + 4 * len(csrcs) + (0 if profile is None else 4 + len(elements)),
        padding=draw(st.integers(0, 255)),
    )


@given(headers(), st.binary(max_size=50))
def test_what_was_encoded_is_decoded(header: RtpHeader, payload: bytes) -> None:
    packet = rtp.encode(header, payload)
    read = rtp.decode_header(packet)
    assert read == header
    assert read.payload(packet) == payload
    assert packet.startswith(rtp.encode_header(header))


@given(one_byte_elements | any_elements)
def test_elements_that_were_encoded_are_decoded(elements: dict[int, bytes]) -> None:
    profile, octets = rtp.encode_extensions(elements)
    assert rtp.extensions(RtpHeader(0, False, 0, 0, 0, (), profile, octets)) == elements


@given(st.binary(max_size=100), st.sampled_from((0x80, 0x90, 0xB0, 0xBF)), st.sampled_from((0xBEDE, 0x1000, 0x100F)))
def test_any_bytes_give_a_header_or_a_wire_error(octets: bytes, first: int, profile: int) -> None:
    rtp_header(octets)
    rtp_header(bytes((first,)) + octets)
    rtp_header(bytes((0x90,)) + octets[:11] + profile.to_bytes(2) + b"\0" + octets[11:])


@given(
    headers(),
    st.binary(max_size=50),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4),
    st.integers(0, 10**6),
)
def test_a_damaged_packet_gives_a_header_or_a_wire_error(
    header: RtpHeader, payload: bytes, flips: list[tuple[int, int]], cut: int
) -> None:
    packet = bytearray(rtp.encode(header, payload))
    for at, bits in flips:
        packet[at % len(packet)] ^= bits
    rtp_header(bytes(packet))
    rtp_header(bytes(packet[: cut % len(packet)]))


@given(headers(), st.binary(max_size=50))
def test_aiortc_reads_what_is_written_here(header: RtpHeader, payload: bytes) -> None:
    if header.extension_profile in (0xBEDE, 0x1000):
        profile, octets = rtp.encode_extensions({5: b"unmapped"})
        header = header._replace(extension_profile=profile, extensions=octets)
    packet = RtpPacket.parse(rtp.encode(header, payload))
    assert (packet.payload_type, packet.marker, packet.sequence_number) == (
        header.payload_type,
        header.marker,
        header.sequence,
    )
    assert (packet.timestamp, packet.ssrc, tuple(packet.csrc)) == (header.timestamp, header.ssrc, header.csrcs)
    assert (packet.padding_size, packet.payload) == (header.padding, payload)


@given(headers(), st.binary(max_size=50), st.integers(0, 127), st.integers(0, 0xFFFFFF), st.none() | u16)
def test_what_aiortc_writes_is_read_here(
    header: RtpHeader, payload: bytes, level: int, send_time: int, transport_sequence: int | None
) -> None:
    packet = RtpPacket(header.payload_type, int(header.marker), header.sequence, header.timestamp, header.ssrc, payload)
    packet.csrc = list(header.csrcs)
    packet.padding_size = header.padding
    packet.extensions.audio_level = (True, level)
    packet.extensions.abs_send_time = send_time
    packet.extensions.transport_sequence_number = transport_sequence
    packet.extensions.mid = "0"
    octets = packet.serialize(AIORTC_EXTENSIONS)
    read = rtp.decode_header(octets)
    assert read[:6] == header[:6]
    assert read.padding == header.padding
    assert read.payload(octets) == payload
    expected = {1: bytes((0x80 | level,)), 2: send_time.to_bytes(3), 4: b"0"}
    if transport_sequence is not None:
        expected[3] = transport_sequence.to_bytes(2)
    assert rtp.extensions(read) == expected


@given(one_byte_elements.filter(bool) | any_elements.filter(bool))
def test_aiortc_and_this_agree_on_elements(elements: dict[int, bytes]) -> None:
    assert dict(unpack_header_extensions(*rtp.encode_extensions(elements))) == elements
    profile, octets = pack_header_extensions(list(elements.items()))
    assert (profile, octets) == rtp.encode_extensions(elements)


@given(st.integers(0, 1 << 48), st.integers(-0x7FFF, 0x7FFF), st.integers(-0x7FFFFFFF, 0x7FFFFFFF))
def test_an_index_survives_the_wire_while_it_is_less_than_half_a_circle_off(near: int, step: int, ticks: int) -> None:
    assert extend_sequence((near + step) & 0xFFFF, near) == near + step
    assert extend_timestamp((near + ticks) & 0xFFFFFFFF, near) == near + ticks


@given(u16, u16, u32, u32)
def test_a_distance_is_the_same_both_ways(a: int, b: int, s: int, t: int) -> None:
    if (a - b) % (1 << 16) not in (0, 1 << 15):
        assert sequence_distance(a, b) == -sequence_distance(b, a)
    if (s - t) % (1 << 32) not in (0, 1 << 31):
        assert timestamp_distance(s, t) == -timestamp_distance(t, s)
