"""Does it sound finished? A speaker who is done lets the voice fall to the bottom of its range; one who only stops to
think leaves it hanging above, or draws it out. Pitches in, one number out; where the bottom is, each speaker tells."""

from collections import deque
from math import log2
from typing import Final

_REMEMBERED: Final = 250
"""Pitches (5 s of voice) that make a speaker's range."""
_LEAST: Final = 12
"""Pitches below which nothing is known of the range."""
_JUMP: Final = 9.0
"""Semitones from the usual that no voice leaps: the ear was an octave wrong, or it was somebody else."""
_BOTTOM: Final = 0.08
_TOP: Final = 0.92
"""Shares of the pitches that lie outside the range."""
_BELOW: Final = 6.0
"""Semitones below the usual at which the bottom is taken to be before it was heard ..."""
_KNOWN: Final = 100
"""... which counts like so many pitches: one phrase does not show how low a voice goes."""
_NARROW: Final = 3.0
"""Semitones that the range has at least: within less, high and low mean nothing."""
_LAST: Final = 3
"""Pitches that make the end of a phrase."""


class Intonation:
    """One speaker's voice."""

    __slots__ = ("_pitches",)

    def __init__(self) -> None:
        self._pitches: deque[float] = deque(maxlen=_REMEMBERED)

    def hear(self, pitch: float) -> None:
        """The pitch of 20 ms of speech, in hertz."""
        if pitch > 0:
            self._pitches.append(12 * log2(pitch))

    def height(self) -> float | None:
        """Where in the speaker's range the last phrase ended: 0 at the bottom, 1 at the top; None if nobody knows."""
        if len(self._pitches) < _LEAST:
            return None
        ordered = sorted(self._pitches)
        usual = ordered[len(ordered) // 2]
        ordered = [pitch for pitch in ordered if abs(pitch - usual) < _JUMP]
        bottom = ordered[int(_BOTTOM * (len(ordered) - 1))]
        top = ordered[int(_TOP * (len(ordered) - 1))]
        unknown = _KNOWN / (_KNOWN + len(ordered))
        bottom = min(bottom, bottom + unknown * (usual - _BELOW - bottom))
        last: list[float] = []
        for pitch in reversed(self._pitches):
            if abs(pitch - usual) < _JUMP:
                last.append(pitch)
            if len(last) == _LAST:
                break
        return (sum(last) / len(last) - bottom) / max(top - bottom, _NARROW)
