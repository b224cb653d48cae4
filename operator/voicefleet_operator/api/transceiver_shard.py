"""TransceiverShard: the pods that own calls, in one region."""

from typing import Annotated

from pydantic import Field

from voicefleet_operator.api.conditions import Condition
from voicefleet_operator.api.parts import Drain, Location, Part, Placement, spelled
from voicefleet_operator.api.spelling import CountOrPercent, Duration, Immutable, KeyedBy, Region, ShortName


class Rollout(Part):
    """How new pods replace old ones. Old pods take no more calls and go when theirs have ended."""

    max_surge: CountOrPercent = spelled("25%")
    """Pods above the wanted number while it goes on."""
    max_unavailable: CountOrPercent = spelled(0)
    """Pods below the wanted number while it goes on."""
    max_unavailable_sessions: CountOrPercent = spelled("25%")
    """Room for calls that may be missing while it goes on, of all the shard's; the stricter of the two counts."""
    patience: Duration = spelled("45s")
    """Time for ready new pods to get a first call. While later calls still go to old pods only, the rollout stops.
    `0s`: it never does."""


class TransceiverShardSpec(Placement):
    """Transceivers in one region."""

    fleet_ref: Annotated[ShortName, Immutable("fleetRef cannot change: make a new shard and remove this one")]
    """The VoiceFleet, in the same namespace, that the shard belongs to."""
    region: Region = ""
    """The region it serves."""
    location: Location | None = None
    """Where it stands; calls go to a shard near their relay."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """How many pods. Also set by `kubectl scale` and by a ScalingPolicy. Fewer means: drain some first."""
    sessions_per_replica: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Calls that one pod takes. A core holds several hundred with Opus passed through, about a hundred with PCM."""
    drain: Drain = Field(default=Drain())
    """How long live calls go on when their pod has to go."""
    rollout: Rollout = Field(default=Rollout())
    """How new pods replace old ones."""


class DrainingPod(Part):
    """A pod that takes no more calls."""

    name: str
    """The pod."""
    calls: int = 0
    """Calls that are still on it."""
    since: str = ""
    """When it was told."""
    until: str = ""
    """When the remaining calls end."""


class TransceiverShardStatus(Part):
    """What the operator knows of a shard."""

    observed_generation: int = 0
    """The generation of the spec that this status is about."""
    conditions: Annotated[tuple[Condition, ...], KeyedBy(("type",))] = ()
    """Ready, Progressing, Degraded, Draining."""
    replicas: int = 0
    """Pods that there are, draining ones included."""
    ready_replicas: int = 0
    """Pods that take calls or could."""
    selector: str = ""
    """Which pods they are, for `kubectl scale` and autoscalers."""
    calls: int = 0
    """Live calls."""
    capacity: int = 0
    """Calls that there is room for in pods that are not draining."""
    draining: Annotated[tuple[DrainingPod, ...], KeyedBy(("name",))] = ()
    """Pods that take no more calls, with how many are left."""
