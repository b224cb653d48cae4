"""How long a caller waits for an answer, stage by stage, and which stage took more than it may.

A turn begins with the caller's last word and ends with the first of the answer's sound at the caller's ear. `TurnMeter`
is told what happens, by whoever sees it, in any order that a conversation can have; a turn that is interrupted, or that
nobody answers, is not measured.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

_HEARD: Final = 250
"""Pieces of sound whose way is remembered: 5 s, longer than any silence that ends a turn."""


class Stage(StrEnum):
    """What a turn consists of, in this order."""

    CAPTURE = "capture"
    """From the caller's mouth to us: network, waiting for lost packets, decoding."""
    END_OF_TURN = "end_of_turn"
    """The silence that it took to be sure."""
    TRANSCRIPTION = "transcription"
    """Until the model knew the words; only if it said so before it answered."""
    TEXT = "text"
    """Until the first word of the answer; only if the model shows its words."""
    SPEECH = "speech"
    """Until the first of its sound."""
    QUEUE = "queue"
    """Until that left us."""
    NETWORK_DOWN = "network_down"
    """Until it reached the caller."""


class Share(StrEnum):
    """A part of the budget."""

    MICROPHONE = "microphone"
    TRANSCRIPTION = "transcription"
    MODEL = "model"
    SPEECH = "speech"
    TOTAL = "total"


_SHARES: Final[Mapping[Share, tuple[Stage, ...]]] = {
    Share.MICROPHONE: (Stage.CAPTURE,),
    Share.TRANSCRIPTION: (Stage.END_OF_TURN, Stage.TRANSCRIPTION),
    Share.MODEL: (Stage.TEXT,),
    Share.SPEECH: (Stage.SPEECH, Stage.QUEUE, Stage.NETWORK_DOWN),
}
_SPEAKS_AT_ONCE: Final[Mapping[Share, tuple[Stage, ...]]] = {
    **_SHARES,
    Share.MODEL: (Stage.SPEECH,),
    Share.SPEECH: (Stage.QUEUE, Stage.NETWORK_DOWN),
}
"""Of a model whose sound comes no later than its words: there is nothing between the two."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What each share may take, in seconds."""

    microphone: float = 0.04
    transcription: float = 0.3
    model: float = 0.4
    speech: float = 0.15
    total: float = 0.8

    def of(self, share: Share) -> float:
        """One of them."""
        limit: float = getattr(self, share.value)
        return limit


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """One turn; seconds of each stage that is known."""

    item_id: str
    stages: Mapping[Stage, float]

    @property
    def total(self) -> float:
        """What the caller waited."""
        return sum(self.stages.values())

    def shares(self) -> dict[Share, float]:
        """What each share of the budget took."""
        shares = _SHARES if Stage.TEXT in self.stages else _SPEAKS_AT_ONCE
        taken = {
            share: sum(self.stages[stage] for stage in stages if stage in self.stages)
            for share, stages in shares.items()
        }
        return {**taken, Share.TOTAL: self.total}

    def overruns(self, budget: Budget) -> tuple[Share, ...]:
        """The shares that took more than they may."""
        return tuple(share for share, taken in self.shares().items() if taken > budget.of(share))


TURN_EVENT: Final = "voicefleet.turn"
"""Type of the event that tells a turn's times."""


def turn_event(times: TurnTimes, budget: Budget) -> dict[str, Any]:
    """A turn as clients are told of it: milliseconds by stage, what each share took and may take, and what was over."""
    return {
        "type": TURN_EVENT,
        "item_id": times.item_id,
        "stages": {stage.value: _ms(seconds) for stage, seconds in times.stages.items()},
        "shares": {
            share.value: {"ms": _ms(taken), "budget_ms": _ms(budget.of(share))}
            for share, taken in times.shares().items()
        },
        "total_ms": _ms(times.total),
        "overruns": [share.value for share in times.overruns(budget)],
    }


class TurnMeter:
    """Watches the turns of one call. All moments are on one monotonic clock."""

    __slots__ = ("_audio_at", "_ended_at", "_item", "_said_at", "_text_at", "_transcribed_at", "_way")

    def __init__(self) -> None:
        self._way: deque[tuple[float, float]] = deque(maxlen=_HEARD)
        self._reset()

    def _reset(self) -> None:
        self._item = ""
        self._said_at: float | None = None
        self._ended_at: float | None = None
        self._transcribed_at: float | None = None
        self._text_at: float | None = None
        self._audio_at: float | None = None

    @property
    def awaits_audio(self) -> bool:
        """Whether the next sound of the agent answers a turn."""
        return self._ended_at is not None and self._audio_at is None

    def heard(self, captured: float, now: float) -> None:
        """A piece of the caller's sound is here."""
        self._way.append((captured, now))

    def began(self) -> None:
        """The caller speaks (again): what was waited for is not any more."""
        self._reset()

    def last_word(self, ago: float) -> None:
        """So long before the newest sound the caller said the last word, for whoever knows; told before `ended`."""
        if self._way:
            self._said_at = self._way[-1][0] - ago

    def ended(self, item_id: str, now: float, silence: float | None = None) -> None:
        """The caller's turn is over; `silence` is how long that took to be seen, where the last word is not known."""
        if self._ended_at is not None:
            return
        self._item, self._ended_at = item_id, now
        if self._said_at is None and silence is not None:
            self._said_at = self._captured_at(now - silence)

    def transcribed(self, now: float) -> None:
        """The words of the turn are known."""
        if self._ended_at is not None and self._text_at is None and self._audio_at is None:
            self._transcribed_at = now

    def text(self, now: float) -> None:
        """A word of the answer is known."""
        if self._ended_at is not None and self._text_at is None and self._audio_at is None:
            self._text_at = now

    def audio(self, now: float) -> None:
        """Sound of the answer is here."""
        if self.awaits_audio:
            self._audio_at = now

    def left(self, now: float, one_way: float | None) -> TurnTimes | None:
        """The first of the answer's sound has left; the turn that this completes. `one_way` is the network's delay."""
        ended, audio = self._ended_at, self._audio_at
        if ended is None or audio is None:
            return None
        stages: dict[Stage, float] = {}
        if self._said_at is not None:
            arrived = min(self._arrived_at(self._said_at), ended)
            stages[Stage.CAPTURE] = max(0.0, arrived - self._said_at) + (one_way or 0.0)
            stages[Stage.END_OF_TURN] = ended - arrived
        before = ended
        for stage, moment in (
            (Stage.TRANSCRIPTION, self._transcribed_at),
            (Stage.TEXT, self._text_at),
            (Stage.SPEECH, audio),
            (Stage.QUEUE, now),
        ):
            if moment is not None:
                stages[stage] = max(0.0, moment - before)
                before = max(before, moment)
        if one_way is not None:
            stages[Stage.NETWORK_DOWN] = one_way
        times = TurnTimes(self._item, stages)
        self._reset()
        return times

    def _arrived_at(self, captured: float) -> float:
        """When what was said then came here; then, if nothing is known of it."""
        for said, arrived in self._way:
            if said >= captured:
                return arrived
        return captured

    def _captured_at(self, arrived: float) -> float:
        """When what came here then was said."""
        for said, came in reversed(self._way):
            if came <= arrived:
                return said
        return arrived


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
