"""Packets in a byte stream, however the network cuts it and however slowly it is read."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.relay.framed_stream import (
    CONTROL_WAITING,
    MEDIA_WAITING,
    BrokenStream,
    FrameQueue,
    FrameReader,
    frame,
)

LONGEST = 1340
PACKETS = st.lists(st.binary(min_size=1, max_size=300), max_size=30)


@given(PACKETS, st.lists(st.integers(1, 700), min_size=1))
def test_however_a_stream_is_cut_the_same_packets_come_out(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, packets))
    reader, found, at, turns = FrameReader(LONGEST), list[bytes](), 0, deque(cuts)
    while at < len(stream):
        found += reader.feed(stream[at : at + turns[0]])
        at += turns[0]
        turns.rotate()
    assert found == packets
    assert reader.rest == b""


@given(st.binary(max_size=5000))
def test_a_reader_holds_at_most_one_packet_of_whatever_is_sent(octets: bytes) -> None:
    reader = FrameReader(LONGEST)
    try:
        found = reader.feed(octets)
    except BrokenStream:
        return
    assert len(reader.rest) < LONGEST + 2
    assert all(0 < len(packet) <= LONGEST for packet in found)


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=50), st.integers(1, 120)), max_size=300))
def test_what_a_slow_reader_gets_is_whole_in_order_and_misses_old_media_only(steps: list[bytes | int]) -> None:
    queue, reader, read = FrameQueue(), FrameReader(LONGEST), list[bytes]()
    pushed: list[bytes] = []
    dropped = 0

    def reads(octets: int) -> None:
        while octets and (waiting := queue.next()):
            taken = waiting[:octets]
            queue.written(len(taken))
            read.extend(reader.feed(taken))
            octets -= len(taken)

    for step in steps:
        if isinstance(step, int):
            reads(step)
            continue
        try:
            dropped += queue.push(step)
        except BrokenStream:
            assert sum(packet[0] < 128 for packet in pushed) >= CONTROL_WAITING
            return
        pushed.append(step)
        assert len(queue) <= MEDIA_WAITING + CONTROL_WAITING + 1
    reads(1 << 20)
    assert len(read) + dropped == len(pushed)
    left = iter(pushed)
    assert all(any(packet == each for each in left) for packet in read), "in order"
    assert [each for each in read if each[0] < 128] == [each for each in pushed if each[0] < 128]
    if dropped:
        newest = [each for each in pushed if each[0] >= 128][-MEDIA_WAITING:]
        assert [each for each in read if each[0] >= 128][-MEDIA_WAITING:] == newest


def test_control_that_nobody_reads_ends_the_stream() -> None:
    queue = FrameQueue()
    for _ in range(CONTROL_WAITING):
        queue.push(b"\x16")
    with pytest.raises(BrokenStream):
        queue.push(b"\x16")
