"""What the model does with a turn."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Speech:
    """Says something, faster than anybody listens."""

    pcm: bytes
    """16 bit, mono, 24 kHz."""
    transcript: str = "as you wish"
    pace: float = 20.0
    """Seconds of speech a second."""
    piece: float = 0.1
    """Seconds in a delta."""
    late: int = 0
    """Deltas that still come after it was cancelled: they were on the way."""
    lose_after: int | None = None
    """The connection breaks after so many deltas."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Calls a function of the application."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Stall:
    """Begins, and says nothing until it is cancelled."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Sends an error, and nothing else."""

    message: str


Reply = Speech | ToolCall | Stall | Fail
