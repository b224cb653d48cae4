"""The metrics of each service, from the collectors that it registers."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from voicefleet.contract import Component
from voicefleet.core.steering.round_trips import RoundTrips
from voicefleet.net.directory import DirectoryReader
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.round_trips import RoundTripReader, RoundTripReports
from voicefleet.net.watched_file import FileMetrics
from voicefleet.observability.health import Health
from voicefleet.observability.logs import LogMetrics
from voicefleet.services.relay.datapath import ChosenDatapath
from voicefleet.services.relay.metrics import LAYOUT
from voicefleet.services.relay.settings import Datapath
from voicefleet.services.signaling.metrics import SignalingMetrics
from voicefleet.services.transceiver.metrics import CallMetrics, WorkerMetrics
from voicefleet_operator.reconcile.inventory import Inventory
from voicefleet_operator.reconcile.measured import Measured
from voicefleet_operator.reconcile.store import Store
from voicefleet_operator.reconcile.work_queue import WorkQueue

_HEAD: Final = """# Metrics

Every service serves these at `/metrics` on its health port, besides what the Prometheus client tells of any Python
process. Label values come from closed sets and from the fleet's own names, never from clients.
"""


class Shown(NamedTuple):
    """A row."""

    name: str
    kind: str
    says: str


def files() -> dict[str, str]:
    """The page by its path in the repository."""
    return {"docs/reference/metrics.md": page()}


def every() -> list[Shown]:
    """The metrics of all services."""
    return _unique(row for rows in _services().values() for row in rows)


def page() -> str:
    """One section a service."""
    return _HEAD + "".join(_section(name, rows) for name, rows in _services().items())


def _services() -> Mapping[str, list[Shown]]:
    signaling, transceiver = CollectorRegistry(), CollectorRegistry()
    SignalingMetrics(signaling)
    CallMetrics(transceiver)
    transceiver.register(WorkerMetrics((), 0, lambda: 0, {}))
    operator = Measured().registry
    operator.register(Inventory(Store(), WorkQueue(lambda: 0.0), lambda: True))
    link = RedisLink(None)
    transceiver.register(RoundTripReports(link, "fleet"))
    signaling.register(RoundTripReader(link, "fleet", RoundTrips()))
    every: list[Collector] = [Health(), LogMetrics(), FileMetrics(), link, DirectoryReader(link, "fleet")]
    return {
        "Every service": _unique(row for collector in every for row in _collected(collector)),
        Component.RELAY: _unique(
            [
                *(
                    Shown(_named(series.metric, series.kind.value), series.kind.value, series.help)
                    for series in LAYOUT.series
                ),
                *_collected(ChosenDatapath(Datapath.USERSPACE, None, "")),
            ]
        ),
        Component.TRANSCEIVER: _unique(_collected(transceiver)),
        Component.SIGNALING: _unique(_collected(signaling)),
        Component.OPERATOR: _unique(_collected(operator)),
    }


def _collected(collector: Collector) -> Iterable[Shown]:
    for family in collector.collect():
        yield Shown(_named(family.name, family.type), family.type, family.documentation)


def _named(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


def _unique(rows: Iterable[Shown]) -> list[Shown]:
    return list(dict.fromkeys(rows))


def _section(name: str, rows: Iterable[Shown]) -> str:
    lines = ["", f"## {name.capitalize()}", "", "| metric | kind | what it is |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.kind} | {row.says} |" for row in rows]
    return "\n".join(lines) + "\n"
