"""STUN holds for any message and for any bytes: a value or `WireError`, and relay and transceiver read the same."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.wire import stun
from voicefleet.wire.errors import WireError
from voicefleet.wire.stun import BINDING, Class, Message

addresses = st.tuples(st.ip_addresses().map(str), st.integers(0, 65535))
others = st.lists(st.tuples(st.integers(0xC000, 0xFFFF), st.binary(max_size=40)), max_size=4).map(tuple)
messages = st.builds(
    Message,
    cls=st.sampled_from(Class),
    method=st.integers(0, 0xFFF),
    transaction_id=st.binary(min_size=12, max_size=12),
    username=st.none() | st.text(max_size=80),
    priority=st.none() | st.integers(0, 2**32 - 1),
    use_candidate=st.booleans(),
    ice_controlling=st.none() | st.integers(0, 2**64 - 1),
    ice_controlled=st.none() | st.integers(0, 2**64 - 1),
    mapped_address=st.none() | addresses,
    error=st.none() | st.tuples(st.integers(300, 699), st.text(max_size=60)),
    unknown_attributes=st.lists(st.integers(0, 0xFFFF), max_size=5).map(tuple),
    others=others,
)
passwords = st.binary(min_size=1, max_size=100)


@given(messages, st.none() | passwords, st.booleans())
def test_what_was_encoded_is_decoded(message: Message, password: bytes | None, fingerprint: bool) -> None:
    data = stun.encode(message, password, fingerprint)
    read = stun.decode(data)
    for field in Message.__slots__:
        if field not in ("integrity_at", "fingerprint"):
            assert getattr(read, field) == getattr(message, field)
    assert read.fingerprint is fingerprint
    assert (read.integrity_at is not None) is (password is not None)
    if password is not None and read.integrity_at is not None:
        assert stun.integrity_ok(data, read.integrity_at, password)


def value_or_wire_error(decode: Callable[[bytes], object], data: bytes) -> object | None:
    try:
        return decode(data)
    except WireError:
        return None


def relay_and_transceiver_agree(data: bytes) -> None:
    peeked = value_or_wire_error(stun.peek, data)
    message = value_or_wire_error(stun.decode, data)
    if isinstance(message, Message):
        at = -1 if message.integrity_at is None else message.integrity_at
        assert peeked == (message.cls, message.method, (message.username or "").encode(), at)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_wire_error(data: bytes) -> None:
    relay_and_transceiver_agree(data)
    relay_and_transceiver_agree(data[:2] + (max(0, len(data) - 20)).to_bytes(2) + b"\x21\x12\xa4\x42" + data[8:])


@given(
    messages,
    passwords,
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4),
    st.integers(0, 10**6),
)
def test_a_damaged_message_gives_a_value_or_a_wire_error(
    message: Message, password: bytes, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(stun.encode(message, password))
    for at, bits in flips:
        data[at % len(data)] ^= bits
    relay_and_transceiver_agree(bytes(data))
    relay_and_transceiver_agree(bytes(data[: cut % len(data)]))


@given(
    st.binary(min_size=12, max_size=12),
    st.text("abcXYZ019+/:", max_size=90),
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([0xC057, 0x0024, 0x8029, 0x8022, 0x0006, 0x0008, 0x8028]),
            st.sampled_from([0, 3, 4, 8, 20]).map(bytes),
        ),
        max_size=6,
    ),
)
def test_the_usual_check_is_read_the_same_in_one_step_and_step_by_step(
    transaction: bytes, username: str, nominated: bool, extra: list[tuple[int, bytes]]
) -> None:
    message = Message(
        Class.REQUEST,
        BINDING,
        transaction,
        username=username,
        priority=1,
        use_candidate=nominated,
        ice_controlling=2,
        others=tuple(extra),
    )
    relay_and_transceiver_agree(stun.encode(message, b"password"))
