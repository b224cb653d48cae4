"""How long the jitter buffer waits for a packet that is missing: the two profiles, and what they make of the path.

Pure: the same path and the same profile give the same patience. It only decides how long audio *behind* a gap waits;
audio in order never waits at all.
"""

from dataclasses import dataclass
from typing import Final

FLOOR: Final = 0.02
"""One frame: a packet that was overtaken on the way usually comes right after the one that overtook it."""
HEADROOM: Final = 1.5
"""The latest packets are the rarest: what was seen lately is less than what will come."""
MARGIN: Final = 0.01
"""For the sender to notice and answer, beyond the round trip."""
FIRST_GUESS: Final = 0.1
"""Round trip that is assumed before one was measured."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What matters more on this call, an answer soon or every word; may be changed while the call lives."""

    name: str
    limit: float
    """No frame waits longer than this behind a gap, in seconds."""
    stall: float
    """After so much silence on the wire from a sender that did not pause, the agent gets filler frames."""


CONVERSATIONAL: Final = Profile("conversational", limit=0.060, stall=0.4)
"""For talk: an answer soon."""
ACCURATE: Final = Profile("accurate", limit=0.300, stall=0.8)
"""For dictation, numbers and names: every word."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known about getting a missing packet after all."""

    reordering: float
    """How late overtaken packets came recently, in seconds."""
    retransmits: bool
    """NACK is sent, and the peer has not shown that it ignores it."""
    round_trip: float | None
    guard: float = 0.0
    """How long a packet may be overdue before it is asked for."""


def patience(profile: Profile, outlook: Outlook) -> float:
    """Seconds that audio behind a gap waits before the gap is concealed.

    Waiting only buys something while the packet can still come: as long as packets overtake each other, and for a round
    trip if the peer sends again. Where one round trip is longer than the profile's limit, waiting for it would cost the
    caller time and never bring a word back, so it is not done.
    """
    wait = max(FLOOR, HEADROOM * outlook.reordering)
    if outlook.retransmits:
        attempt = outlook.guard + (FIRST_GUESS if outlook.round_trip is None else outlook.round_trip) + MARGIN
        if outlook.round_trip is None or attempt <= profile.limit:
            return profile.limit  # time for as many attempts as fit: only what fails them all waits so long
    return min(wait, profile.limit)
