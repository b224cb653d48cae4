"""What the operator knows of its fleets, as metrics: read from what it has seen, whenever somebody asks."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicefleet.contract import Metric as Name
from voicefleet_operator.api.kinds import KINDS
from voicefleet_operator.reconcile.store import Document, Store
from voicefleet_operator.reconcile.work_queue import WorkQueue

_STATES: Final = ("Claimed", "Bound", "Released")


class Inventory(Collector):
    """Conditions, ports, drains and the queue."""

    def __init__(self, store: Store, queue: WorkQueue, leads: Callable[[], bool]) -> None:
        self._store, self._queue, self._leads = store, queue, leads

    def collect(self) -> Iterator[Metric]:
        """Every replica tells of its queue; of the fleets only the one that acts, so that nothing is told twice."""
        due, later = self._queue.lengths()
        queue = GaugeMetricFamily(
            Name.QUEUE_LENGTH, "Objects that wait for a look: due, or at a time.", labels=["state"]
        )
        queue.add_metric(["due"], due)
        queue.add_metric(["later"], later)
        yield queue
        if self._leads():
            yield self._conditions()
            yield from self._ports()
            yield self._drains()

    def _conditions(self) -> Metric:
        labels = ["kind", "namespace", "name", "type", "reason"]
        family = GaugeMetricFamily(Name.RESOURCE_CONDITION, "1 where a condition is True, else 0.", labels=labels)
        for kind in KINDS:
            for document in self._store.all(kind):
                for each in _status(document).get("conditions") or ():
                    values = [kind, *_place(document), each.get("type", ""), each.get("reason", "")]
                    family.add_metric(values, float(each.get("status") == "True"))
        return family

    def _ports(self) -> Iterator[Metric]:
        leases = GaugeMetricFamily(
            Name.PORT_LEASES,
            "Public ports of a fleet, by how far their lease is.",
            labels=["namespace", "name", "state"],
        )
        room = GaugeMetricFamily(
            Name.PORT_RANGE, "Ports of the range that a fleet's pools get theirs from.", labels=["namespace", "name"]
        )
        for document in self._store.all("VoiceFleet"):
            states = Counter(each.get("state") for each in _status(document).get("ports") or ())
            for state in _STATES:
                leases.add_metric([*_place(document), state], states[state])
            bounds = (document.get("spec") or {}).get("ports", {}).get("range", {})
            if "from" in bounds and "to" in bounds:
                room.add_metric(_place(document), bounds["to"] - bounds["from"] + 1)
        yield leases
        yield room

    def _drains(self) -> Metric:
        family = GaugeMetricFamily(
            Name.DRAINING_PODS, "Pods of a shard whose calls go on before they go.", labels=["namespace", "name"]
        )
        for document in self._store.all("TransceiverShard"):
            family.add_metric(_place(document), len(_status(document).get("draining") or ()))
        return family


def _status(document: Document) -> Document:
    found: Document = document.get("status") or {}
    return found


def _place(document: Document) -> list[str]:
    return [document["metadata"].get("namespace", ""), document["metadata"]["name"]]
