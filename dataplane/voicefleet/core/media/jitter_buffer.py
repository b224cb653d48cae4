"""The jitter buffer: packets in any order in, each frame at most once and in order out.

Made for a listener that is a machine. Audio in order is handed over at once, without the playout delay that a
loudspeaker needs; only audio behind a gap waits, `wait` seconds from its own arrival and never longer (when `poll` is
called at `deadline()`). What comes in order is never thrown away, however late it is. Time in which nothing can be
handed over (a pause of the sender, a stalled network) is filled with frames that say so, so that an agent which listens
for silence hears it.

Sequence numbers are extended ones. Nothing here reads the payload; durations come from `samples_of`. Memory is bounded
by MAX_HELD frames.
"""

from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.patience import CONVERSATIONAL, Profile

MAX_HELD: Final = 256
"""Frames behind gaps: `accurate` needs 15 at 20 ms each; the rest is room for bursts."""
MAX_JUMP: Final = 500
"""A gap of more packets (10 s) is a new beginning, not a loss to be concealed."""
MAX_CONCEALED: Final = 10
"""Concealment of a longer gap (200 ms) would invent speech; the rest is skipped."""
MAX_COMFORT: Final = 50
"""Comfort frames for one hole in the timestamps: a sender with DTX speaks up every 400 ms."""
COMFORT_MARGIN: Final = 0.06
"""Comfort is given out this much after its time, so that audio which ends a pause comes first nearly always."""
STALL_LASTS: Final = 5.0
"""Filler stops after so long: either the caller turned the microphone off, or consent will end the call."""

_ANCHOR_WINDOW: Final = 10.0
"""The shortest transit is forgotten after one to two of these: clocks drift, paths change."""

_HEARD, _CONCEALED, _COMFORT, _STALLED = FrameKind
_new = tuple.__new__


class _Held(NamedTuple):
    arrival: float
    timestamp: int
    payload: bytes


class JitterBuffer:
    """One caller's packets on their way to the agent. `ready` fills with frames; the owner empties it."""

    __slots__ = (
        "_anchor",
        "_anchor_next",
        "_anchor_until",
        "_expected",
        "_filled",
        "_given_up",
        "_held",
        "_inverse",
        "_last_arrival",
        "_least",
        "_samples",
        "_samples_of",
        "_is_pause",
        "comfort",
        "concealed",
        "concealments",
        "delay_max",
        "delay_sum",
        "duplicates",
        "heard",
        "late",
        "malformed",
        "pausing",
        "profile",
        "ready",
        "restarts",
        "skipped",
        "stalled",
        "timeline",
        "wait",
    )

    def __init__(
        self,
        clock_rate: int,
        samples_of: Callable[[bytes], int],
        is_pause: Callable[[bytes], bool],
        profile: Profile = CONVERSATIONAL,
    ) -> None:
        self.profile = profile
        self.wait = profile.limit
        """How long audio behind a gap waits; the owner sets what `patience` says."""
        self.ready: list[AudioFrame] = []
        self._samples_of = samples_of
        self._is_pause = is_pause
        self._inverse = 1.0 / clock_rate
        self._held: dict[int, _Held] = {}  # by arrival: a dict keeps the order of insertion
        self._given_up: dict[int, None] = {}
        self._expected = -1
        self.timeline = 0
        """Media time at which the next frame is expected to start."""
        self._samples = clock_rate // 50
        self._least = clock_rate // 100  # filler in smaller pieces would let a sender of tiny frames make us work
        self.pausing = False
        """The sender has said that it will be silent for a while."""
        self._filled = 0.0
        self._last_arrival = 0.0
        self._anchor = self._anchor_next = float("inf")
        self._anchor_until = 0.0
        self.heard = self.concealed = self.comfort = self.stalled = 0
        self.concealments = 0
        """Gaps that were concealed; `concealed` counts their frames."""
        self.late = self.duplicates = self.restarts = self.malformed = 0
        self.skipped = 0
        """Samples of media time that no frame was given for."""
        self.delay_sum = self.delay_max = 0.0
        """Seconds between a frame's arrival and its handing over, over all frames heard."""

    @property
    def expected(self) -> int:
        """The sequence number whose turn it is, -1 before the first packet."""
        return self._expected

    def wants(self, sequence: int) -> bool:
        """Whether a packet with this number would still be of use."""
        return sequence >= self._expected and sequence not in self._held

    def begin_again(self, now: float) -> None:
        """Another source goes on where this one stops: what is held goes out, the next packet begins a new order."""
        if self._expected >= 0:
            self._release_until(None, now)
            self._expected = -1
            self.restarts += 1

    def pause(self) -> None:
        """The sender said that it will be silent for a while by other means than a frame (RFC 3389 comfort noise)."""
        self.pausing = True

    def insert(self, sequence: int, timestamp: int, payload: bytes, now: float, sent: bool = True) -> None:
        """Take a packet. An empty `payload` fills its place in the order and is no audio (an event, padding).

        `sent` is false for a frame that was found inside a later packet: its arrival says nothing about transit.
        """
        if sent:
            transit = now - timestamp * self._inverse
            if now >= self._anchor_until:
                self._anchor, self._anchor_next = min(self._anchor_next, transit), transit
                self._anchor_until = now + _ANCHOR_WINDOW
            elif transit < self._anchor_next:
                self._anchor_next = transit
                if transit < self._anchor:
                    self._anchor = transit
            elif transit > self._anchor + _ANCHOR_WINDOW:
                self._anchor = self._anchor_next = transit  # the sender's timestamps jumped
        self._last_arrival = now
        if sequence == self._expected:
            self._expected = sequence + 1
            if payload:
                self._hand_over(timestamp, payload, now, now)
            if self._held:
                self._hand_over_run(now)
            return
        if self._expected < 0:
            self._begin(sequence, timestamp, payload, now)
        elif sequence < self._expected:
            if sequence in self._given_up:
                del self._given_up[sequence]
                self.late += 1
            else:
                self.duplicates += 1
        elif sequence in self._held:
            self.duplicates += 1
        elif sequence - self._expected > MAX_JUMP:
            self.restarts += 1
            self._release_until(None, now)
            self._begin(sequence, timestamp, payload, now)
        else:
            self._held[sequence] = _Held(now, timestamp, payload)
            if len(self._held) > MAX_HELD:
                self._release_until(next(iter(self._held)), now)

    def deadline(self) -> float:
        """When `poll` has something to do, infinity if only a packet can change anything."""
        if self._held:
            return next(iter(self._held.values())).arrival + self.wait
        if self._expected < 0 or self._filled > STALL_LASTS:
            return float("inf")
        if self.pausing:
            due = self._anchor + (self.timeline + self._samples) * self._inverse + COMFORT_MARGIN
            return max(due, self._last_arrival + self._filled)  # never faster than time itself, whatever a sender says
        return self._last_arrival + self.profile.stall + self._filled

    def poll(self, now: float) -> None:
        """Conceal what has been waited for long enough, and fill time in which nothing came."""
        while self._held:
            oldest, held = next(iter(self._held.items()))
            if held.arrival + self.wait > now:
                return
            self._release_until(oldest, now)
        while self.deadline() <= now:
            if self.pausing:
                self._give(_COMFORT, self.timeline, self._samples)
                self.comfort += 1
            else:
                self._give(_STALLED, self.timeline, self._samples)
                self.stalled += 1
            self._filled += self._samples * self._inverse
            self.timeline += self._samples

    def _begin(self, sequence: int, timestamp: int, payload: bytes, now: float) -> None:
        self._expected = sequence + 1
        self.timeline = timestamp
        self._given_up.clear()
        self._anchor = self._anchor_next = now - timestamp * self._inverse
        self._anchor_until = now + _ANCHOR_WINDOW
        if payload:
            self._hand_over(timestamp, payload, now, now)

    def _release_until(self, last: int | None, now: float) -> None:
        """Hand over everything up to `last` (all, if None) and conceal the gaps before it."""
        for sequence in sorted(self._held):
            if last is not None and sequence > last:
                break
            held = self._held.pop(sequence)
            missing = sequence - self._expected
            if missing:
                self._conceal(missing, held)
            self._expected = sequence + 1
            if held.payload:
                self._hand_over(held.timestamp, held.payload, held.arrival, now)
        self._hand_over_run(now)

    def _hand_over_run(self, now: float) -> None:
        held = self._held
        while (following := held.pop(self._expected, None)) is not None:
            self._expected += 1
            if following.payload:
                self._hand_over(following.timestamp, following.payload, following.arrival, now)

    def _hand_over(self, timestamp: int, payload: bytes, arrival: float, now: float) -> None:
        samples = self._samples_of(payload)
        if not samples:
            self.malformed += 1
            return
        if timestamp != self.timeline:
            self._bridge(timestamp - self.timeline)
        # NamedTuple's constructor would cost twice as much, fifty times a second and call.
        self.ready.append(
            _new(AudioFrame, (_HEARD, payload, timestamp, samples, self._anchor + timestamp * self._inverse, b""))
        )
        self._samples = samples if samples > self._least else self._least
        self.timeline = timestamp + samples
        self.pausing = self._is_pause(payload)
        self._filled = 0.0
        self.heard += 1
        delay = now - arrival
        if delay > 0.0:
            self.delay_sum += delay
            if delay > self.delay_max:
                self.delay_max = delay

    def _bridge(self, hole: int) -> None:
        """Fill a hole in the timestamps that no packet is missing from: a pause. Filler is overtaken silently."""
        if hole <= 0:
            return
        for _ in range(min(hole // self._samples, MAX_COMFORT)):
            self._give(_COMFORT, self.timeline, self._samples)
            self.comfort += 1
            self.timeline += self._samples
            hole -= self._samples
        self.skipped += hole

    def _conceal(self, missing: int, following: _Held) -> None:
        """Stand in for packets that will not come; the last may be rebuilt from the one that follows."""
        first = self._expected
        for sequence in range(max(first, first + missing - MAX_HELD), first + missing):
            self._given_up[sequence] = None
        for stale in list(islice(self._given_up, max(0, len(self._given_up) - MAX_HELD))):
            del self._given_up[stale]
        hole = following.timestamp - self.timeline
        frames = min(missing, hole // self._samples, MAX_CONCEALED) if following.payload else 0
        if frames <= 0:
            return
        self.concealments += 1
        self.concealed += frames
        if self.pausing:
            # The pause comes first: what is missing is the beginning of the words that follow.
            self._bridge(hole - frames * self._samples)
        for remaining in range(frames, 0, -1):
            if remaining == 1:
                last = following.timestamp - self._samples
                self.skipped += last - self.timeline
                self.timeline = last
            self._give(_CONCEALED, self.timeline, self._samples, following.payload if remaining == 1 else b"")
            self.timeline += self._samples

    def _give(self, kind: FrameKind, timestamp: int, samples: int, recovery: bytes = b"") -> None:
        captured = self._anchor + timestamp * self._inverse
        self.ready.append(AudioFrame(kind, b"", timestamp, samples, captured, recovery))
