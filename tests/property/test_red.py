"""Redundant audio holds for any blocks and for any bytes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.oracles import red_payload
from voicefleet.wire import red
from voicefleet.wire.red import MAX_BLOCKS, MAX_LENGTH, MAX_OFFSET, RedBlock

payload_types = st.integers(0, 127)
copies = st.builds(RedBlock, payload_types, st.integers(0, MAX_OFFSET), st.binary(max_size=MAX_LENGTH))
primaries = st.builds(RedBlock, payload_types, st.just(0), st.binary(max_size=2000))


@st.composite
def payloads(draw: st.DrawFn) -> list[RedBlock]:
    return [*draw(st.lists(copies, max_size=MAX_BLOCKS - 1)), draw(primaries)]


@given(payloads())
def test_what_was_encoded_is_decoded(blocks: list[RedBlock]) -> None:
    assert red.decode(red.encode(blocks)) == blocks


@given(st.binary(max_size=100), st.lists(st.tuples(payload_types, st.integers(0, 40)), max_size=5))
def test_any_bytes_give_blocks_or_a_wire_error(octets: bytes, heads: list[tuple[int, int]]) -> None:
    red_payload(octets)
    red_payload(b"".join(bytes((0x80 | kind, 0, 0, length)) for kind, length in heads) + octets)


@given(payloads(), st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4), st.integers(0, 10**6))
def test_a_damaged_payload_gives_blocks_or_a_wire_error(
    blocks: list[RedBlock], flips: list[tuple[int, int]], cut: int
) -> None:
    payload = bytearray(red.encode(blocks))
    for at, bits in flips:
        payload[at % len(payload)] ^= bits
    red_payload(bytes(payload))
    red_payload(bytes(payload[: cut % len(payload)]))


@given(
    st.binary(max_size=400),
    st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), st.binary(max_size=1100)), max_size=40),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 1200),
)
def test_copies_never_push_a_payload_over_its_limit(
    data: bytes, earlier: list[tuple[int, bytes]], timestamp: int, limit: int
) -> None:
    blocks = red.with_copies(RedBlock(111, 0, data), timestamp, earlier, limit)
    payload = red.encode(blocks)
    assert len(payload) <= max(limit, 1 + len(data))
    assert red.decode(payload) == blocks
    assert blocks[-1] == RedBlock(111, 0, data)
