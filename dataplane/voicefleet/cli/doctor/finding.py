"""What an examination says."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it is."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """It could not be examined."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined."""

    about: str
    state: State
    what: str
    mend: str = ""
    """What to do; said of everything that is bad."""


def good(about: str, what: str) -> Finding:
    """As it should be."""
    return Finding(about, State.GOOD, what)


def bad(about: str, what: str, mend: str) -> Finding:
    """Not as it should be."""
    return Finding(about, State.BAD, what, mend)


def unknown(about: str, what: str) -> Finding:
    """Nobody can say."""
    return Finding(about, State.UNKNOWN, what)
