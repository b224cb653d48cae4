"""Does the caller speak now? Sounds in; when speech began and when it was heard last out.

A click is not speech, and the gap before a 't' is not silence: several of the last sounds have to agree.
"""

from collections import deque
from typing import Final

from voicefleet.core.turns.sound import HOP, Sound

_CLEAR: Final = 2.2
"""Decibels of contrast that no noise has for long."""
_SHARE: Final = 0.4
"""Or this share of the speaker's usual contrast, if that is more: others in the room are further away."""
_VOICED: Final = 1.4
"""Decibels that are enough where there is a pitch as well ..."""
_TONAL: Final = 0.15
"""... unless the noise has one too, in more than this share of it."""
_LEARN: Final = 0.04
"""How fast the usual is learned, each 20 ms."""
_OF: Final = 5
_AGREE: Final = 3
"""So many of the last sounds make speech ..."""
_KEEP: Final = 2
"""... and so many keep it going."""


class Activity:
    """Speech and silence of one caller."""

    __slots__ = ("_recent", "_tonal", "_usual", "heard", "speaking", "began", "demand")

    def __init__(self) -> None:
        self._recent: deque[bool] = deque([False] * _OF, maxlen=_OF)
        self._usual = 0.0
        self.demand = 1.0
        """How much more than usual has to stand out to be speech."""
        self._tonal = 2 * _TONAL
        self.speaking = False
        self.began = 0.0
        """When the speech began that is going on, or the last that was."""
        self.heard = 0.0
        """When speech was heard last."""

    def hear(self, sound: Sound, now: float) -> None:
        """The sound that ends now."""
        clear = max(_CLEAR * self.demand, _SHARE * self._usual)
        voiced = sound.pitch > 0
        speech = sound.contrast >= clear or (
            voiced and sound.contrast >= _VOICED * self.demand and self._tonal < _TONAL
        )
        if sound.contrast < clear:
            self._tonal += _LEARN * (voiced - self._tonal)
        recent = self._recent
        recent.append(speech)
        agree = sum(recent)
        if self.speaking:
            if speech:
                self._usual += _LEARN * (sound.contrast - self._usual)
                if agree >= _KEEP:
                    self.heard = now
            elif not agree:
                self.speaking = False
        elif agree >= _AGREE:
            self.speaking = True
            self.heard = now
            self.began = now - HOP * (_OF - recent.index(True))
