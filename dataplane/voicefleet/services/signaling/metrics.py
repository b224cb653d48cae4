"""What signaling counts: calls by result, time by stage, where calls went and how their clients' places were known."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from voicefleet.core.steering.relay_choice import RelayChoice
from voicefleet.observability.traces import exemplar

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_KILOMETRES = (50, 100, 250, 500, 1000, 2000, 4000, 8000, 16000)


class SignalingMetrics:
    """The metrics of one replica; label values come from closed sets and the directory, never from clients."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "voicefleet_signaling"
        self._calls = Counter(
            f"{name}_calls", "Calls by door, result and reason.", ["door", "result", "reason"], registry=registry
        )
        self._stages = Histogram(
            f"{name}_stage_seconds", "Time by stage of a set-up.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self._pools = Counter(
            f"{name}_relay_pools", "Calls by the pool of their first relay.", ["pool"], registry=registry
        )
        self._distance = Histogram(
            f"{name}_relay_kilometres",
            "From where a client is believed to be to its first relay.",
            buckets=_KILOMETRES,
            registry=registry,
        )
        self._places = Counter(
            f"{name}_places", "Calls by how the client's place was known.", ["source", "ground"], registry=registry
        )
        self._asked = Counter(f"{name}_transceivers_asked", "Transceivers asked to take calls.", registry=registry)

    def call(self, door: str, result: str, reason: str) -> None:
        """A request for a call came to its end."""
        self._calls.labels(door, result, reason).inc()

    def stage(self, stage: str, seconds: float, trace_id: str = "") -> None:
        """One stage of a set-up took so long."""
        self._stages.labels(stage).observe(seconds, exemplar(trace_id))

    def steered(self, choice: RelayChoice, source: str) -> None:
        """Where a call was steered."""
        self._places.labels(source, choice.belief.ground.value).inc()
        if choice.candidates:
            first = choice.candidates[0]
            self._pools.labels(first.relay.pool).inc()
            if first.ranked.distance_km is not None:
                self._distance.observe(first.ranked.distance_km)

    def asked(self, transceivers: int) -> None:
        """So many transceivers were asked for one call."""
        self._asked.inc(transceivers)
