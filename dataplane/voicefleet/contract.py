"""Every name that two parts of voicefleet share, in one place, importing only the standard library.

The operator writes these names into pods, the data plane reads them there; relays, transceivers and signaling meet in
Redis and in metrics under them. A name that only one part uses does not belong here.
"""

from dataclasses import dataclass
from typing import Final

GROUP: Final = "voicefleet.dev"
VERSION: Final = "v1alpha1"


class Label:
    """Labels and annotations on Kubernetes objects."""

    FLEET: Final = "voicefleet.dev/fleet"
    POOL: Final = "voicefleet.dev/pool"
    SHARD: Final = "voicefleet.dev/shard"
    COMPONENT: Final = "app.kubernetes.io/component"
    DRAIN: Final = "voicefleet.dev/drain"


class Component:
    """Values of `Label.COMPONENT`, of the log field `service` and of the metric label `service`."""

    RELAY: Final = "relay"
    TRANSCEIVER: Final = "transceiver"
    SIGNALING: Final = "signaling"
    OPERATOR: Final = "operator"
    SESSION_MAP: Final = "session-map"


class Port:
    """Default ports. Public relay ports are leased by the operator from `RELAY_RANGE`."""

    RELAY: Final = 3478
    """Where STUN lives: the port that firewalls let through most often."""
    RELAY_RANGE: Final = (30478, 30677)
    HEALTH: Final = 8080
    """`/livez`, `/readyz` and `/metrics` of every service."""
    SIGNALING: Final = 8088
    TRANSCEIVER_API: Final = 8089
    HOP: Final = 4478
    """First hop port of a transceiver; worker n takes HOP + n."""
    SESSION_MAP: Final = 6379


class InternalApi:
    """Paths of a transceiver worker's API, which signaling and the operator call."""

    SESSIONS: Final = "/v1/sessions"
    DRAIN: Final = "/v1/drain"


OPERATOR_KEY: Final = "Voicefleet-Authorization"
"""Header in the place of Authorization where an API server, which keeps that for itself, is before signaling."""


class HealthPath:
    """Where every service answers on its health port."""

    LIVE: Final = "/livez"
    READY: Final = "/readyz"
    METRICS: Final = "/metrics"


class Env:
    """Environment variables of the pods. A service's settings class decides which of them it reads."""

    PREFIX: Final = "VOICEFLEET_"
    """A field `x` of a settings class is read from PREFIX + X."""

    # Every service.
    CONFIG: Final = "VOICEFLEET_CONFIG"
    """Path of an optional YAML file with the same settings; the environment wins."""
    LOG_FORMAT: Final = "VOICEFLEET_LOG_FORMAT"
    LOG_LEVEL: Final = "VOICEFLEET_LOG_LEVEL"
    OTLP_ENDPOINT: Final = "VOICEFLEET_OTLP_ENDPOINT"
    """Where traces go; relays have none."""
    HEALTH_LISTEN: Final = "VOICEFLEET_HEALTH_LISTEN"
    KEY_FILE: Final = "VOICEFLEET_KEY_FILE"
    """The fleet's key ring, as a Secret mounts it."""
    REDIS_URL: Final = "VOICEFLEET_REDIS_URL"
    REDIS_URL_FILE: Final = "VOICEFLEET_REDIS_URL_FILE"
    """A file that holds the URL; read again at every connection, so that a password can be changed."""
    STATE_DIRECTORY: Final = "VOICEFLEET_STATE_DIRECTORY"
    """Where a part keeps what it would like to find again after a restart; may be lost at any time."""
    POD: Final = "VOICEFLEET_POD"
    POD_ADDRESS: Final = "VOICEFLEET_POD_ADDRESS"
    NODE: Final = "VOICEFLEET_NODE"
    ZONE: Final = "VOICEFLEET_ZONE"
    REGION: Final = "VOICEFLEET_REGION"
    PLACE: Final = "VOICEFLEET_PLACE"
    """`latitude,longitude` in degrees."""
    HOP_NETWORKS: Final = "VOICEFLEET_HOP_NETWORKS"
    """Networks that a route token may point into."""
    WORKERS: Final = "VOICEFLEET_WORKERS"
    DRAIN_DEADLINE: Final = "VOICEFLEET_DRAIN_DEADLINE"

    # Relays.
    POOL: Final = "VOICEFLEET_POOL"
    LISTEN: Final = "VOICEFLEET_LISTEN"
    PUBLIC_ADDRESSES: Final = "VOICEFLEET_PUBLIC_ADDRESSES"
    ICE_TCP: Final = "VOICEFLEET_ICE_TCP"
    DATAPATH: Final = "VOICEFLEET_DATAPATH"
    MAX_FLOWS: Final = "VOICEFLEET_MAX_FLOWS"
    FLOW_IDLE: Final = "VOICEFLEET_FLOW_IDLE"

    # Transceivers.
    SHARD: Final = "VOICEFLEET_SHARD"
    API_LISTEN: Final = "VOICEFLEET_API_LISTEN"
    HOP_LISTEN: Final = "VOICEFLEET_HOP_LISTEN"
    SESSIONS: Final = "VOICEFLEET_SESSIONS"
    CERTIFICATE_DIRECTORY: Final = "VOICEFLEET_CERTIFICATE_DIRECTORY"
    AGENT: Final = "VOICEFLEET_AGENT"
    REALTIME_URL: Final = "VOICEFLEET_REALTIME_URL"
    REALTIME_MODEL: Final = "VOICEFLEET_REALTIME_MODEL"
    REALTIME_KEY_FILE: Final = "VOICEFLEET_REALTIME_KEY_FILE"
    PYTHON_AGENT: Final = "VOICEFLEET_PYTHON_AGENT"
    PYTHON_AGENT_PATH: Final = "VOICEFLEET_PYTHON_AGENT_PATH"
    PYTHON_AGENT_MEMORY: Final = "VOICEFLEET_PYTHON_AGENT_MEMORY"
    PYTHON_AGENT_INTERPRETER: Final = "VOICEFLEET_PYTHON_AGENT_INTERPRETER"
    PYTHON_AGENT_RELOAD: Final = "VOICEFLEET_PYTHON_AGENT_RELOAD"
    REALTIME_CALLS: Final = "VOICEFLEET_REALTIME_CALLS"
    REALTIME_CALLS_PER_MINUTE: Final = "VOICEFLEET_REALTIME_CALLS_PER_MINUTE"
    REALTIME_TELEPHONE: Final = "VOICEFLEET_REALTIME_TELEPHONE"
    REALTIME_TURNS: Final = "VOICEFLEET_REALTIME_TURNS"
    REALTIME_INTERRUPTION: Final = "VOICEFLEET_REALTIME_INTERRUPTION"

    # Signaling.
    SIGNALING_LISTEN: Final = "VOICEFLEET_SIGNALING_LISTEN"
    TLS_DIRECTORY: Final = "VOICEFLEET_TLS_DIRECTORY"
    API_KEYS_DIRECTORY: Final = "VOICEFLEET_API_KEYS_DIRECTORY"
    TRUSTED_PROXIES: Final = "VOICEFLEET_TRUSTED_PROXIES"
    GEO_DATABASE: Final = "VOICEFLEET_GEO_DATABASE"
    """A path, or `GEO_BUNDLED`."""
    GEO_NETWORKS: Final = "VOICEFLEET_GEO_NETWORKS"
    ALLOWED_REGIONS: Final = "VOICEFLEET_ALLOWED_REGIONS"
    DEFAULT_REGION: Final = "VOICEFLEET_DEFAULT_REGION"
    OTHER_REGIONS: Final = "VOICEFLEET_OTHER_REGIONS"
    """Regions with a directory of their own, to whose signaling WHIP clients are sent."""
    PROXY_PROTOCOL: Final = "VOICEFLEET_PROXY_PROTOCOL"
    BELIEVE_PLACE_HINTS: Final = "VOICEFLEET_BELIEVE_PLACE_HINTS"
    CALLS_PER_KEY: Final = "VOICEFLEET_CALLS_PER_KEY"
    CALLS_PER_KEY_BURST: Final = "VOICEFLEET_CALLS_PER_KEY_BURST"
    CALLS_PER_NETWORK: Final = "VOICEFLEET_CALLS_PER_NETWORK"
    CALLS_PER_NETWORK_BURST: Final = "VOICEFLEET_CALLS_PER_NETWORK_BURST"
    ICE_SERVERS: Final = "VOICEFLEET_ICE_SERVERS"
    OPEN: Final = "VOICEFLEET_OPEN"
    CONSOLE: Final = "VOICEFLEET_CONSOLE"
    OPERATOR_KEYS: Final = "VOICEFLEET_OPERATOR_KEYS"
    LOCAL_REQUESTS: Final = "VOICEFLEET_LOCAL_REQUESTS"


@dataclass(frozen=True, slots=True)
class DirectoryKeys:
    """Where one kind of directory entries stands in Redis."""

    entries: str
    """Hash: id -> entry as JSON."""
    seen: str
    """Sorted set: id -> Redis's own time of its last heartbeat, in milliseconds."""
    version: str
    """Counts changes, so that a reader knows whether it missed one."""
    changes: str
    """Channel on which each change is told."""
    read: str
    """Written by readers, so that they notice when Redis takes no writes and heartbeats cannot arrive."""


class RedisKey:
    """Keys of one fleet. The braces put all of them into one slot of a Redis cluster."""

    def __init__(self, fleet: str) -> None:
        self._prefix = f"vf:{{{fleet}}}"

    def directory(self, kind: str) -> DirectoryKeys:
        """The directory of one kind: `Component.RELAY` or `Component.TRANSCEIVER`."""
        base = f"{self._prefix}:directory:{kind}"
        return DirectoryKeys(base, f"{base}:seen", f"{base}:version", f"{base}:changes", f"{base}:read")

    def flow(self, pool: str, address: str, port: int) -> str:
        """A client's address as a relay pool sees it -> hop address of its call's owner."""
        return f"{self._prefix}:flow:{pool}:{address}|{port}"

    def session(self, session: str) -> str:
        """A session's record as JSON."""
        return f"{self._prefix}:session:{session}"

    def round_trips(self) -> str:
        """Stream: round trips between client networks and relay pools, as transceivers report them."""
        return f"{self._prefix}:round-trips"

    def shared(self, *parts: str) -> str:
        """A key of one service's own, such as rate limits that signaling's replicas share."""
        return ":".join((self._prefix, *parts))


class LogField:
    """Fields of log lines that dashboards and look-ups search for."""

    SERVICE: Final = "service"
    SESSION: Final = "session"


class Metric:
    """Metrics that alert rules, dashboards or the operator read, and those that several services show.

    Counters are named without `_total`: the client library appends it.
    """

    BUILD: Final = "voicefleet_build"
    CONDITION: Final = "voicefleet_ready_condition"
    HEARTBEAT_AGE: Final = "voicefleet_heartbeat_age_seconds"
    FILE_LOADS: Final = "voicefleet_file_loads"
    FILE_FAILURES: Final = "voicefleet_file_failures"
    FILE_GOOD: Final = "voicefleet_file_good"
    LOG_LINES: Final = "voicefleet_log_lines"
    REDIS_UP: Final = "voicefleet_redis_up"
    REDIS_CALLS: Final = "voicefleet_redis_calls"
    REDIS_SECONDS: Final = "voicefleet_redis_call_seconds"
    DIRECTORY_ENTRIES: Final = "voicefleet_directory_entries"
    DIRECTORY_AGE: Final = "voicefleet_directory_age_seconds"
    DIRECTORY_REFUSED: Final = "voicefleet_directory_refused"
    DIRECTORY_CONNECTED: Final = "voicefleet_directory_connected"
    SESSION_MAP_WRITES: Final = "voicefleet_session_map_writes"
    SESSION_MAP_WAITING: Final = "voicefleet_session_map_waiting"
    ROUND_TRIPS_REPORTED: Final = "voicefleet_round_trips_reported"
    ROUND_TRIPS_READ: Final = "voicefleet_round_trips_read"
    ROUND_TRIP_NETWORKS: Final = "voicefleet_round_trip_networks"
    FLOW_LOOKUPS: Final = "voicefleet_flow_lookups"
    CALLS: Final = "voicefleet_transceiver_calls"
    CAPACITY: Final = "voicefleet_transceiver_capacity"
    CALLS_CREATED: Final = "voicefleet_calls_created"
    CALLS_REFUSED: Final = "voicefleet_calls_refused"
    CALLS_ENDED: Final = "voicefleet_calls_ended"
    CALL_SECONDS: Final = "voicefleet_call_seconds"
    CALL_SETUP: Final = "voicefleet_call_setup_seconds"
    CALL_ROUND_TRIP: Final = "voicefleet_call_round_trip_seconds"
    CALL_LOSS: Final = "voicefleet_call_loss_ratio"
    CALL_JITTER: Final = "voicefleet_call_jitter_seconds"
    CALL_CONCEALMENT: Final = "voicefleet_call_concealment_ratio"
    CALL_BUFFER_DELAY: Final = "voicefleet_call_buffer_delay_seconds"
    CALL_RETRANSMITTED: Final = "voicefleet_call_retransmitted_packets"
    CALL_MOS: Final = "voicefleet_call_mos"
    TURN_STAGE: Final = "voicefleet_turn_stage_seconds"
    TURN_SECONDS: Final = "voicefleet_turn_seconds"
    TURN_OVERRUNS: Final = "voicefleet_turn_overruns_total"
    CLOCK_ERROR: Final = "voicefleet_sending_clock_error_seconds"
    WORKER_UP: Final = "voicefleet_worker_up"
    WORKER_RESTARTS: Final = "voicefleet_worker_restarts"
    WORKER_CPU: Final = "voicefleet_worker_cpu_seconds"
    WORKER_MEMORY: Final = "voicefleet_worker_resident_memory_bytes"
    PACKETS_REFUSED: Final = "voicefleet_packets_refused"
    MODEL_CONNECTIONS: Final = "voicefleet_model_connections"
    MODEL_CALLS: Final = "voicefleet_model_calls"
    MODEL_UP: Final = "voicefleet_model_up"
    MODEL_CONNECT: Final = "voicefleet_model_connect_seconds"
    MODEL_REFUSED: Final = "voicefleet_model_refused"

    # Relays, which the operator asks.
    RELAY_PACKETS: Final = "voicefleet_relay_packets"
    RELAY_FLOWS: Final = "voicefleet_relay_flows"

    # The operator.
    OPERATOR_LEADS: Final = "voicefleet_operator_leads"
    RECONCILE_SECONDS: Final = "voicefleet_operator_reconcile_seconds"
    RECONCILE_ERRORS: Final = "voicefleet_operator_reconcile_errors"
    QUEUE_SECONDS: Final = "voicefleet_operator_queue_seconds"
    QUEUE_LENGTH: Final = "voicefleet_operator_queue_length"
    API_REQUESTS: Final = "voicefleet_operator_api_requests"
    SCALING_DECISIONS: Final = "voicefleet_operator_scaling_decisions"
    RESOURCE_CONDITION: Final = "voicefleet_resource_condition"
    PORT_LEASES: Final = "voicefleet_port_leases"
    PORT_RANGE: Final = "voicefleet_port_range"
    DRAINING_PODS: Final = "voicefleet_draining_pods"


GEO_BUNDLED: Final = "Bundled"
"""The geo database that the image brings along."""
MEDIA_MTU: Final = 1200
"""Largest datagram that a client and a transceiver send each other."""
HOP_MTU: Final = 1372
"""Largest UDP payload on the hop: a 1400-octet path MTU less 28 octets of IPv4 and UDP header."""
