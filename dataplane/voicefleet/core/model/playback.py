"""What the caller has heard of what the model said, to the millisecond, so that both remember the same conversation.

Positions are milliseconds of speech since the call began, as the sending clock counts them: what was said lies one
behind the other, and what a flush dropped never was. Told where the clock is, it knows which words that is.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

FRAME_MS: Final = 20.0
"""The sending clock takes whole frames: the end of a turn is filled up with silence."""
_HAIR: Final = 0.01
"""Less than a sample, and more than what sums of fractions are off by."""


class Spoken(NamedTuple):
    """One piece of sound in a conversation: a content part of an item of a response."""

    response: str
    item: str
    content: int


class Cut(NamedTuple):
    """A piece that the caller did not hear to its end."""

    spoken: Spoken
    heard_ms: int


class Phase(Enum):
    """What the caller's side does with a response, named as its `output_audio_buffer` events are."""

    STARTED = "output_audio_buffer.started"
    STOPPED = "output_audio_buffer.stopped"
    CLEARED = "output_audio_buffer.cleared"


class Passed(NamedTuple):
    """A response has got so far."""

    phase: Phase
    response: str


@dataclass(slots=True)
class _Part:
    spoken: Spoken
    start: float
    end: float


class Playback:
    """One call's ledger of what was said and not yet forgotten."""

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque()
        self._end = 0.0
        self._started: str | None = None
        self._open: set[str] = set()
        """Responses that may still say more."""

    @property
    def end(self) -> float:
        """Where the next word will be."""
        return self._end

    @property
    def response(self) -> str | None:
        """Whose words are being heard now, or would be if there were any."""
        return self._parts[0].spoken.response if self._parts else None

    def say(self, spoken: Spoken, length_ms: float) -> None:
        """So much more of this is on its way to the caller."""
        self._open.add(spoken.response)
        last = self._parts[-1] if self._parts else None
        if last is not None and last.spoken == spoken:
            last.end += length_ms
            self._end = last.end
            return
        self._parts.append(_Part(spoken, self._end, self._end + length_ms))
        self._end += length_ms

    def finish(self, response: str) -> None:
        """The response says no more; the last frame is filled up."""
        if response in self._open:
            self._open.discard(response)
            rest = self._end % FRAME_MS
            if _HAIR < rest < FRAME_MS - _HAIR:
                self._end += FRAME_MS - rest

    def advance(self, position: float) -> Iterator[Passed]:
        """What has happened by the time the clock is there."""
        while self._parts:
            part = self._parts[0]
            response = part.spoken.response
            if self._started != response and (position > part.start or part.start == position < part.end):
                self._started = response
                yield Passed(Phase.STARTED, response)
            if position < part.end or (response in self._open and len(self._parts) == 1):
                return
            self._parts.popleft()
            if not self._parts or self._parts[0].spoken.response != response:
                self._open.discard(response)
                self._started = None
                yield Passed(Phase.STOPPED, response)

    def next(self) -> float | None:
        """The position at which `advance` has something to tell; None while more has to be said or finished first."""
        if not self._parts:
            return None
        part = self._parts[0]
        if self._started != part.spoken.response:
            return part.start
        return part.end if len(self._parts) > 1 or part.spoken.response not in self._open else None

    def cut(self, upto: float, played: float) -> list[Cut]:
        """What was said up to there was dropped, except what the clock had `played`; what was said since follows that.

        Returns the pieces that were not heard to their end, in order. What they belong to must not be said on.
        """
        cuts = []
        kept: deque[_Part] = deque()
        shift = max(upto - played, 0.0)
        for part in self._parts:
            if part.start >= upto:
                kept.append(_Part(part.spoken, part.start - shift, part.end - shift))
                continue
            if part.end > played:
                cuts.append(Cut(part.spoken, int(max(played - part.start, 0.0))))
            self._open.discard(part.spoken.response)
        self._parts = kept
        self._end -= shift
        self._started = None
        return cuts
