"""What holds for a call's audio whatever the network and the agent do."""

from itertools import pairwise
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.media_stream import media_stream
from tests.support.simulated_call import TERMS, WALL, Clear, spoken
from voicefleet.core.media.frame import FrameKind
from voicefleet.core.media.jitter_buffer import MAX_HELD, JitterBuffer
from voicefleet.core.media.loss_recovery import MAX_WANTED
from voicefleet.core.media.opus_packet import SILENCE, is_pause, samples
from voicefleet.core.media.pacing import CATCH_UP, Playout
from voicefleet.core.media.patience import ACCURATE, CONVERSATIONAL
from voicefleet.core.media.protection import SealBroken
from voicefleet.core.media.stream import AudioStream
from voicefleet.core.media.uplink import Unusable
from voicefleet.wire import rtp

TICKS = 960

arrivals = st.lists(
    st.tuples(
        st.integers(0, 120),  # which packet
        st.floats(0.0, 0.2),  # seconds after the one before
    ),
    max_size=150,
)


class Listener:
    """A buffer that is polled at each of its deadlines, as a media loop does it."""

    def __init__(self, accurate: bool) -> None:
        self.buffer = JitterBuffer(48_000, samples, is_pause, ACCURATE if accurate else CONVERSATIONAL)
        self.now = 5.0
        self.came: dict[int, float] = {}
        self.given: list[tuple[float, FrameKind, int]] = []

    def until(self, at: float) -> None:
        while (deadline := self.buffer.deadline()) <= at:
            assert deadline >= self.now - 1e-9, "a deadline that is over stays due"
            self.now = max(self.now, deadline)
            self.buffer.poll(self.now)
            self.take()
        self.now = at

    def take(self) -> None:
        for frame in self.buffer.ready:
            index = int.from_bytes(frame.payload[1:5]) if frame.kind is FrameKind.HEARD else -1
            self.given.append((self.now, frame.kind, index))
        self.buffer.ready = []

    def packet(self, index: int) -> None:
        self.came.setdefault(index, self.now)
        self.buffer.insert(1000 + index, index * TICKS, spoken(index, 4), self.now)
        self.take()


@given(arrivals, st.booleans())
def test_any_order_any_loss_any_copies_give_each_frame_at_most_once_and_in_order(
    packets: list[tuple[int, float]], accurate: bool
) -> None:
    listener = Listener(accurate)
    for index, gap in packets:
        listener.until(listener.now + gap)
        listener.packet(index)
        assert len(listener.buffer._held) <= MAX_HELD
    listener.until(listener.now + 10.0)
    heard = [index for _, kind, index in listener.given if kind is FrameKind.HEARD]
    assert all(a < b for a, b in pairwise(heard))
    assert not listener.buffer._held
    # What came and was not handed over came after its gap had been given up, or before the first frame's time.
    assert len(set(listener.came) - set(heard)) <= listener.buffer.late + listener.buffer.duplicates
    assert len(heard) == listener.buffer.heard


@given(arrivals, st.booleans())
def test_no_frame_waits_longer_than_its_profile_allows(packets: list[tuple[int, float]], accurate: bool) -> None:
    listener = Listener(accurate)
    limit = listener.buffer.profile.limit
    for index, gap in packets:
        listener.until(listener.now + gap)
        listener.packet(index)
    listener.until(listener.now + 1.0)
    for at, kind, index in listener.given:
        if kind is FrameKind.HEARD:
            assert at - listener.came[index] <= limit + 1e-9
    assert listener.buffer.delay_max <= limit + 1e-9


@example(packets=[(0, 0, b"\x00"), (0, 61_921, b"")], gap=0.0)  # a pause, and a timestamp out of nowhere
@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(max_size=40)), max_size=60),
    st.floats(0.0, 0.5),
)
def test_a_lying_sender_costs_bounded_memory_and_work(packets: list[tuple[int, int, bytes]], gap: float) -> None:
    """Authentic packets with any numbers, timestamps and payloads."""
    now = 10.0
    stream = AudioStream(TERMS, Clear(), ssrc=2, cname="s", now=now, wall_offset=WALL, random=Random(1))
    seal = Clear()
    frames = 0
    for sequence, timestamp, payload in packets:
        header = rtp.RtpHeader(111, False, sequence, timestamp, 1)
        stream.on_srtp(seal.seal_rtp(rtp.encode(header, payload)), now)
        now += gap
        polls = 0
        while stream.next_deadline() <= now:
            stream.poll(now)
            polls += 1
            assert polls < 20
        frames += len(stream.take_audio())
        uplink = stream.uplink
        assert len(uplink.buffer._held) <= MAX_HELD
        assert len(uplink.buffer._given_up) <= MAX_HELD + 1
        assert len(uplink.recovery._wanted) <= MAX_WANTED
        assert len(uplink.recovery._given_up) <= MAX_WANTED
    # A packet brings itself, what is concealed before it and a pause; time brings filler of 10 ms a piece or longer.
    assert frames <= len(packets) * (1 + 10 + 50) + len(packets) * gap / 0.01


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(1, 40)),
        st.tuples(st.just("wait"), st.floats(0.0, 1.0)),
        st.tuples(st.just("sleep"), st.floats(0.0, 0.4)),  # the process is held up
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(steps, st.sampled_from([0.0, 0.02, 0.06]), st.sampled_from([0.0, 0.06]), st.sampled_from([120, 960, 2880]))
def test_the_pacer_is_never_earlier_than_its_lead_and_its_time_never_goes_back(
    steps: list[tuple[str, float]], lead: float, prebuffer: float, size: int
) -> None:
    now = 50.0
    playout = Playout(48_000, now, SILENCE, TICKS, lead, prebuffer)
    sent: list[tuple[float, int, int]] = []
    words = said = dropped = 0

    def poll() -> None:
        nonlocal words
        burst = playout.due(now)
        for departure in burst:
            length = TICKS if departure.payload == SILENCE else size
            words += departure.payload != SILENCE
            sent.append((now, departure.position, length))
        assert sum(d.payload != SILENCE for d in burst) * size <= (CATCH_UP + lead + 0.02) * 48_000 + size

    for what, amount in steps:
        if what == "say":
            for _ in range(int(amount)):
                said += playout.enqueue(b"\x48", size, now)
            poll()
        elif what == "flush":
            dropped += round(playout.flush().dropped_ms * 48 / size)
        elif what == "sleep":
            now += amount
            poll()
        else:
            end = now + amount
            while (at := playout.deadline()) <= end:
                now = max(now, at)
                poll()
            now = end
    assert words * size == playout.played
    assert words + dropped + playout.queued // size == said
    for at, position, _ in sent:
        assert at >= playout.epoch + position / 48_000 - lead - 2 / 48_000
    for (_, a, length), (_, b, _) in pairwise(sent):
        assert b >= a + length


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_any_bytes_are_taken_and_only_counted(datagrams: list[bytes]) -> None:
    stream = AudioStream(TERMS, Clear(), ssrc=2, cname="s", now=1.0, wall_offset=WALL, random=Random(1))
    seal = Clear()
    outcomes = []
    for datagram in datagrams:
        outcomes += [stream.on_srtp(datagram, 1.0), stream.on_srtcp(datagram, 1.0)]
        outcomes += [stream.on_srtp(seal.seal_rtp(datagram), 1.0), stream.on_srtcp(seal.seal_rtcp(datagram), 1.0)]
        stream.poll(1.0)
        stream.take_audio()
        stream.take_keys()
    measured = stream.measurements()
    # Each was either authentic or refused before it was opened, for one counted reason.
    sealed_away = [*SealBroken, Unusable.TOO_MANY_SOURCES]
    assert outcomes.count(False) == sum(measured.refused.get(reason, 0) for reason in sealed_away)
    assert measured.uplink.packets <= outcomes.count(True)


@given(st.binary(max_size=4000))
def test_any_script_of_packets_time_and_speech_is_lived_through(script: bytes) -> None:
    media_stream(script)
