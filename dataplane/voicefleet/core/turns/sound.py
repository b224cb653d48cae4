"""What turn-taking knows of 20 ms of a caller's sound: two numbers, whatever measured them."""

from typing import Final, NamedTuple

HOP: Final = 0.02
"""Seconds of a caller's sound that one `Sound` tells of."""


class Sound(NamedTuple):
    """Twenty milliseconds, as an ear measures them."""

    contrast: float
    """Decibels by which the bands of speech stand out of what they hold when nobody speaks."""
    pitch: float
    """Hertz of the voice; 0 where there is none, as in silence, noise and an 's'."""
