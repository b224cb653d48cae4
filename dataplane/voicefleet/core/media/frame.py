"""Audio as it moves between the network and the agent: one encoded frame, and what is known about it.

The listener is a machine, not a loudspeaker: it needs every word, in order, and does not need a steady clock. So a
frame is handed over as soon as its turn comes, and a frame that is not a word (concealed, comfort, stalled) says so.
"""

from enum import Enum
from typing import NamedTuple


class FrameKind(Enum):
    """Where a frame comes from; only `HEARD` carries what the caller said."""

    HEARD = 0
    """Arrived, directly or by redundancy or by retransmission. Each exactly once, in the order it was said."""
    CONCEALED = 1
    """Lost for good. `payload` is empty; `recovery` may hold the next frame, whose in-band FEC describes this one."""
    COMFORT = 2
    """The sender paused (DTX): silence that was never sent, filled in so that the agent's time goes on."""
    STALLED = 3
    """Nothing arrives although the sender did not pause. Late audio still follows as `HEARD`: no word is given up."""


class AudioFrame(NamedTuple):
    """One frame of the caller's audio (a tuple, because fifty of them are made per call and second)."""

    kind: FrameKind
    payload: bytes
    """The encoded frame; empty unless `HEARD`."""
    timestamp: int
    """Media time in the codec's clock; grows without wrapping, does not start at zero."""
    samples: int
    """Duration in the codec's clock."""
    captured: float
    """When it was said, on our monotonic clock, less the shortest network delay seen (which nobody can know)."""
    recovery: bytes = b""
