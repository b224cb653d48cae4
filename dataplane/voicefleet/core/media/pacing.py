"""The downlink's clock: what the agent says queues here and leaves on time, with timestamps that tell the truth.

Media time is a straight line: position p (in clock units) is played at `epoch + p / rate`, always, also across silence.
So a sender report's NTP mapping is exact, and a pause in the agent's speech is a jump in timestamps as long as it.
A frame leaves at most `lead` before its time. A source that comes later than that, because it speaks in real time or
falters, spends of the lead what it is late, once: from then on its frames leave evenly again, by so much closer to
their time. (If each frame kept to the lead, the first of each piece would be late anew.) A talk begins with the whole
lead. When there is nothing to say, a few frames of silence end the talk (else
the listener's concealment would stretch the last syllable), then one every 400 ms keeps the path and its statistics
alive. `flush` drops what has not left; what has left is `played`, to the sample: the listener will hear it.
"""

from collections import deque
from math import ceil
from typing import Final, NamedTuple

CAPACITY: Final = 60.0
"""Seconds of audio that may wait: a model speaks faster than it is listened to."""
LEAD: Final = 0.020
"""One frame ahead, so that a late wake-up of this process is not heard. It can't be taken back by a flush."""
DRY: Final = 0.020
"""The talk goes on when the next frame comes at most this much after its time."""
CATCH_UP: Final = 0.100
"""Further behind than this, the clock slips instead of sending all that is late in one burst."""
CLOSING: Final = 5
"""Frames of silence that end a talk: 100 ms, longer than a listener's concealment needs to fade."""
KEEP_ALIVE: Final = 0.4
"""Seconds between frames of silence afterwards, as Opus DTX has it."""


class Departure(NamedTuple):
    """One frame that leaves now."""

    payload: bytes
    position: int
    """Media time; its low 32 bits plus the sender's random start are the RTP timestamp."""
    marker: bool
    """First of a talk (RFC 3551, 4.1)."""
    late: float
    """Seconds after the moment at which it should have left."""


class Flushed(NamedTuple):
    """What a flush found."""

    played_ms: float
    """Said since the call began, to the sample; on its way it can't be taken back."""
    dropped_ms: float


class Playout:
    """One call's downlink queue. Not paced by calls of `due`, but by `now`: a late call sends what was due."""

    __slots__ = (
        "_ahead",
        "_available",
        "_closing",
        "_idle_at",
        "_inverse",
        "_marker",
        "_next",
        "_prebuffer",
        "_queue",
        "_rate",
        "_silence",
        "_silence_samples",
        "_waiting_since",
        "epoch",
        "lead",
        "played",
        "playing",
        "queued",
        "slips",
        "talks",
    )

    def __init__(
        self,
        clock_rate: int,
        now: float,
        silence: bytes,
        silence_samples: int,
        lead: float = LEAD,
        prebuffer: float = 0.0,
    ) -> None:
        """`prebuffer`: a source that speaks in real time and not steadily (an echo) starts with so much in hand."""
        self._rate = clock_rate
        self._inverse = 1.0 / clock_rate
        self.epoch = now
        self.lead = lead
        self._prebuffer = prebuffer
        self._silence = silence
        self._silence_samples = silence_samples
        self._queue: deque[tuple[bytes, int]] = deque()
        self._next = 0
        self._ahead = lead
        """What the talk has left of the lead; below 0 its frames leave after their time."""
        self.playing = self._marker = False
        """`playing`: a talk goes on, so what is queued leaves on the clock."""
        self._closing = 0
        self._idle_at = now
        self._waiting_since = self._available = now
        self.queued = 0
        """Samples that wait."""
        self.played = 0
        """Samples of the agent's audio that have left."""
        self.slips = self.talks = 0

    def enqueue(self, payload: bytes, samples: int, now: float) -> bool:
        """Queue a frame; false, and not queued, when 60 s wait already."""
        if self.queued + samples > CAPACITY * self._rate:
            return False
        if not self._queue:
            self._waiting_since = self._available = now
            if self.playing:
                left = self.epoch + self._next * self._inverse - now
                self._ahead = min(self._ahead, max(left, -DRY))
        elif not self.playing and self.queued * self._inverse < self._prebuffer:
            self._available = now
        self._queue.append((payload, samples))
        self.queued += samples
        return True

    def flush(self) -> Flushed:
        """Drop what waits; the talk ends with what has left."""
        dropped = self.queued
        self._queue.clear()
        self.queued = 0
        return Flushed(self.played * 1000 / self._rate, dropped * 1000 / self._rate)

    @property
    def played_ms(self) -> float:
        """Milliseconds of the agent's audio that have left."""
        return self.played * 1000 / self._rate

    @property
    def queued_ms(self) -> float:
        """Milliseconds of the agent's audio that wait."""
        return self.queued * 1000 / self._rate

    def position(self, now: float) -> int:
        """Media time that is `now`; the next whole sample."""
        return ceil((now - self.epoch) * self._rate)

    def deadline(self) -> float:
        """When `due` has something to send."""
        if self._queue:
            if self.playing:
                return self.epoch + self._next * self._inverse - self._ahead
            start = self._start()
            return start if self._closing == 0 else min(start, self.epoch + self._next * self._inverse)
        if self.playing:
            return self.epoch + self._next * self._inverse + DRY
        return self.epoch + self._next * self._inverse if self._closing else self._idle_at

    def due(self, now: float) -> list[Departure]:
        """The frames that leave now, in order."""
        departures: list[Departure] = []
        while True:
            if self._queue and (self.playing or now >= self._start()):
                if not self.playing:
                    self._begin_talk(now)
                at = self.epoch + self._next * self._inverse - self._ahead
                if now < at:
                    return departures
                if now - at > CATCH_UP:
                    self.slips += 1
                    self._next = max(self._next, self.position(now))
                payload, samples = self._queue.popleft()
                late = now - (at if at > self._available else self._available)
                departures.append(Departure(payload, self._next, self._marker, late))
                self._marker = False
                self._next += samples
                self.queued -= samples
                self.played += samples
            elif not self._silence_due(now, departures):
                return departures

    def _begin_talk(self, now: float) -> None:
        self._available = max(self._available, self._start())
        self._next = max(self._next, self.position(now))
        self._ahead = self.lead
        self.playing = self._marker = True
        self.talks += 1

    def _start(self) -> float:
        """When a talk may start with what is queued."""
        if self.queued * self._inverse >= self._prebuffer:
            return self._available
        return self._waiting_since + self._prebuffer

    def _silence_due(self, now: float, departures: list[Departure]) -> bool:
        """One step of what happens while there is nothing to say; whether there was one to take."""
        at = self.epoch + self._next * self._inverse
        if self.playing:
            if now < at + DRY:
                return False
            self.playing = False
            self._closing = CLOSING
            return True
        if self._closing:
            if now < at:
                return False
            self._closing -= 1
            if now - at > CATCH_UP:
                self._next = self.position(now)
        else:
            if now < self._idle_at:
                return False
            self._next = max(self._next, self.position(now))
        departures.append(Departure(self._silence, self._next, False, 0.0))
        self._next += self._silence_samples
        self._idle_at = now + KEEP_ALIVE
        return True
