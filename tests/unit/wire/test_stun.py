"""STUN against the RFC's own vectors, against aioice, and against bytes that lie."""

import gc
import hashlib
import hmac
import json
import random
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aioice.stun
import pytest

from voicefleet.wire import stun
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.stun import BINDING, Attribute, Class, Message

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "rfc5769.json").read_text())["vectors"]
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes(range(12))


def raw(*attributes: tuple[int, bytes], kind: int = 1) -> bytes:
    """A message of these attributes, correct in its lengths, without integrity and fingerprint."""
    body = b"".join(struct.pack("!HH", t, len(v)) + v + bytes(-len(v) % 4) for t, v in attributes)
    return struct.pack("!HHL12s", kind, len(body), stun.MAGIC_COOKIE, TRANSACTION) + body


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["section"])
def test_every_vector_of_rfc_5769_is_read_and_its_integrity_holds(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    if term := vector.get("long_term"):
        key = hashlib.md5(f"{term['username']}:{term['realm']}:{term['password']}".encode()).digest()
    else:
        key = vector["password"].encode()
    message = stun.decode(data)
    for name, expected in vector["expect"].items():
        match name:
            case "software":
                assert dict(message.others)[Attribute.SOFTWARE] == expected.encode()
            case "cls":
                assert message.cls is Class[expected]
            case "mapped_address":
                assert message.mapped_address == tuple(expected)
            case _:
                assert getattr(message, name) == expected
    assert message.unknown_required == ()
    assert message.integrity_at is not None
    assert stun.integrity_ok(data, message.integrity_at, key)
    assert not stun.integrity_ok(data, message.integrity_at, key + b"x")
    assert stun.peek(data) == (message.cls, BINDING, (message.username or "").encode(), message.integrity_at)


def generated(seed: random.Random) -> tuple[Message, bytes]:
    address = seed.choice(
        [(f"192.0.2.{seed.randrange(256)}", seed.randrange(65536)), (f"2001:db8::{seed.randrange(1, 65536):x}", 9)]
    )
    cls = seed.choice([Class.REQUEST, Class.SUCCESS, Class.ERROR, Class.INDICATION])
    message = Message(
        cls,
        BINDING,
        seed.randbytes(12),
        username="".join(seed.choices("abcXYZ019+/:", k=seed.randrange(1, 90))) if seed.random() < 0.7 else None,
        priority=seed.getrandbits(32) if seed.random() < 0.5 else None,
        use_candidate=seed.random() < 0.5,
        ice_controlling=seed.getrandbits(64) if seed.random() < 0.5 else None,
        ice_controlled=seed.getrandbits(64) if seed.random() < 0.5 else None,
        mapped_address=address if cls is Class.SUCCESS else None,
        error=(seed.randrange(300, 700), "no " * seed.randrange(5)) if cls is Class.ERROR else None,
    )
    return message, "".join(seed.choices("abcdefXYZ/+", k=seed.randrange(22, 33))).encode()


AIOICE_NAMES = {
    "USERNAME": "username",
    "PRIORITY": "priority",
    "ICE-CONTROLLING": "ice_controlling",
    "ICE-CONTROLLED": "ice_controlled",
    "XOR-MAPPED-ADDRESS": "mapped_address",
    "ERROR-CODE": "error",
}


def test_aioice_reads_what_we_write_and_we_read_what_aioice_writes_ten_thousand_times_each() -> None:
    seed = random.Random(20261121)
    for _ in range(10_000):
        ours, password = generated(seed)
        theirs = aioice.stun.parse_message(stun.encode(ours, password))
        theirs.check_message_integrity(password)
        for their_name, our_name in AIOICE_NAMES.items():
            assert theirs.attributes.get(their_name) == getattr(ours, our_name)
        assert ("USE-CANDIDATE" in theirs.attributes) == ours.use_candidate
        assert theirs.transaction_id == ours.transaction_id
    for _ in range(10_000):
        wanted, password = generated(seed)
        theirs = aioice.stun.Message(
            message_method=aioice.stun.Method.BINDING,
            message_class=[
                aioice.stun.Class.REQUEST,
                aioice.stun.Class.INDICATION,
                aioice.stun.Class.RESPONSE,
                aioice.stun.Class.ERROR,
            ][wanted.cls],
            transaction_id=wanted.transaction_id,
        )
        for their_name, our_name in AIOICE_NAMES.items():
            if (value := getattr(wanted, our_name)) is not None:
                theirs.attributes[their_name] = value
        if wanted.use_candidate:
            theirs.attributes["USE-CANDIDATE"] = None
        theirs.add_message_integrity(password)
        data = bytes(theirs)
        ours = stun.decode(data)
        for field in ("cls", "method", "transaction_id", "use_candidate", *AIOICE_NAMES.values()):
            assert getattr(ours, field) == getattr(wanted, field)
        assert ours.integrity_at is not None and stun.integrity_ok(data, ours.integrity_at, password)


def test_the_integrity_is_hmac_sha1_for_a_password_of_any_length() -> None:
    data = stun.binding_request(TRANSACTION, "token:peer", PASSWORD, priority=1, controlling=2)
    integrity_at = stun.peek(data)[3]
    for length in (*range(130), 1000):
        password = bytes(n % 256 for n in range(length))
        mac = hmac.new(password, data[:2] + struct.pack("!H", integrity_at + 4) + data[4:integrity_at], "sha1").digest()
        signed = data[: integrity_at + 4] + mac + data[integrity_at + 24 :]
        assert stun.integrity_ok(signed, integrity_at, password)


def test_a_change_anywhere_before_the_integrity_breaks_it() -> None:
    data = stun.binding_request(TRANSACTION, "token:peer", PASSWORD, priority=1, controlling=2, use_candidate=True)
    integrity_at = stun.peek(data)[3]
    assert stun.integrity_ok(data, integrity_at, PASSWORD)
    for at in (0, 1, 9, 25, integrity_at - 1, integrity_at + 4, integrity_at + 23):
        changed = bytearray(data)
        changed[at] ^= 1
        assert not stun.integrity_ok(bytes(changed), integrity_at, PASSWORD)


def test_an_answer_tells_the_client_its_address_and_proves_that_we_know_the_password() -> None:
    for address in (("203.0.113.9", 40000), ("2001:db8::9", 1)):
        data = stun.binding_success(TRANSACTION, address, PASSWORD)
        message = stun.decode(data)
        assert (message.cls, message.mapped_address, message.fingerprint) == (Class.SUCCESS, address, True)
        assert message.integrity_at is not None and stun.integrity_ok(data, message.integrity_at, PASSWORD)


def test_a_refusal_carries_its_code_and_the_attributes_that_were_not_understood() -> None:
    message = stun.decode(stun.binding_error(TRANSACTION, 420, "Unknown Attribute", PASSWORD, (0x7FF0, 0x7FF1)))
    assert message.error == (420, "Unknown Attribute")
    assert message.unknown_attributes == (0x7FF0, 0x7FF1)


def test_attributes_that_must_be_understood_and_are_not_are_listed_once() -> None:
    message = stun.decode(raw((0x7FF0, b""), (0x7FF0, b"1234"), (0xFFF0, b"opt"), (0x0001, bytes(8))))
    assert message.unknown_required == (0x7FF0,)


def test_of_two_user_names_the_first_counts_for_relay_and_transceiver_alike() -> None:
    data = raw((Attribute.USERNAME, b"first:x"), (Attribute.USERNAME, b"second:x"))
    assert stun.decode(data).username == "first:x"
    assert stun.peek(data)[2] == b"first:x"


def test_what_stands_after_the_integrity_does_not_count() -> None:
    data = raw(
        (Attribute.MESSAGE_INTEGRITY, bytes(20)), (Attribute.USERNAME, b"late:x"), (Attribute.USE_CANDIDATE, b"")
    )
    message = stun.decode(data)
    assert (message.username, message.use_candidate, message.integrity_at) == (None, False, 20)
    assert stun.peek(data) == (0, 1, b"", 20)


def test_of_two_integrities_the_first_counts() -> None:
    data = stun.encode(Message(Class.REQUEST, BINDING, TRANSACTION, username="a:b"), PASSWORD, fingerprint=False)
    second = with_length(data, len(data) - 20 + 24) + struct.pack("!HH20x", Attribute.MESSAGE_INTEGRITY, 20)
    message = stun.decode(second)
    assert message.integrity_at == stun.peek(second)[3] == len(data) - 24
    assert stun.integrity_ok(second, message.integrity_at, PASSWORD)


def test_an_attribute_after_the_integrity_calls_for_no_refusal() -> None:
    late = raw((Attribute.MESSAGE_INTEGRITY, bytes(20)), (0x001C, bytes(32)), (0x7FF0, b""))
    message = stun.decode(late)
    assert (message.unknown_required, message.others) == ((), ())


def test_a_transaction_id_of_another_length_is_never_cut_or_filled() -> None:
    for length in (0, 11, 13):
        with pytest.raises(ValueError, match="12 octets"):
            stun.binding_success(bytes(length), ("192.0.2.1", 1), PASSWORD)


def with_length(data: bytes, length: int) -> bytes:
    return data[:2] + struct.pack("!H", length) + data[4:]


def fingerprinted(data: bytes, value: int | None = None) -> bytes:
    data = with_length(data, len(data) - 20 + 8)
    crc = zlib.crc32(data) ^ stun.FINGERPRINT_XOR if value is None else value
    return data + struct.pack("!HHL", Attribute.FINGERPRINT, 4, crc)


GOOD = raw((Attribute.USERNAME, b"abcd:efgh"))
BAD: list[tuple[str, bytes, Reason]] = [
    ("nothing", b"", Reason.TRUNCATED),
    ("half a header", GOOD[:19], Reason.TRUNCATED),
    ("another cookie", GOOD[:4] + bytes(4) + GOOD[8:], Reason.BAD_MAGIC),
    ("first bits set", b"\x80" + GOOD[1:], Reason.BAD_MAGIC),
    ("length too long", with_length(GOOD, 64), Reason.BAD_LENGTH),
    ("length too short", with_length(GOOD, 8), Reason.BAD_LENGTH),
    ("length not a multiple of four", with_length(GOOD, 15), Reason.BAD_LENGTH),
    ("octets after the end", GOOD + b"xxxx", Reason.BAD_LENGTH),
    ("an attribute beyond the end", GOOD[:22] + struct.pack("!H", 65535) + GOOD[24:], Reason.BAD_LENGTH),
    ("an attribute one octet too long", GOOD[:22] + struct.pack("!H", 13) + GOOD[24:], Reason.BAD_LENGTH),
    ("a short integrity", raw((Attribute.MESSAGE_INTEGRITY, bytes(16))), Reason.BAD_LENGTH),
    ("an empty integrity", raw((Attribute.MESSAGE_INTEGRITY, b"")), Reason.BAD_LENGTH),
    ("a priority of three octets", raw((Attribute.PRIORITY, bytes(3))), Reason.BAD_LENGTH),
    ("a tie-breaker of four octets", raw((Attribute.ICE_CONTROLLING, bytes(4))), Reason.BAD_LENGTH),
    ("USE-CANDIDATE with content", raw((Attribute.USE_CANDIDATE, b"1")), Reason.BAD_LENGTH),
    ("a user name that is too long", raw((Attribute.USERNAME, bytes(513))), Reason.TOO_LONG),
    ("a user name that is no text", raw((Attribute.USERNAME, b"\xff\xfe")), Reason.BAD_VALUE),
    ("an address of no family", raw((Attribute.XOR_MAPPED_ADDRESS, bytes(8)), kind=0x101), Reason.BAD_VALUE),
    ("an address without address", raw((Attribute.XOR_MAPPED_ADDRESS, b"\0\1"), kind=0x101), Reason.BAD_LENGTH),
    ("IPv6 in four octets", raw((Attribute.XOR_MAPPED_ADDRESS, b"\0\2" + bytes(6)), kind=0x101), Reason.BAD_LENGTH),
    ("an error of no class", raw((Attribute.ERROR_CODE, bytes(4)), kind=0x111), Reason.BAD_VALUE),
    ("an error number over 99", raw((Attribute.ERROR_CODE, b"\0\0\4\x64"), kind=0x111), Reason.BAD_VALUE),
    ("an endless reason", raw((Attribute.ERROR_CODE, b"\0\0\4\0" + b"x" * 764), kind=0x111), Reason.BAD_LENGTH),
    ("half an attribute type", raw((Attribute.UNKNOWN_ATTRIBUTES, b"\0\1\2"), kind=0x111), Reason.BAD_LENGTH),
    ("a wrong fingerprint", fingerprinted(GOOD, 1), Reason.NOT_AUTHENTIC),
    (
        "a fingerprint in the middle",
        raw((Attribute.FINGERPRINT, bytes(4)), (Attribute.USERNAME, b"a")),
        Reason.BAD_LENGTH,
    ),
    ("a fingerprint of eight octets", raw((Attribute.FINGERPRINT, bytes(8))), Reason.BAD_LENGTH),
]


@pytest.mark.parametrize(("data", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bytes_that_lie_are_refused_with_the_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(WireError) as caught:
        stun.decode(data)
    assert caught.value.reason is reason


LARGEST = 65_507
"""Octets of the largest datagram that UDP carries."""


def least_time(read: Callable[[bytes], object], data: bytes) -> float:
    """Processor time, so that a busy machine counts for nothing, and without the garbage collector's walks."""
    best = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(7):
            began = time.thread_time()
            read(data)
            best = min(best, time.thread_time() - began)
    finally:
        gc.enable()
    return best


FILLINGS: dict[str, Callable[[int], list[tuple[int, bytes]]]] = {
    "one optional type": lambda count: [(0xC057, b"")] * count,
    "one type to understand": lambda count: [(0x7FF0, b"")] * count,
    "all different types to understand": lambda count: [(0x0100 + at, b"") for at in range(count)],
    "user names": lambda count: [(Attribute.USERNAME, b"")] * count,
    "usual attributes after a user name": lambda count: [(Attribute.USERNAME, b"a:b"), *[(0xC057, b"")] * count],
    "what an answer could list": lambda count: [(Attribute.UNKNOWN_ATTRIBUTES, bytes(4 * count))],
}


@pytest.mark.parametrize("filling", FILLINGS.values(), ids=FILLINGS)
@pytest.mark.parametrize("read", [stun.decode, stun.peek])
def test_the_time_grows_no_faster_than_the_datagram(
    filling: Callable[[int], list[tuple[int, bytes]]], read: Callable[[bytes], object]
) -> None:
    small, large = (raw(*filling(count)) for count in (2_000, 16_000))
    assert len(large) <= LARGEST
    # Eight times the octets: a time of eight times is linear, of sixty-four quadratic.
    assert least_time(read, large) < 40 * least_time(read, small) + 0.001


def test_a_datagram_full_of_attributes_is_read_to_its_end() -> None:
    full = raw(*FILLINGS["all different types to understand"](16_000))
    assert stun.decode(full).unknown_required == tuple(range(0x0100, 0x0100 + 16_000))
    assert stun.peek(full) == (0, 1, b"", -1)


@pytest.mark.parametrize(
    "data",
    [
        bytes(LARGEST),
        b"\xff" * LARGEST,
        with_length(GOOD[:20] + bytes(LARGEST - 20), LARGEST - 20),
        with_length(GOOD[:20] + bytes(LARGEST - 23), LARGEST - 23) + b"\xff\xff\xff",
        with_length(GOOD[:20] + b"\x00\x06\xff\xff" + bytes(LARGEST - 27), LARGEST - 23),
    ],
)
def test_the_largest_datagram_of_anything_gives_a_value_or_a_wire_error(data: bytes) -> None:
    for read in (stun.decode, stun.peek):
        try:
            read(data)
        except WireError:
            pass
