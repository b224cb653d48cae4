"""A custom resource as the model sees it, and where the operator itself runs."""

from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from voicefleet_operator.api.parts import Part
from voicefleet_operator.api.relay_pool import RelayPoolSpec, RelayPoolStatus
from voicefleet_operator.api.scaling_policy import ScalingPolicySpec, ScalingPolicyStatus
from voicefleet_operator.api.transceiver_shard import TransceiverShardSpec, TransceiverShardStatus
from voicefleet_operator.api.voice_fleet import VoiceFleetSpec, VoiceFleetStatus

Spec = TypeVar("Spec", bound=Part, covariant=True)
Status = TypeVar("Status", bound=Part, covariant=True)


@dataclass(frozen=True, slots=True)
class Resource(Generic[Spec, Status]):
    """One object of one of the four kinds."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    """Its resourceVersion."""
    spec: Spec
    status: Status
    annotations: dict[str, str] = field(default_factory=dict)
    deleting: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Its name within the cluster, among those of its kind."""
        return self.namespace, self.name


Fleet: TypeAlias = Resource[VoiceFleetSpec, VoiceFleetStatus]
Pool: TypeAlias = Resource[RelayPoolSpec, RelayPoolStatus]
Shard: TypeAlias = Resource[TransceiverShardSpec, TransceiverShardStatus]
Policy: TypeAlias = Resource[ScalingPolicySpec, ScalingPolicyStatus]


@dataclass(frozen=True, slots=True)
class Installation:
    """What the operator knows of itself, and gives to fleets that say nothing else."""

    image: str
    """The image that it runs from, with its tag; it holds the services too."""
    namespace: str = ""
    """Where it runs."""
    service_monitors: bool = False
    """Whether the cluster knows ServiceMonitors."""
