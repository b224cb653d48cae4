"""Redundant audio is read and written as RFC 2198 draws it, within the limits of its fields."""

import pytest

from voicefleet.wire import red
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.red import MAX_BLOCKS, RedBlock

TWO_COPIES = bytes.fromhex("ef 1e0003 ef 0f0002 6f") + b"oldpr" + b"primary"
"""20 and 40 ms of Opus at 48 kHz before the primary: 1920 and 960 ticks."""


def test_copies_come_oldest_first_and_the_primary_last() -> None:
    assert red.decode(TWO_COPIES) == [
        RedBlock(111, 1920, b"old"),
        RedBlock(111, 960, b"pr"),
        RedBlock(111, 0, b"primary"),
    ]
    assert red.encode(red.decode(TWO_COPIES)) == TWO_COPIES


def test_a_primary_alone_costs_one_octet() -> None:
    assert red.encode([RedBlock(111, 0, b"audio")]) == b"\x6faudio"
    assert red.decode(b"\x6f") == [RedBlock(111, 0, b"")]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", Reason.TRUNCATED),
        ("ef", Reason.TRUNCATED),
        ("ef1e00", Reason.TRUNCATED),
        ("ef1e0003", Reason.TRUNCATED),
        ("ef1e0003 6f 0102", Reason.TRUNCATED),
        ("ef1e0003 ef0f0002 6f 01020304", Reason.TRUNCATED),
        ("efffffff 6f", Reason.TRUNCATED),
        ("ef000000" * 32 + "6f", Reason.TOO_LONG),
    ],
)
def test_a_length_that_lies_is_refused(payload: str, reason: Reason) -> None:
    with pytest.raises(WireError) as caught:
        red.decode(bytes.fromhex(payload))
    assert caught.value.reason is reason


def test_the_limits_of_the_fields_are_reached() -> None:
    blocks = [RedBlock(127, 16383, bytes(1023))] * (MAX_BLOCKS - 1) + [RedBlock(0, 0, bytes(2000))]
    assert red.decode(red.encode(blocks)) == blocks


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [RedBlock(128, 0, b"")],
        [RedBlock(111, 1, b"")],
        [RedBlock(111, 16384, b""), RedBlock(111, 0, b"")],
        [RedBlock(111, -1, b""), RedBlock(111, 0, b"")],
        [RedBlock(111, 1, bytes(1024)), RedBlock(111, 0, b"")],
        [RedBlock(200, 1, b""), RedBlock(111, 0, b"")],
        [RedBlock(111, 0, b"")] * (MAX_BLOCKS + 1),
    ],
)
def test_blocks_that_do_not_fit_are_never_written(blocks: list[RedBlock]) -> None:
    with pytest.raises(ValueError, match=r"fit|block"):
        red.encode(blocks)


def test_a_sender_repeats_the_newest_frames_that_fit() -> None:
    primary = RedBlock(111, 0, b"now")
    earlier = [(0, b"oldest"), (960, b"older"), (1920, b"old")]
    assert red.with_copies(primary, 2880, earlier, limit=100) == [
        RedBlock(111, 2880, b"oldest"),
        RedBlock(111, 1920, b"older"),
        RedBlock(111, 960, b"old"),
        primary,
    ]
    for limit in range(4, 40):
        blocks = red.with_copies(primary, 2880, earlier, limit)
        assert len(red.encode(blocks)) <= limit
        assert [block.data for block in blocks] == [b"oldest", b"older", b"old", b"now"][-len(blocks) :]


def test_a_sender_leaves_out_silence_and_what_the_format_cannot_say() -> None:
    primary = RedBlock(111, 0, b"now")
    earlier = [(0, b"too old"), (1000, b""), (15_000, bytes(1024)), (16_000, b"good"), (16_384, b"not earlier")]
    assert red.with_copies(primary, 16_384, earlier, limit=5000) == [RedBlock(111, 384, b"good"), primary]


def test_a_sender_repeats_across_the_wrap_of_the_timestamp() -> None:
    primary = RedBlock(111, 0, b"now")
    assert red.with_copies(primary, 480, [((1 << 32) - 480, b"old")], 100)[0] == RedBlock(111, 960, b"old")
