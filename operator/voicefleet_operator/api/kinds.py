"""The four kinds: their names, what kubectl shows of them, and their typed spec and status."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voicefleet.contract import GROUP, VERSION
from voicefleet_operator.api.parts import Part
from voicefleet_operator.api.relay_pool import RelayPoolSpec, RelayPoolStatus
from voicefleet_operator.api.scaling_policy import ScalingPolicySpec, ScalingPolicyStatus
from voicefleet_operator.api.spelling import Rule
from voicefleet_operator.api.transceiver_shard import TransceiverShardSpec, TransceiverShardStatus
from voicefleet_operator.api.voice_fleet import VoiceFleetSpec, VoiceFleetStatus

API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "voice"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; those with a priority only under `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of custom resource."""

    name: str
    plural: str
    short: str
    purpose: str
    spec: type[Part]
    status: type[Part]
    columns: tuple[Column, ...]
    scales: bool = False
    """Whether it has `/scale`."""
    rules: tuple[Rule, ...] = ()
    """Rules about the whole object."""

    @property
    def crd(self) -> str:
        """The name of its definition."""
        return f"{self.plural}.{GROUP}"


def _ready() -> Column:
    return Column("Ready", '.status.conditions[?(@.type=="Ready")].status')


def _why() -> Column:
    return Column("Why", '.status.conditions[?(@.type=="Ready")].reason')


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")
_SHORT_NAME: Final = Rule(
    "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name must have at most 40 characters of a-z, 0-9 and -, beginning with a letter: it becomes part of the "
    "names of Services",
)

VOICE_FLEET: Final = Kind(
    "VoiceFleet",
    "voicefleets",
    "vf",
    "A fleet of relays, transceivers and signaling that carries voice calls between clients and an agent.",
    VoiceFleetSpec,
    VoiceFleetStatus,
    (
        _ready(),
        Column("Calls", ".status.counts.calls", "integer"),
        Column("Capacity", ".status.counts.capacity", "integer"),
        Column("Pools", ".status.counts.relayPools", "integer"),
        Column("Shards", ".status.counts.shards", "integer"),
        Column("Signaling", ".status.signalingReady"),
        Column("Endpoint", ".status.endpoint"),
        _why(),
        _AGE,
    ),
    rules=(_SHORT_NAME,),
)
RELAY_POOL: Final = Kind(
    "RelayPool",
    "relaypools",
    "rp",
    "Relays at one place: they forward clients' sealed packets to the transceivers, behind one public UDP port.",
    RelayPoolSpec,
    RelayPoolStatus,
    (
        _ready(),
        Column("Relays", ".status.readyReplicas", "integer"),
        Column("Flows", ".status.flows", "integer"),
        Column("Region", ".spec.region"),
        Column("Address", ".status.addresses[0]"),
        _why(),
        Column("Fleet", ".spec.fleetRef", priority=1),
        Column("Load", ".status.load", "integer", 1),
        _AGE,
    ),
    scales=True,
    rules=(_SHORT_NAME,),
)
TRANSCEIVER_SHARD: Final = Kind(
    "TransceiverShard",
    "transceivershards",
    "ts",
    "The pods that own calls in one region: they end WebRTC and talk to the agent.",
    TransceiverShardSpec,
    TransceiverShardStatus,
    (
        _ready(),
        Column("Calls", ".status.calls", "integer"),
        Column("Capacity", ".status.capacity", "integer"),
        Column("Pods", ".status.readyReplicas", "integer"),
        Column("Region", ".spec.region"),
        _why(),
        Column("Fleet", ".spec.fleetRef", priority=1),
        _AGE,
    ),
    scales=True,
    rules=(_SHORT_NAME,),
)
SCALING_POLICY: Final = Kind(
    "ScalingPolicy",
    "scalingpolicies",
    "vsp",
    "How many pods a TransceiverShard or a RelayPool should have.",
    ScalingPolicySpec,
    ScalingPolicyStatus,
    (
        _ready(),
        Column("Kind", ".spec.targetRef.kind"),
        Column("Target", ".spec.targetRef.name"),
        Column("Min", ".spec.minReplicas", "integer"),
        Column("Max", ".spec.maxReplicas", "integer"),
        Column("Now", ".status.currentReplicas", "integer"),
        Column("Wants", ".status.desiredReplicas", "integer"),
        _why(),
        Column("Because", ".status.reason", priority=1),
        _AGE,
    ),
)

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind for kind in (VOICE_FLEET, RELAY_POOL, TRANSCEIVER_SHARD, SCALING_POLICY)
}
