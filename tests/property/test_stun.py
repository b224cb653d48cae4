"""STUN holds for any message and for any bytes: a value or `WireError`, and relay and transceiver read the same."""

import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.wire import stun
from voicefleet.wire.errors import WireError
from voicefleet.wire.stun import BINDING, Class, Message, Peek

T = TypeVar("T")


def as_sockets_write_it(address: IPv4Address | IPv6Address) -> str:
    return inet_ntop(AF_INET if address.version == 4 else AF_INET6, address.packed)


addresses = st.tuples(st.ip_addresses().map(as_sockets_write_it), st.integers(0, 65535))
transactions = st.binary(min_size=12, max_size=12)
others = st.lists(st.tuples(st.integers(0xC000, 0xFFFF), st.binary(max_size=40)), max_size=4).map(tuple)
messages = st.builds(
    Message,
    cls=st.sampled_from(Class),
    method=st.integers(0, 0xFFF),
    transaction_id=transactions,
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


def by_the_book(data: bytes) -> Peek | None:
    """What a relay has to read, written down as the RFC says it and not for speed; None is a refusal."""
    if len(data) < 20 or data[0] > 0x3F or data[4:8] != b"\x21\x12\xa4\x42":
        return None
    kind, length = struct.unpack("!HH", data[:4])
    if length % 4 or length != len(data) - 20:
        return None
    username, integrity_at, at = None, -1, 20
    while at < len(data):
        attribute, length = struct.unpack("!HH", data[at : at + 4])
        value = data[at + 4 : at + 4 + length]
        following = at + 4 + (length + 3) // 4 * 4
        if following > len(data) or (integrity_at < 0 and attribute == 0x0008 and length != 20):
            return None
        if integrity_at < 0 and attribute == 0x0006 and username is None:
            username = value
        if integrity_at < 0 and attribute == 0x0008:
            integrity_at = at
        at = following
    bits = f"{kind:014b}"
    return int(bits[5] + bits[9], 2), int(bits[:5] + bits[6:9] + bits[10:], 2), username or b"", integrity_at


def value_or_refusal(decode: Callable[[bytes], T], data: bytes) -> T | None:
    try:
        return decode(data)
    except WireError:
        return None


def relay_and_transceiver_agree(data: bytes) -> None:
    peeked = value_or_refusal(stun.peek, data)
    message = value_or_refusal(stun.decode, data)
    assert peeked == by_the_book(data)
    if message is not None:
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


# Attributes as an attacker writes them: types that confuse, and a length field that need not be the length.
attribute_types = st.sampled_from(
    [0x0001, 0x0006, 0x0008, 0x0009, 0x000A, 0x0020, 0x0024, 0x0025, 0x7FF0, 0x8022, 0x8028, 0x8029, 0x802A, 0xC057]
)
values = st.sampled_from([0, 1, 3, 4, 8, 20, 24]).map(bytes) | st.binary(max_size=24)
attributes = st.builds(
    lambda kind, value, lie: struct.pack("!HH", kind, len(value) + lie & 0xFFFF) + value + bytes(-len(value) % 4),
    attribute_types,
    values,
    st.just(0) | st.just(0) | st.just(0) | st.integers(-24, 24) | st.just(0xFFFF),
) | st.sampled_from([b"\x00\x06\x00\x03a:b\x00", b"\x00\x08\x00\x14" + bytes(20)])


@given(
    transactions,
    st.lists(attributes, max_size=8),
    st.just(b"") | st.binary(max_size=5),
    st.sampled_from([0x0001, 0x0011, 0x0101, 0x0111, 0x3FFF]),
)
def test_relay_and_transceiver_agree_on_any_row_of_attributes(
    transaction: bytes, row: list[bytes], tail: bytes, message_type: int
) -> None:
    body = b"".join(row) + tail
    relay_and_transceiver_agree(struct.pack("!HHL12s", message_type, len(body), stun.MAGIC_COOKIE, transaction) + body)


@given(
    transactions,
    st.text("abcXYZ019+/:", max_size=90),
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([0xC057, 0x0024, 0x8029, 0x8022, 0x0006, 0x0008, 0x8028]),
            st.sampled_from([0, 3, 4, 8, 20]).map(bytes),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_the_usual_check_is_read_the_same_in_one_step_and_step_by_step(
    transaction: bytes, username: str, nominated: bool, extra: list[tuple[int, bytes]], fingerprint: bool
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
    relay_and_transceiver_agree(stun.encode(message, b"password", fingerprint))


USUAL = stun.binding_request(bytes(12), "abcd:efgh", b"password", priority=1, controlling=2, use_candidate=True)


def test_a_usual_check_with_any_bit_changed_or_of_any_length_is_read_the_same() -> None:
    for bit in range(8 * len(USUAL)):
        changed = bytearray(USUAL)
        changed[bit // 8] ^= 1 << bit % 8
        relay_and_transceiver_agree(bytes(changed))
    for length in range(len(USUAL) + 40):
        resized = (USUAL + bytes(40))[:length]
        relay_and_transceiver_agree(resized)
        relay_and_transceiver_agree(resized[:2] + max(0, length - 20).to_bytes(2) + resized[4:])
