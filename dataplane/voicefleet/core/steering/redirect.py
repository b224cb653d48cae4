"""Whether a client is sent to the signaling of another region: only where that is much nearer, and never twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voicefleet.core.place import Place, distance_km
from voicefleet.core.steering.belief import MS_PER_KM
from voicefleet.core.steering.policy import Policy
from voicefleet.core.steering.relay_choice import RelayChoice

WORTH_MS: Final = 30.0
"""A redirection costs the client about two round trips, once; it must be worth that within the first turn."""


@dataclass(frozen=True, slots=True)
class OtherRegion:
    """Another region of the fleet with a directory of its own, and where its signaling answers."""

    region: str
    url: str
    place: Place


def better_region(
    choice: RelayChoice, others: Sequence[OtherRegion], own_region: str, policy: Policy
) -> OtherRegion | None:
    """The region that should have this call; None where it is well here."""
    allowed = [other for other in others if policy.allows(other.region) and other.region != own_region]
    if not allowed or choice.belief.place is None:
        return None
    here = min((pool.milliseconds for pool in choice.pools), default=float("inf"))

    def expected(other: OtherRegion) -> float:
        assert choice.belief.place is not None
        return choice.belief.access_ms + MS_PER_KM * distance_km(choice.belief.place, other.place)

    best = min(allowed, key=expected)
    return best if expected(best) + WORTH_MS < here else None
