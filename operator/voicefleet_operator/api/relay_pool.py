"""RelayPool: relays at one place, behind one public UDP port."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from voicefleet_operator.api.conditions import Condition
from voicefleet_operator.api.parts import Drain, Location, Part, Placement, spelled
from voicefleet_operator.api.spelling import (
    Address,
    CountOrPercent,
    Duration,
    Immutable,
    KeyedBy,
    Network,
    PortChoice,
    Region,
    Rule,
    ShortName,
    Unique,
)


class LoadBalancer(Part):
    """The load balancers of a pool with type LoadBalancer: one Service for UDP, one for TCP."""

    load_balancer_class: Annotated[str, Field(max_length=253)] = Field(default="", alias="class")
    """Who provides them; empty for the cluster's default."""
    address: Annotated[str, Field(max_length=45)] = ""
    """The address to ask for, where the provider can choose. Pools with the same address get different ports."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] = Field(default={})
    """Annotations that your cloud reads, for example for a UDP idle timeout above 30 s."""
    source_ranges: Annotated[tuple[Network, ...], Field(max_length=64), Unique()] = ()
    """Networks that may call; without any, everybody."""


class Expose(Part):
    """How clients reach the relays: one port, and the addresses that it is open on."""

    rules: ClassVar = (
        Rule(
            "self.type == 'LoadBalancer' || !has(self.loadBalancer)",
            "loadBalancer can be set only when type is LoadBalancer",
        ),
    )

    type: Literal["HostPort", "HostNetwork", "NodePort", "LoadBalancer"] = "HostPort"
    """`HostPort`: the port on each node that a relay runs on, with nothing in between; the fastest, for nodes with
    public addresses. `HostNetwork`: the same in the node's own network, where a new relay takes the port over from the
    old one and no packet is lost in a rollout; needs workload DaemonSet. `NodePort`: by a Service, where host ports are
    forbidden. `LoadBalancer`: the cloud's UDP load balancer; mind its idle timeout."""
    port: PortChoice = spelled("Auto")
    """The public UDP port. `Auto` leases one from the fleet's range, and the pool keeps it."""
    tcp: bool = True
    """Whether the same port number also takes ICE-TCP, for networks that let no UDP through."""
    advertise: Annotated[tuple[Address, ...], Field(max_length=16), Unique()] = ()
    """Addresses that clients are told instead of those that the cluster knows: for a NAT in front of the nodes."""
    load_balancer: LoadBalancer | None = None
    """More about type LoadBalancer."""


class Limits(Part):
    """What one relay takes on; beyond it new flows are shed before old ones."""

    flows: Annotated[int, Field(ge=100, le=10_000_000)] = 50_000
    """Flows that a relay remembers at most; each takes about a kilobyte."""
    idle: Duration = spelled("30s")
    """How long a client may be silent until it is forgotten."""


class RelayDrain(Drain):
    """How long a stopping relay goes on forwarding; clients move to another relay in a second or two."""

    deadline: Duration = spelled("30s")
    """After it the relay is gone, whatever still came."""


class RelayPoolSpec(Placement):
    """Relays at one place."""

    rules: ClassVar = (
        Rule(
            "self.workload == 'Deployment' || !has(self.replicas) || self.replicas == 1",
            "replicas has no meaning when workload is DaemonSet: there is one relay on each node of nodeSelector",
        ),
        Rule(
            "self.expose.type != 'HostNetwork' || self.workload == 'DaemonSet'",
            "expose.type HostNetwork needs workload DaemonSet: two relays on one node would fight for its port",
        ),
        Rule("self.drain.deadline != '0'", "drain.deadline must not be 0: live calls need time to move"),
    )

    fleet_ref: Annotated[ShortName, Immutable("fleetRef cannot change: make a new pool and remove this one")]
    """The VoiceFleet, in the same namespace, that the pool belongs to."""
    region: Region = ""
    """The region it serves; part of steering and of data residency."""
    location: Location | None = None
    """Where it stands; without it, clients come here by load alone."""
    workload: Literal["Deployment", "DaemonSet"] = "Deployment"
    """`Deployment` runs `replicas` relays, one a node where they hold its port; `DaemonSet` one on each node."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """How many relays. Also set by `kubectl scale` and by a ScalingPolicy."""
    expose: Expose = Field(default=Expose())
    """How clients reach them."""
    datapath: Literal["Auto", "Userspace", "Kernel"] = "Userspace"
    """`Userspace` needs no rights. `Kernel` forwards by an eBPF program, several times cheaper; its pods run as root,
    with no capabilities but BPF, NET_ADMIN and PERFMON, and do not start where that is impossible. `Auto` gets the same
    and goes on without."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Packet processes of a relay; 0 makes one for each core that it may use."""
    limits: Limits = Field(default=Limits())
    """What one relay takes on."""
    drain: RelayDrain = Field(default=RelayDrain())
    """How long a stopping relay goes on forwarding."""
    max_unavailable: CountOrPercent = spelled(1)
    """Relays that a rollout or a node drain may take away at a time."""


class RelayPoolStatus(Part):
    """What the operator knows of a pool."""

    observed_generation: int = 0
    """The generation of the spec that this status is about."""
    conditions: Annotated[tuple[Condition, ...], KeyedBy(("type",))] = ()
    """Ready, Progressing, Degraded, PortsAllocated, AddressesKnown, Reachable."""
    replicas: int = 0
    """Relays that run."""
    ready_replicas: int = 0
    """Relays that take calls."""
    selector: str = ""
    """Which pods they are, for `kubectl scale` and autoscalers."""
    port: int | None = None
    """The public UDP port; a copy of the lease in the fleet's status."""
    addresses: tuple[str, ...] = ()
    """What clients are told, as address:port; the first one stands in the table."""
    flows: int = 0
    """Flows that the relays carry."""
    load: int = 0
    """How full they are, in percent of the fullest."""
