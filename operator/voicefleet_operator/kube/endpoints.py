"""Where the API server keeps each kind that the operator reads or writes. A fixed table: no discovery is needed."""

from typing import Any, Final, NamedTuple

from voicefleet_operator.api.kinds import API_VERSION, KINDS


class Endpoint(NamedTuple):
    """One kind's place in the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Its API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Its version."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of an object, of a namespace's objects, or of all objects."""
        parts = ["/apis/" + self.api_version if "/" in self.api_version else "/api/" + self.api_version]
        if self.namespaced and namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [each for each in (name, subresource) if each is not None]
        return "/".join(parts)


CUSTOM: Final = {kind.name: Endpoint(API_VERSION, kind.name, kind.plural) for kind in KINDS.values()}
OWNED: Final = {
    each.kind: each
    for each in (
        Endpoint("apps/v1", "Deployment", "deployments"),
        Endpoint("apps/v1", "DaemonSet", "daemonsets"),
        Endpoint("v1", "Service", "services"),
        Endpoint("v1", "ConfigMap", "configmaps"),
        Endpoint("v1", "ServiceAccount", "serviceaccounts"),
        Endpoint("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
        Endpoint("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    )
}
"""What the operator makes and watches."""
POD: Final = Endpoint("v1", "Pod", "pods")
NODE: Final = Endpoint("v1", "Node", "nodes", namespaced=False)
SECRET: Final = Endpoint("v1", "Secret", "secrets")
EVENT: Final = Endpoint("events.k8s.io/v1", "Event", "events")
LEASE: Final = Endpoint("coordination.k8s.io/v1", "Lease", "leases")
AUTOSCALER: Final = Endpoint("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DEFINITION: Final = Endpoint(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
"""Of the kinds themselves; touched by the chart's job, never by the operator."""
POD_MONITOR: Final = Endpoint("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")

_ALL: Final = {
    (each.api_version, each.kind): each
    for each in (
        *CUSTOM.values(),
        *OWNED.values(),
        POD,
        NODE,
        SECRET,
        EVENT,
        LEASE,
        AUTOSCALER,
        DEFINITION,
        POD_MONITOR,
    )
}


def endpoint_of(document: dict[str, Any]) -> Endpoint:
    """Where a manifest belongs."""
    return _ALL[document["apiVersion"], document["kind"]]
