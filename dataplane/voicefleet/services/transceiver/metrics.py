"""What Prometheus sees of a transceiver: how its calls were, when they have ended, and how its workers are.

A call is an observation in a histogram and never a label: thousands of them leave nothing behind.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from voicefleet.contract import Metric as Name
from voicefleet.core.transceiver.admission import Refusal
from voicefleet.core.transceiver.load_meter import LATENESS_BOUNDS
from voicefleet.observability.traces import exemplar
from voicefleet.services.transceiver.call_traces import STAGES
from voicefleet.services.transceiver.news import Ended, Turned
from voicefleet.services.transceiver.worker_life import WorkerLife

_BRIEF: Final = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.4, 0.8)
_SHARE: Final = (0.0, 0.001, 0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5)
_SETUP: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0, 10.0)
_LONG: Final = (1, 5, 15, 60, 180, 600, 1800, 3600)
_PACKETS: Final = (0, 1, 3, 10, 30, 100, 300, 1000)
_TURN: Final = (0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.4, 0.6, 0.8, 1.2, 2.0, 4.0)
_SCORE: Final = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4)


class _Shown(NamedTuple):
    """A figure of a call's record, and where it is observed."""

    figure: str
    metric: str
    label: str = ""


_SHOWN: Final = (
    _Shown("age", Name.CALL_SECONDS),
    *(_Shown(f"setup_{stage}", Name.CALL_SETUP, stage) for stage in STAGES),
    _Shown("round_trip", Name.CALL_ROUND_TRIP),
    _Shown("uplink_concealment", Name.CALL_CONCEALMENT),
    _Shown("uplink_buffer_delay", Name.CALL_BUFFER_DELAY),
    *(
        _Shown(f"{direction}_{figure}", metric, direction)
        for direction in ("uplink", "downlink")
        for figure, metric in (
            ("loss", Name.CALL_LOSS),
            ("jitter", Name.CALL_JITTER),
            ("retransmitted", Name.CALL_RETRANSMITTED),
            ("mos", Name.CALL_MOS),
        )
    ),
)


class CallMetrics:
    """The histograms that ended calls fall into."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, says: str, bounds: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, says, labels, buckets=bounds, registry=registry)

        self._ended = Counter(Name.CALLS_ENDED, "Calls that have ended, by cause.", ["cause"], registry=registry)
        self._turn = histogram(Name.TURN_SECONDS, "From a caller's last word to the answer's first.", _TURN)
        self._stages = histogram(Name.TURN_STAGE, "Stages of answered turns.", _TURN, "stage")
        self._overruns = Counter(
            Name.TURN_OVERRUNS, "Turns over the budget, by its share.", ["share"], registry=registry
        )
        self._histograms = {
            Name.CALL_SECONDS: histogram(Name.CALL_SECONDS, "Length of calls.", _LONG),
            Name.CALL_SETUP: histogram(Name.CALL_SETUP, "From the offer to each stage of a set-up.", _SETUP, "stage"),
            Name.CALL_ROUND_TRIP: histogram(Name.CALL_ROUND_TRIP, "Round trip to the caller, at the end.", _BRIEF),
            Name.CALL_LOSS: histogram(Name.CALL_LOSS, "Share of packets the network lost.", _SHARE, "direction"),
            Name.CALL_JITTER: histogram(Name.CALL_JITTER, "Interarrival jitter, at the end.", _BRIEF, "direction"),
            Name.CALL_CONCEALMENT: histogram(Name.CALL_CONCEALMENT, "Share of frames that never came.", _SHARE),
            Name.CALL_BUFFER_DELAY: histogram(Name.CALL_BUFFER_DELAY, "Mean wait in the jitter buffer.", _BRIEF),
            Name.CALL_RETRANSMITTED: histogram(
                Name.CALL_RETRANSMITTED, "Packets that came or were sent once more.", _PACKETS, "direction"
            ),
            Name.CALL_MOS: histogram(Name.CALL_MOS, "Estimated mean opinion score (E-model).", _SCORE, "direction"),
        }

    def turned(self, turn: Turned) -> None:
        """A turn was answered."""
        self._turn.observe(turn.total)
        for stage, seconds in turn.stages.items():
            self._stages.labels(stage).observe(seconds)
        for share in turn.overruns:
            self._overruns.labels(share).inc()

    def ended(self, call: Ended, trace_id: str = "") -> None:
        """A call is over; its set-up's histogram leads to the trace, if there is one."""
        self._ended.labels(call.cause).inc()
        for shown in _SHOWN:
            figure = call.figures.get(shown.figure)
            if figure is not None:
                histogram = self._histograms[shown.metric]
                traced = exemplar(trace_id) if shown.metric == Name.CALL_SETUP else None
                (histogram.labels(shown.label) if shown.label else histogram).observe(figure, traced)


class WorkerMetrics(Collector):
    """The workers, as their last pulses told; a worker that is started again counts from zero."""

    def __init__(
        self, workers: Sequence[WorkerLife], capacity: int, created: Callable[[], int], refused: dict[Refusal, int]
    ) -> None:
        self._workers = workers
        self._capacity = capacity
        self._created = created
        self._refused = refused

    def collect(self) -> Iterator[Metric]:
        """All of it; the registry calls it."""
        label = ["worker"]
        calls = GaugeMetricFamily(Name.CALLS, "Live calls.", labels=label)
        up = GaugeMetricFamily(Name.WORKER_UP, "1 while the worker takes or serves calls.", labels=label)
        restarts = CounterMetricFamily(Name.WORKER_RESTARTS, "Deaths of a worker.", labels=label)
        cpu = CounterMetricFamily(Name.WORKER_CPU, "Processor time of a worker.", labels=label)
        memory = GaugeMetricFamily(Name.WORKER_MEMORY, "Resident memory of a worker.", labels=label)
        clock = HistogramMetricFamily(Name.CLOCK_ERROR, "How late the media loop came to what was due.", labels=label)
        packets = CounterMetricFamily(
            Name.PACKETS_REFUSED, "Packets that belong to no call, by reason.", labels=["worker", "reason"]
        )
        models = CounterMetricFamily(
            Name.MODEL_CONNECTIONS,
            "What became of connections to a model server.",
            labels=["worker", "server", "event"],
        )
        model_calls = GaugeMetricFamily(Name.MODEL_CALLS, "Calls at a model server.", labels=["worker", "server"])
        model_up = GaugeMetricFamily(
            Name.MODEL_UP, "1 while a model server's last answer was a good one.", labels=["worker", "server"]
        )
        connect = SummaryMetricFamily(
            Name.MODEL_CONNECT, "Until a session with a model server had begun.", labels=["worker", "server"]
        )
        none_free = CounterMetricFamily(Name.MODEL_REFUSED, "Sessions that found no model server free.", labels=label)
        for worker in self._workers:
            number, pulse = [str(worker.number)], worker.pulse
            calls.add_metric(number, len(worker.calls))
            up.add_metric(number, float(worker.remote is not None))
            restarts.add_metric(number, worker.restarts)
            if pulse is None:
                continue
            cpu.add_metric(number, pulse.cpu)
            memory.add_metric(number, pulse.resident)
            clock.add_metric(number, _buckets(pulse.late), None)
            for reason, count in pulse.refused.items():
                packets.add_metric([*number, reason], count)
            none_free.add_metric(number, pulse.models_refused)
            for server, figures in pulse.models.items():
                named = [*number, server]
                for event in ("connected", "failed", "lost"):
                    models.add_metric([*named, event], figures[event])
                model_calls.add_metric(named, figures["calls"])
                model_up.add_metric(named, figures["well"])
                connect.add_metric(named, int(figures["connected"]), figures["seconds"])
        capacity = GaugeMetricFamily(Name.CAPACITY, "Calls that all workers take together.", value=self._capacity)
        created = CounterMetricFamily(Name.CALLS_CREATED, "Calls that were taken.", value=self._created())
        refused = CounterMetricFamily(Name.CALLS_REFUSED, "Calls that were not taken, by cause.", labels=["cause"])
        for cause, count in self._refused.items():
            refused.add_metric([cause], count)
        yield from (calls, up, restarts, cpu, memory, clock, packets)
        yield from (models, model_calls, model_up, connect, none_free, capacity, created, refused)


def _buckets(late: Sequence[int]) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, LATENESS_BOUNDS), "+Inf"]
    return list(zip(bounds, map(float, accumulate(late)), strict=True))
