"""What Prometheus sees of the model servers that a worker speaks to."""

from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import CollectorRegistry

from voicefleet.agents.realtime.models import ModelPlan, Models
from voicefleet.core.transceiver.load_meter import LATENESS_BOUNDS
from voicefleet.services.transceiver.metrics import WorkerMetrics
from voicefleet.services.transceiver.news import Pulse

ONE, TWO = "one.example/v1/realtime", "two.example:8443/x"
NEVER_LATE = (0,) * (len(LATENESS_BOUNDS) + 1)


def pulse(models: Models) -> Pulse:
    return Pulse(1.0, 1.0, 1, NEVER_LATE, {}, models.figures(), models.refused)


def test_each_server_is_shown_by_its_address_with_its_sessions_its_failures_and_how_long_it_took() -> None:
    models = Models(ModelPlan((f"wss://{ONE}?deployment=secret", f"wss://user:word@{TWO}")))
    well, sick = models.endpoints.all
    well.counted["connected"] += 4
    well.seconds, well.calls = 1.5, 3
    sick.counted["failed"] += 2
    models.endpoints.failed(sick, "it answered 503", 0.0)
    models.refused = 5
    worker = SimpleNamespace(number=0, pulse=pulse(models), calls={}, remote=None, restarts=0)
    registry = CollectorRegistry()
    registry.register(WorkerMetrics([cast(Any, worker)], 10, lambda: 0, {}))

    def shown(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"voicefleet_model_{name}", {"worker": "0", **labels})

    assert shown("connections_total", server=ONE, event="connected") == 4
    assert shown("connections_total", server=TWO, event="failed") == 2
    assert shown("connections_total", server=TWO, event="lost") == 0
    assert (shown("calls", server=ONE), shown("calls", server=TWO)) == (3, 0)
    assert (shown("up", server=ONE), shown("up", server=TWO)) == (1, 0)
    assert (shown("connect_seconds_sum", server=ONE), shown("connect_seconds_count", server=ONE)) == (1.5, 4)
    assert shown("refused_total") == 5
