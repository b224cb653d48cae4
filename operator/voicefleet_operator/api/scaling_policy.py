"""ScalingPolicy: how many pods a shard or a pool should have, by its calls, its packets, a query, and the clock."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from voicefleet_operator.api.conditions import Condition
from voicefleet_operator.api.parts import Part, spelled
from voicefleet_operator.api.spelling import CountOrPercent, Duration, Immutable, KeyedBy, Rule, ShortName

Cron = Annotated[
    str,
    Field(max_length=128, pattern=r"^[0-9*/,A-Za-z-]+( +[0-9*/,A-Za-z-]+){4}$"),
]


class TargetRef(Part):
    """What is scaled, in the same namespace."""

    kind: Literal["TransceiverShard", "RelayPool"] = "TransceiverShard"
    """Its kind."""
    name: ShortName
    """Its name."""


class Query(Part):
    """A Prometheus query whose value is shared out over the pods."""

    server: Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s]+$")]
    """Base URL of Prometheus."""
    promql: Annotated[str, Field(min_length=1, max_length=4096)]
    """Gives one number: the load of the whole target."""
    target_per_replica: Annotated[float, Field(gt=0)]
    """How much of it one pod should carry."""


class Schedule(Part):
    """Other bounds at certain times."""

    rules: ClassVar = (
        Rule(
            "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "minReplicas must not be greater than maxReplicas",
        ),
        Rule("has(self.minReplicas) || has(self.maxReplicas)", "minReplicas or maxReplicas must be set"),
    )

    cron: Cron
    """When it begins: minute, hour, day of month, month, day of week."""
    time_zone: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = "Etc/UTC"
    """The clock that `cron` is read by, such as Europe/Berlin."""
    duration: Duration
    """How long it lasts."""
    min_replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """At least so many then."""
    max_replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    """At most so many then."""


class Step(Part):
    """How much may change in a period."""

    type: Literal["Pods", "Percent"]
    """What `value` counts."""
    value: Annotated[int, Field(ge=1, le=1000)]
    """How many pods, or what percentage of those that there were."""
    period: Duration = spelled("1m")
    """Over which time."""


class Direction(Part):
    """How fast the number may change in one direction."""

    stabilization_window: Duration
    """The most cautious of all recommendations of this time counts."""
    policies: Annotated[tuple[Step, ...], Field(min_length=1, max_length=8)]
    """Steps; the one that allows most counts."""


class ScaleUp(Direction):
    """How fast there may be more: at once by default, doubling or four more in 15 s."""

    stabilization_window: Duration = spelled("0s")
    """The lowest recommendation of this time counts."""
    policies: Annotated[tuple[Step, ...], Field(min_length=1, max_length=8)] = Field(
        default=(Step(type="Percent", value=100, period=15.0), Step(type="Pods", value=4, period=15.0))
    )
    """Steps; the one that allows most counts."""


class ScaleDown(Direction):
    """How fast there may be fewer: after five quiet minutes by default, then one pod or a tenth a minute."""

    stabilization_window: Duration = spelled("5m")
    """The highest recommendation of this time counts."""
    policies: Annotated[tuple[Step, ...], Field(min_length=1, max_length=8)] = Field(
        default=(Step(type="Percent", value=10, period=60.0), Step(type="Pods", value=1, period=60.0))
    )
    """Steps; the one that allows most counts."""


class Behavior(Part):
    """How fast the number may change."""

    scale_up: ScaleUp = Field(default=ScaleUp())
    """Towards more."""
    scale_down: ScaleDown = Field(default=ScaleDown())
    """Towards fewer. Fewer always drains first, so a hasty decision costs capacity and no call."""


class ScalingPolicySpec(Part):
    """How many pods a target should have. The highest of all that its goals ask for counts."""

    rules: ClassVar = (
        Rule("self.minReplicas <= self.maxReplicas", "minReplicas must not be greater than maxReplicas"),
        Rule(
            "self.targetRef.kind == 'TransceiverShard' || (!has(self.freeSessions) && !has(self.utilization))",
            "freeSessions and utilization are goals of a TransceiverShard: "
            "for a RelayPool set packetsPerSecond, flows or query",
        ),
        Rule(
            "self.targetRef.kind == 'RelayPool' || (!has(self.packetsPerSecond) && !has(self.flows))",
            "packetsPerSecond and flows are goals of a RelayPool: "
            "for a TransceiverShard set freeSessions, utilization or query",
        ),
        Rule(
            "has(self.freeSessions) || has(self.utilization) || has(self.packetsPerSecond) || has(self.flows) || "
            "has(self.query) || size(self.schedules) > 0",
            "at least one goal must be set: freeSessions, utilization, packetsPerSecond, flows, query or schedules",
        ),
    )

    target_ref: Annotated[TargetRef, Immutable("targetRef cannot change: make a new policy and remove this one")]
    """What is scaled."""
    min_replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """At least so many pods."""
    max_replicas: Annotated[int, Field(ge=1, le=1000)] = 10
    """At most so many pods."""
    free_sessions: CountOrPercent | None = None
    """Calls that there is always room for, as a number or as part of the capacity."""
    utilization: Annotated[int, Field(ge=1, le=100)] | None = None
    """Percentage of the capacity that is in use when there are just enough pods."""
    packets_per_second: Annotated[int, Field(ge=1)] | None = None
    """Packets that one relay should forward in a second."""
    flows: Annotated[int, Field(ge=1)] | None = None
    """Flows that one relay should carry."""
    query: Query | None = None
    """A number from Prometheus that the pods should share."""
    schedules: Annotated[tuple[Schedule, ...], Field(max_length=32)] = ()
    """Other bounds at certain times; where several hold, the highest of each."""
    behavior: Behavior = Field(default=Behavior())
    """How fast the number may change."""
    stale_after: Duration = spelled("30s")
    """Figures older than this count as missing: then the number stays as it is, and the policy says so."""
    dry_run: bool = False
    """Only show in the status what would be done."""


class Recommendation(Part):
    """What the goals asked for at a moment; the last ones are kept so that a new leader does not hurry."""

    at: str
    """When."""
    replicas: int
    """How many."""


class ScalingPolicyStatus(Part):
    """What the operator knows of a policy."""

    observed_generation: int = 0
    """The generation of the spec that this status is about."""
    conditions: Annotated[tuple[Condition, ...], KeyedBy(("type",))] = ()
    """Ready, AbleToScale, ScalingLimited."""
    current_replicas: int = 0
    """What the target has."""
    desired_replicas: int = 0
    """What it should have."""
    reason: str = ""
    """Why, in a sentence."""
    last_scale_time: str = ""
    """When the number last changed."""
    recent: Annotated[tuple[Recommendation, ...], Field(max_length=32)] = ()
    """Recommendations within the stabilisation windows, thinned out."""
    changes: Annotated[tuple[Recommendation, ...], Field(max_length=32)] = ()
    """Changes of the number within the longest period of a step."""
