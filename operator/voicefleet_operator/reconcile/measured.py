"""What the operator counts of its own work. What it knows of fleets is read when somebody asks: `inventory`."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from voicefleet.contract import Metric

_SECONDS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Measured:
    """The counters of one operator, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Histogram(
            Metric.RECONCILE_SECONDS,
            "How long looks at objects took, by kind.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.errors = Counter(
            Metric.RECONCILE_ERRORS,
            "Looks that failed and are tried again, by kind and by what went wrong.",
            ["kind", "error"],
            registry=self.registry,
        )
        self.waits = Histogram(
            Metric.QUEUE_SECONDS,
            "How long an object that was due had to wait for its look.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.leads = Gauge(Metric.OPERATOR_LEADS, "1 while this replica is the one that acts.", registry=self.registry)
        self.requests = Counter(
            Metric.API_REQUESTS,
            "Requests to the API server, by method and by status (0: no answer).",
            ["method", "status"],
            registry=self.registry,
        )
        self.decisions = Counter(
            Metric.SCALING_DECISIONS,
            "Decisions of scaling policies, by the kind of their target and by what was decided.",
            ["kind", "decision"],
            registry=self.registry,
        )
