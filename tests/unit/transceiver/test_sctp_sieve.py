"""What of SCTP is handed to the library, and what would cost it too much."""

from struct import pack

import pytest
from aiortc.rtcsctptransport import DataChunk, InitChunk, SackChunk, serialize_packet
from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.transceiver.sctp_sieve import MAX_STREAM, WINDOW, SctpRefused, sift


def packet(*chunks: tuple[int, int, bytes]) -> bytes:
    data = bytes(12)
    for kind, flags, body in chunks:
        data += pack("!BBH", kind, flags, 4 + len(body)) + body + bytes(-len(body) & 3)
    return data


def data_chunk(tsn: int, stream: int = 0, sequence: int = 0, protocol: int = 51) -> tuple[int, int, bytes]:
    return 0, 3, pack("!LHHL", tsn, stream, sequence, protocol) + b"x"


def test_what_the_library_itself_writes_is_let_through() -> None:
    data = DataChunk(flags=3)
    data.tsn, data.stream_id, data.stream_seq, data.protocol, data.user_data = 7, 4, 0, 51, b"hello"
    sack = SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd, sack.gaps = 6, 131072, [(2, 3)]
    init = InitChunk()
    init.initiate_tag, init.advertised_rwnd, init.outbound_streams, init.inbound_streams, init.initial_tsn = (
        1,
        9,
        5,
        5,
        7,
    )
    for chunk in (data, sack, init):
        assert sift(serialize_packet(5000, 5000, 1, chunk), 6).chunks == 1
    sifted = sift(serialize_packet(5000, 5000, 1, data), 6).data[0]
    assert (sifted.stream, sifted.sequence, sifted.protocol, sifted.unordered) == (4, 0, 51, False)


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (packet(), "empty"),
        (packet(data_chunk(100 + WINDOW + 1)), "window"),
        (packet(data_chunk(101, stream=MAX_STREAM + 1)), "stream"),
        (packet((3, 0, pack("!LLHHHH", 100, 1, 1, 0, 1, 65535))), "gap"),
        (packet((3, 0, pack("!LLHH", 100, 1, 9, 0))), "chunk_length"),
        (packet((130, 0, pack("!HH", 13, 0))), "parameter_length"),
        (packet((1, 0, bytes(16)), data_chunk(101)), "init_in_company"),
        (bytes(12) + pack("!BBH", 0, 0, 0), "chunk_length"),
    ],
)
def test_what_would_cost_too_much_is_refused_by_name(refused: bytes, why: str) -> None:
    with pytest.raises(SctpRefused, match=why):
        sift(refused, 100)


def test_what_was_sent_twice_is_as_welcome_as_what_is_a_little_ahead() -> None:
    for tsn in (50, 100, 101, 100 + WINDOW):
        assert sift(packet(data_chunk(tsn)), 100).chunks == 1


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(body: bytes) -> None:
    try:
        sift(bytes(12) + body, 0)
    except SctpRefused:
        pass
