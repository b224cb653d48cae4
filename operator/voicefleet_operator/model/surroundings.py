"""What stands around the pods of every part: an account without rights, a disruption budget, a monitor."""

from collections.abc import Mapping
from typing import Any

from voicefleet.contract import HealthPath, Label
from voicefleet_operator.model.manifest import Manifest, metadata
from voicefleet_operator.model.resources import Resource


def account(owner: Resource[Any, Any], name: str, labels: Mapping[str, str]) -> Manifest:
    """A ServiceAccount of its own, which may do nothing: the services never speak to the API server.

    Each pool and shard has one, though a fleet's could share: clusters grant host ports and capabilities by it, and
    only those that need them should get them.
    """
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(owner, name, labels),
        "automountServiceAccountToken": False,
    }


def disruption_budget(
    owner: Resource[Any, Any], name: str, labels: Mapping[str, str], max_unavailable: int | str
) -> Manifest:
    """How many pods a node drain may take at a time. One that is draining counts as taken until it has gone."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(owner, name, labels),
        "spec": {
            "maxUnavailable": max_unavailable or 1,
            "selector": {"matchLabels": dict(labels)},
            # A pod that does not work cannot be saved by keeping it, and would block the node's drain for ever.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def pod_monitor(owner: Resource[Any, Any], name: str, labels: Mapping[str, str], port: int | None = None) -> Manifest:
    """What the operator of Prometheus scrapes: each pod by its health port, so that no Service is needed for it.

    A pod that declares no ports is scraped at its address with `port`.
    """
    endpoint: Manifest = {"port": "health", "path": HealthPath.METRICS}
    if port is not None:
        source = {"sourceLabels": ["__meta_kubernetes_pod_ip"], "targetLabel": "__address__"}
        rules = [
            {**source, "regex": "([^:]+)", "replacement": f"$1:{port}"},
            {**source, "regex": "(.*:.*)", "replacement": f"[$1]:{port}"},
        ]
        endpoint = {"path": HealthPath.METRICS, "relabelings": rules}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(owner, name, labels),
        "spec": {
            "selector": {"matchLabels": dict(labels)},
            "podTargetLabels": [Label.FLEET, *(each for each in (Label.POOL, Label.SHARD) if each in labels)],
            "podMetricsEndpoints": [endpoint],
        },
    }
