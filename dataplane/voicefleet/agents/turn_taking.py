"""Whose turn it is on a call, by our own ear: the caller's sound in, turns out, and the sound of each turn kept.

All moments are seconds of the caller's sound since it began: so a client that sends faster than it speaks is understood
as well as one on a line. The rules may be changed at any moment.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from voicefleet.agents.ear import Ear
from voicefleet.core.turns.detector import TurnDetector, TurnEnded, TurnStarted
from voicefleet.core.turns.rules import Mode, TurnRules
from voicefleet.core.turns.sound import HOP

BEFORE: Final = 6.0
"""Seconds that are kept while nobody speaks: the longest prefix, and how long a word is in being noticed."""
LONGEST: Final = 120.0
"""Seconds of a turn that are kept: what was said before is forgotten first."""


class Piece(NamedTuple):
    """Some of the caller's sound, as it was encoded or decoded."""

    at: float
    sound: bytes


class TurnTaking:
    """One caller."""

    def __init__(self, rate: int, rules: TurnRules) -> None:
        self.at = 0.0
        """Seconds that were heard."""
        self._ear = Ear(rate)
        self._detector = TurnDetector(rules.patience)
        self._pieces: deque[Piece] = deque()
        self._hops = 0
        self._from = 0.0
        self.rules = rules
        self.follow(rules)

    def follow(self, rules: TurnRules) -> None:
        """These rules from now on."""
        if self.rules.mode is Mode.PUSH_TO_TALK and rules.mode is not Mode.PUSH_TO_TALK:
            self._from = self.at
        if self.rules.mode is not Mode.PUSH_TO_TALK and rules.mode is Mode.PUSH_TO_TALK:
            self._detector = TurnDetector(rules.patience)
        self.rules = rules
        self._detector.patience = rules.patience
        self._detector.demand(rules.demand)

    def hear(self, sound: bytes, pcm: bytes, seconds: float) -> Iterator[TurnStarted | TurnEnded]:
        """A piece of sound, and the same as PCM; what it changes."""
        self._pieces.append(Piece(self.at, sound))
        self.at += seconds
        by_hand = self.rules.mode is Mode.PUSH_TO_TALK
        for heard in self._ear.listen(pcm):
            self._hops += 1
            if by_hand:
                continue
            turn = self._detector.hear(heard, self._hops * HOP)
            if isinstance(turn, TurnStarted):
                self._from = max(self._from, turn.at - self.rules.prefix)
            if turn is not None:
                yield turn
        keep_from = max(self._from, self.at - LONGEST) if by_hand or self._detector.in_turn else self.at - BEFORE
        while self._pieces and self._pieces[0].at < keep_from:
            self._pieces.popleft()

    @property
    def begins(self) -> float:
        """Where the turn that is going on begins, with its prefix."""
        return self._from

    def take(self) -> list[bytes]:
        """The sound of the turn that is over, or of what was heard since the last commit; it is forgotten here."""
        taken = [piece.sound for piece in self._pieces if piece.at >= self._from - HOP / 2 and piece.sound]
        self.forget()
        return taken

    def forget(self) -> None:
        """Nothing that was heard so far is of a turn."""
        self._pieces.clear()
        self._from = self.at
