"""What the operator keeps in sight, and of each kind only what concerns it: what others made would cost memory."""

from typing import Final, NamedTuple

from voicefleet_operator.kube.endpoints import AUTOSCALER, CUSTOM, NODE, OWNED, POD, POD_MONITOR, SECRET, Endpoint
from voicefleet_operator.model.manifest import MANAGED_BY, MANAGER
from voicefleet_operator.model.resources import Installation


class Watched(NamedTuple):
    """One kind that is watched."""

    endpoint: Endpoint
    selector: str = ""
    """Labels that an object must have to be seen."""


_OURS: Final = f"{MANAGED_BY}={MANAGER}"


def watched(here: Installation) -> tuple[Watched, ...]:
    """All kinds that are watched in this cluster."""
    made = [*OWNED.values(), SECRET, *([POD_MONITOR] if here.service_monitors else [])]
    return (
        *(Watched(each) for each in CUSTOM.values()),
        *(Watched(each, _OURS) for each in made),
        Watched(POD, "voicefleet.dev/fleet"),
        Watched(NODE),
        Watched(AUTOSCALER),
    )
