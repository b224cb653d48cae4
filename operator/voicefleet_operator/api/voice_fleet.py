"""VoiceFleet: what is common to all relays, transceivers and signaling of one fleet, and the ports leased to pools."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from voicefleet.contract import Port
from voicefleet_operator.api.conditions import Condition
from voicefleet_operator.api.parts import Location, Part, Placement, SecretKeyRef, SecretRef, spelled
from voicefleet_operator.api.spelling import Duration, KeyedBy, Name, Network, Region, Rule, Unique

HostName = Annotated[
    str, Field(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$")
]
WebSocketUrl = Annotated[str, Field(max_length=2048, pattern=r"^wss?://[^\s]+$")]


class Realtime(Part):
    """A model server that speaks the OpenAI Realtime WebSocket protocol."""

    url: WebSocketUrl
    """Where it listens, for example `wss://model.example/v1/realtime`."""
    fallback_urls: Annotated[tuple[WebSocketUrl, ...], Field(max_length=8), Unique()] = ()
    """Others that take the same key, in the order in which they are used when those before them are full or do not
    answer."""
    model: Annotated[str, Field(max_length=253)] = ""
    """The model to ask for, when the caller names none."""
    api_key_secret_ref: SecretKeyRef | None = None
    """The key that it wants."""
    calls_per_pod: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Calls that a transceiver pod has with one model server at a time; without it, as many as the pod takes."""
    calls_per_pod_and_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """New calls that a transceiver pod brings to one model server in a minute; without it, as many as come."""
    telephone: bool = True
    """Whether the model takes G.711: callers who speak it are passed through then, without a codec."""
    turns: Literal["Model", "Voicefleet"] = "Model"
    """Who follows a session's `turn_detection`: the model, or voicefleet's own detector, which sends the model nothing
    but turns, and notices interruptions."""
    interruption: Literal["Model", "Ear"] = "Model"
    """Who notices that a caller speaks over the model: the model alone, or our own ear as well, which is quicker and
    hears coughs too."""


class ConfigMapRef(Part):
    """A ConfigMap in the same namespace."""

    name: Name
    """Name of the ConfigMap."""


class Python(Part):
    """A class of yours, derived from `voicefleet.agents.python.VoiceAgent`; each call has a process of its own."""

    entrypoint: Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$")]
    """The class, as `module:Class`."""
    config_map_ref: ConfigMapRef | None = None
    """Its entries are the module's files. Without it the module is installed in the fleet's `image`. Running pods keep
    what they have imported: roll them (`kubectl rollout restart`) after a change."""
    interpreter: Annotated[str, Field(max_length=253, pattern=r"^/[^\s:]+$")] | None = None
    """A Python in the fleet's `image` with the packages that the class needs, such as `/opt/agent/bin/python` of a
    virtual environment. Without it the class uses voicefleet's own packages."""
    memory_megabytes: Annotated[int, Field(ge=0, le=1_048_576)] = 1024
    """What one call's process may take beyond what the module takes; 0 is no bound. Give the transceivers' `resources`
    room for all calls of a pod."""


class Agent(Part):
    """What callers talk to."""

    rules: ClassVar = (
        Rule(
            "self.type == 'Realtime' ? has(self.realtime) : !has(self.realtime)",
            "realtime must be set when type is Realtime, and only then",
        ),
        Rule(
            "self.type == 'Python' ? has(self.python) : !has(self.python)",
            "python must be set when type is Python, and only then",
        ),
    )

    type: Literal["Echo", "Realtime", "Python"] = "Echo"
    """`Echo` sends the caller's own words back: for a first try. `Realtime` speaks to a model server. `Python` is a
    class of yours."""
    realtime: Realtime | None = None
    """The model server of type Realtime."""
    python: Python | None = None
    """The class of type Python."""


class SignalingService(Part):
    """The Service in front of signaling."""

    type: Literal["ClusterIP", "LoadBalancer"] = "ClusterIP"
    """`ClusterIP` behind an Ingress or Gateway of yours, or a load balancer of its own."""
    annotations: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=32)] = Field(default={})
    """Annotations that your cloud reads."""


class Signaling(Placement):
    """The HTTP front: offers in, answers out. It keeps nothing."""

    replicas: Annotated[int, Field(ge=0, le=100)] = 2
    """How many pods."""
    host: HostName = ""
    """The host name that clients use; shown in the status, and part of links that signaling gives out."""
    api_keys_secret_ref: SecretRef | None = None
    """Secret with the applications' API keys, one entry a key: its name, and the key or `sha256:` and its hash. Without
    it the operator makes one key and puts it into the Secret `FLEET-api-keys`."""
    trusted_proxies: Annotated[tuple[Network, ...], Field(max_length=64), Unique()] = ()
    """Networks whose `X-Forwarded-For` is believed."""
    service: SignalingService = Field(default=SignalingService())
    """The Service in front of it."""


class ExternalSessionMap(Part):
    """A Redis that you run."""

    url_secret_ref: SecretKeyRef
    """The URL: `redis://`, `rediss://` or `redis+sentinel://`."""


class SessionMap(Part):
    """The fleet's Redis: a cache and a directory. Losing it costs no call."""

    rules: ClassVar = (
        Rule(
            "self.type == 'External' ? has(self.external) : !has(self.external)",
            "external must be set when type is External, and only then",
        ),
    )

    type: Literal["Embedded", "External"] = "Embedded"
    """`Embedded` is one Redis pod that writes nothing to disk; `External` is yours."""
    external: ExternalSessionMap | None = None
    """Where yours is."""


class GeoNetwork(Part):
    """Where the clients of a network are."""

    cidr: Network
    """The network."""
    latitude: Annotated[float, Field(ge=-90, le=90)]
    """North is positive."""
    longitude: Annotated[float, Field(ge=-180, le=180)]
    """East is positive."""

    @property
    def location(self) -> Location:
        """The place."""
        return Location(latitude=self.latitude, longitude=self.longitude)


class Geo(Part):
    """How a client's address becomes a place, and which regions may serve it."""

    database: Literal["Bundled", "None"] = "Bundled"
    """The database of countries in the image, or none: then `networks`, measured round trips and load decide."""
    networks: Annotated[tuple[GeoNetwork, ...], Field(max_length=256), KeyedBy(("cidr",))] = ()
    """Places that you know better than the database."""
    allowed_regions: Annotated[tuple[Region, ...], Field(max_length=64), Unique()] = ()
    """Calls never leave these regions; without any, all are allowed."""
    default_region: Region = ""
    """Where a client goes of whom nothing is known."""


class PortRange(Part):
    """UDP ports, both ends included."""

    rules: ClassVar = (
        Rule("self.from <= self.to", "from must not be greater than to"),
        Rule(
            "self.from <= oldSelf.from && self.to >= oldSelf.to",
            "the range can grow but not shrink: ports of it may be in use",
        ),
    )

    first: Annotated[int, Field(ge=1024, le=65535, alias="from")] = Port.RELAY_RANGE[0]
    """The first port."""
    last: Annotated[int, Field(ge=1024, le=65535, alias="to")] = Port.RELAY_RANGE[1]
    """The last port. For pools of type NodePort both must lie in the cluster's node port range."""


class Ports(Part):
    """The public UDP ports that pools with `port: Auto` get."""

    range: PortRange = Field(default=PortRange())
    """Where they are taken from."""
    quarantine: Duration = spelled("10m")
    """How long a released port is kept for the pool that had it, and from everybody else: clients still send there."""


class Keys(Part):
    """The fleet's secret, from which route tokens, ICE passwords and hop keys are made."""

    rotate_every: Duration = spelled("7d")
    """Time between rotations; `0` leaves it to `kubectl annotate vf NAME voicefleet.dev/rotate=now`."""
    longest_call: Duration = spelled("24h")
    """How long an old key still opens what was made with it."""


class Image(Part):
    """Where the containers come from."""

    repository: Annotated[str, Field(max_length=255)] = ""
    """Without it, the operator's own image."""
    tag: Annotated[str, Field(max_length=128)] = ""
    """Without it, the operator's own version."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When a node asks the registry."""
    pull_secrets: Annotated[tuple[SecretRef, ...], Field(max_length=8), KeyedBy(("name",))] = ()
    """Secrets for the registry."""


class Monitoring(Part):
    """What Prometheus and a collector of traces are told."""

    service_monitor: Literal["Auto", "Never"] = "Auto"
    """`Auto` makes ServiceMonitors where the cluster knows that kind."""
    otlp_endpoint: Annotated[str, Field(max_length=512, pattern=r"^(https?://[^\s/?#@]+(/[^\s?#@]*)?)?$")] = ""
    """A collector that signaling and transceivers send traces of calls' set-ups to, by OTLP over HTTP, such as
    `http://collector.observability:4318`. Empty: nobody traces."""


class VoiceFleetSpec(Part):
    """A fleet. Every field has a default; the smallest one is an empty spec."""

    agent: Agent = Field(default=Agent())
    """What callers talk to."""
    signaling: Signaling = Field(default=Signaling())
    """The HTTP front."""
    session_map: SessionMap = Field(default=SessionMap())
    """The Redis that relays, transceivers and signaling meet in."""
    geo: Geo = Field(default=Geo())
    """Where clients are, and who may serve them."""
    ports: Ports = Field(default=Ports())
    """The public UDP ports of the fleet's relay pools."""
    keys: Keys = Field(default=Keys())
    """The fleet's secret and how often it changes."""
    hop_networks: Annotated[tuple[Network, ...], Field(min_length=1, max_length=16), Unique()] = Field(
        default=("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    )
    """Networks that hold the transceivers' pods: a relay sends calls nowhere else. Narrow it to your pod network."""
    relay_networks: Annotated[tuple[Network, ...], Field(max_length=32), Unique()] = ()
    """Networks of relays in other clusters of the fleet, which NetworkPolicies let in to the transceivers; relays of
    this cluster are let in without."""
    image: Image = Field(default=Image())
    """Where the containers come from."""
    network_policy: bool = True
    """Whether NetworkPolicies are made, which let in only what each part needs."""
    monitoring: Monitoring = Field(default=Monitoring())
    """What Prometheus is told."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that all parts of the fleet write."""


class PortLease(Part):
    """One public UDP port and who has it."""

    pool: str
    """Name of the pool."""
    port: int
    """The port."""
    state: Literal["Claimed", "Bound", "Released"]
    """`Claimed` until it is certain that nobody else on the same addresses has it; `Released` while in quarantine."""
    addresses: str
    """The set of addresses that it is for, such as `nodes` or `load-balancer/10.0.0.7`."""
    released_at: str | None = None
    """When the pool went."""


class FleetCounts(Part):
    """How much there is, in all pools and shards."""

    relay_pools: int = 0
    """Relay pools that refer to the fleet."""
    shards: int = 0
    """Transceiver shards that refer to the fleet."""
    calls: int = 0
    """Live calls."""
    capacity: int = 0
    """Calls that there is room for."""


class VoiceFleetStatus(Part):
    """What the operator knows of a fleet."""

    observed_generation: int = 0
    """The generation of the spec that this status is about."""
    conditions: Annotated[tuple[Condition, ...], KeyedBy(("type",))] = ()
    """Ready, Progressing, Degraded and SessionMap."""
    ports: Annotated[tuple[PortLease, ...], KeyedBy(("pool", "port", "addresses"))] = ()
    """Who has which public port. This is the truth; pools show a copy."""
    counts: FleetCounts = Field(default=FleetCounts())
    """How much there is."""
    endpoint: str = ""
    """Where clients post their offers."""
    addresses: tuple[str, ...] = ()
    """Addresses of signaling's load balancer."""
    signaling_ready: str = ""
    """Ready pods of signaling, of how many."""
    key_rotated_at: str = ""
    """When the fleet's secret changed last."""
    rotation_handled: str = ""
    """The value of the rotate annotation that was acted on last."""
