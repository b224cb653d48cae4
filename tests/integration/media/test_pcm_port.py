"""An agent that speaks PCM: real codecs on real threads, beside a stream on a virtual clock."""

import math
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from random import Random

import pytest

from tests.support.opus_fec import carries_fec
from tests.support.simulated_call import TERMS, WALL, Clear
from voicefleet.core.media.coding import OPUS, PCMU, AudioTerms
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.redundancy import Redundancy
from voicefleet.core.media.stream import AudioStream
from voicefleet.net.codec_threads import CodecThreads
from voicefleet.net.opus import OpusDecoder, OpusEncoder
from voicefleet.net.pcm_port import HORIZON, PcmFrame, PcmPort, codec
from voicefleet.wire.rtp import decode_header

RATE = 24_000
FRAME = 960
"""Octets of 20 ms."""


def tone(seconds: float) -> bytes:
    return array("h", (int(9000 * math.sin(n / 17)) for n in range(round(RATE * seconds)))).tobytes()


def until(fact: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.001)


@pytest.fixture
def threads() -> Iterator[CodecThreads]:
    with CodecThreads(2) as running:
        yield running


class Agent:
    """A stream with its PCM side, and what comes out at both ends."""

    def __init__(self, threads: CodecThreads, terms: AudioTerms = TERMS) -> None:
        self.now = 10.0
        self.stream = AudioStream(
            terms, Clear(), ssrc=2, cname="s", now=self.now, wall_offset=WALL, random=Random(1), prebuffer=0.0
        )
        self.heard: list[PcmFrame] = []
        self.wakes = 0
        decoder, encoder = codec(terms.coding, RATE)
        self.port = PcmPort(self.stream, decoder, encoder, threads, self.heard.append, self.wake)
        self.sent: list[tuple[float, bytes]] = []

    def wake(self) -> None:
        self.wakes += 1

    def run(self, seconds: float) -> None:
        """The media loop; where the clock would be faster than the codec threads, it waits for them."""
        end = self.now + seconds
        while (at := self.stream.next_deadline()) <= end:
            self.now = max(self.now, at)
            for datagram in self.stream.poll(self.now):
                if not 192 <= datagram[1] <= 223:
                    header = decode_header(datagram[:-1])
                    self.sent.append((self.now, header.payload(datagram[:-1])))
            self.refill()
        self.now = end

    def refill(self) -> None:
        self.port.refill(self.now)
        until(lambda: len(self.port._lane) == 0 and len(self.port._encoded) == self.port._coding)
        self.port.refill(self.now)


def test_an_agent_hears_what_was_said_and_what_was_made_up(threads: CodecThreads) -> None:
    agent = Agent(threads)
    encoder = OpusEncoder(RATE)
    pcm = tone(1.0)
    frames = [
        AudioFrame(FrameKind.HEARD, encoder.encode(pcm[n * FRAME : (n + 1) * FRAME]), n * 960, 960, 10.0 + n * 0.02)
        for n in range(50)
    ]
    frames[20] = AudioFrame(FrameKind.CONCEALED, b"", 20 * 960, 960, 10.4, frames[21].payload)
    agent.port.heard(frames)
    until(lambda: len(agent.heard) == 50)
    assert [frame.kind for frame in agent.heard] == [frame.kind for frame in frames]
    assert [frame.captured for frame in agent.heard] == [frame.captured for frame in frames]
    reference = OpusDecoder(RATE)
    assert [frame.pcm for frame in agent.heard] == [reference.decode(frame) for frame in frames]


def test_only_what_is_about_to_be_played_is_encoded(threads: CodecThreads) -> None:
    agent = Agent(threads)
    assert agent.port.say(tone(8.0))
    agent.refill()
    assert agent.stream.playout.queued_ms == HORIZON * 1000
    assert agent.port.queued_ms == 8000
    assert agent.wakes >= 1
    agent.run(3.0)
    assert agent.stream.playout.queued_ms == HORIZON * 1000
    spoken = [payload for _, payload in agent.sent if len(payload) > 5]
    assert len(spoken) == pytest.approx(151, abs=1)
    decoder = OpusDecoder(RATE)
    loudest = max(
        max(array("h", decoder.decode(AudioFrame(FrameKind.HEARD, payload, 0, 960, 0.0)))) for payload in spoken
    )
    assert 8000 < loudest < 11_000


def test_a_flush_drops_what_is_with_the_codecs_too(threads: CodecThreads) -> None:
    agent = Agent(threads)
    agent.port.say(tone(8.0))
    agent.refill()
    agent.run(2.0)
    agent.port.refill(agent.now)  # some frames may be with a codec thread now
    flushed = agent.port.flush()
    assert flushed.played_ms + flushed.dropped_ms == 8000
    until(lambda: len(agent.port._lane) == 0)
    spoken = sum(len(payload) > 5 for _, payload in agent.sent)
    agent.run(1.0)
    assert sum(len(payload) > 5 for _, payload in agent.sent) == spoken == flushed.played_ms / 20
    agent.port.say(tone(0.1))
    agent.refill()
    agent.run(0.5)
    assert sum(len(payload) > 5 for _, payload in agent.sent) == spoken + 5


def test_pieces_of_any_length_become_frames_and_the_last_is_filled_up(threads: CodecThreads) -> None:
    agent = Agent(threads)
    pcm = tone(0.05)
    for at in range(0, len(pcm), 334):
        agent.port.say(pcm[at : at + 334])
    agent.refill()
    assert agent.stream.playout.queued_ms == 40
    agent.port.finish()
    agent.refill()
    assert agent.stream.playout.queued_ms == 60


def test_a_minute_may_wait_and_not_more(threads: CodecThreads) -> None:
    agent = Agent(threads)
    assert agent.port.say(bytes(60 * 50 * FRAME))
    assert not agent.port.say(bytes(FRAME))


def test_frames_describe_their_predecessors_when_the_path_loses(threads: CodecThreads) -> None:
    agent = Agent(threads)
    agent.stream.redundancy = Redundancy(0, 15)
    agent.port.say(tone(0.5))
    agent.refill()
    agent.run(1.0)
    assert sum(carries_fec(payload) for _, payload in agent.sent) > 15


def test_a_telephone_caller_is_understood_in_pcm(threads: CodecThreads) -> None:
    agent = Agent(threads, AudioTerms(PCMU, 0))
    agent.port.heard([AudioFrame(FrameKind.HEARD, b"\x80" * 160, 0, 160, 10.0)])
    until(lambda: len(agent.heard) == 1)
    assert len(agent.heard[0].pcm) == FRAME
    agent.port.say(tone(0.1))
    agent.refill()
    agent.run(0.2)
    assert sum(len(payload) == 160 and payload != PCMU.silence for _, payload in agent.sent) == 5


def test_jobs_of_a_lane_keep_their_order_on_many_threads_and_a_bad_one_ends_only_itself(
    threads: CodecThreads,
) -> None:
    lanes = [threads.lane() for _ in range(8)]
    done: list[list[int]] = [[] for _ in lanes]

    def fail() -> None:
        raise RuntimeError("a codec's mistake")

    for number in range(200):
        for lane, results in zip(lanes, done, strict=True):
            lane.put(fail if number == 50 else (lambda results=results, number=number: results.append(number)))  # type: ignore[misc]
    until(lambda: all(len(results) == 199 for results in done))
    assert all(results == [number for number in range(200) if number != 50] for results in done)


def test_codec_threads_end_though_jobs_wait() -> None:
    with CodecThreads(2) as running:
        lane = running.lane()
        for _ in range(1000):
            lane.put(lambda: time.sleep(0.001))
    assert len(lane) > 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("codec-")]


def test_only_known_codings_have_codecs() -> None:
    assert isinstance(codec(OPUS, RATE)[0], OpusDecoder)
    with pytest.raises(ValueError, match="22050"):
        codec(OPUS, 22_050)
