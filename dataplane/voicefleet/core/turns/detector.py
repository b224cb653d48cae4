"""When a caller's turn begins and when it is over.

Silence alone is a bad judge: half a second of it cuts off whoever thinks in the middle of a sentence, and two seconds
make every answer late. So how long silence has to last depends on how the last phrase ended (`Intonation`) and on the
pauses that this caller went on after. The patience may be changed in the middle of a call.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from voicefleet.core.turns.activity import Activity
from voicefleet.core.turns.intonation import Intonation
from voicefleet.core.turns.sound import Sound

_FINISHED: Final = 0.36
"""Height in the speaker's range at which a phrase sounds finished ..."""
_HANGING: Final = 0.40
"""... and from which it does not."""
_PAUSES: Final = 8
"""Pauses that are remembered of a caller ..."""
_PAUSE: Final = 0.3
"""... none shorter than this, which may be a word that the noise swallowed ..."""
_TELLING: Final = 5
"""... and how many it takes to know the caller by them."""
_LONGER: Final = 1.25
"""How much longer than the longest of them the next may be."""
_LEAST: Final = 0.7
_MOST: Final = 1.4
"""Shares of the set patience within which it follows the caller."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a caller may be silent and keep the turn, in seconds."""

    finished: float = 0.36
    """After a phrase that sounds finished."""
    hanging: float = 1.7
    """After one that does not, or of which nothing is known."""
    cough: float = 0.07
    """Sound that is shorter begins no turn and ends no silence."""
    follows: bool = True
    """Whether the silence after a hanging phrase follows the caller's own pauses."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The caller speaks, since `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller is done, and said the last word at `at`; `silence` is how long it took to be sure."""

    at: float
    silence: float


class TurnDetector:
    """The turns of one caller."""

    __slots__ = ("patience", "_activity", "_intonation", "_pauses", "_in_turn", "_silent_from", "_needed")

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._activity = Activity()
        self._intonation = Intonation()
        self._pauses: deque[float] = deque(maxlen=_PAUSES)
        self._in_turn = False
        self._silent_from: float | None = None
        self._needed = 0.0

    @property
    def in_turn(self) -> bool:
        """Whether the caller has the turn."""
        return self._in_turn

    def demand(self, factor: float) -> None:
        """How much more than usual has to stand out of the noise to be speech."""
        self._activity.demand = factor

    def hear(self, sound: Sound, now: float) -> TurnStarted | TurnEnded | None:
        """The sound that ends now; what it changes."""
        activity = self._activity
        activity.hear(sound, now)
        if activity.speaking:
            if activity.heard == now:
                self._intonation.hear(sound.pitch)
            return self._speech() if activity.heard - activity.began >= self.patience.cough else None
        return self._silence(now) if self._in_turn else None

    def _speech(self) -> TurnStarted | None:
        began = self._activity.began
        if not self._in_turn:
            self._in_turn = True
            return TurnStarted(began)
        if self._silent_from is not None:
            pause = began - self._silent_from
            if pause >= _PAUSE:
                self._pauses.append(pause)
            self._silent_from = None
        return None

    def _silence(self, now: float) -> TurnEnded | None:
        if self._silent_from is None:
            self._silent_from = self._activity.heard
            self._needed = self._silence_needed()
        silence = now - self._silent_from
        if silence < self._needed:
            return None
        ended = TurnEnded(self._silent_from, silence)
        self._in_turn, self._silent_from = False, None
        return ended

    def _silence_needed(self) -> float:
        hanging = self._hanging()
        height = self._intonation.height()
        if height is None:
            return hanging
        share = min(max((height - _FINISHED) / (_HANGING - _FINISHED), 0.0), 1.0)
        return self.patience.finished + share * max(hanging - self.patience.finished, 0.0)

    def _hanging(self) -> float:
        hanging = self.patience.hanging
        if not self.patience.follows or len(self._pauses) < _TELLING:
            return hanging
        return min(max(_LONGER * max(self._pauses), _LEAST * hanging), _MOST * hanging)
