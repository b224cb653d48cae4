"""deploy/: the operator for `kubectl apply -k`, for whom helm is one tool too many.

The chart says the same, with choices. `scripts/check --fix` writes it.
"""

from importlib.metadata import version
from typing import Any, Final

import yaml

from voicefleet.contract import Component, Env, HealthPath, Port
from voicefleet_operator.api import crds
from voicefleet_operator.api.kinds import KINDS
from voicefleet_operator.kube import permissions
from voicefleet_operator.model.pod import container_security, pod_security

FOLDER: Final = "deploy"
NAMESPACE: Final = "voicefleet-system"
IMAGE: Final = "voicefleet.dev/voicefleet"
_HEADER: Final = "# Made by scripts/plain_manifests.py (scripts/check --fix).\n"
_LABELS: Final = {
    "app.kubernetes.io/name": "voicefleet",
    "app.kubernetes.io/part-of": "voicefleet",
    "app.kubernetes.io/component": Component.OPERATOR,
}


def files() -> dict[str, str]:
    """Each file by its path in the repository."""
    roles = permissions.files()
    cluster = yaml.safe_load(roles[f"{permissions.FOLDER}/cluster.yaml"])
    lease = yaml.safe_load(roles[f"{permissions.FOLDER}/lease.yaml"])
    lease["metadata"]["namespace"] = NAMESPACE
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["crds.yaml", "access.yaml", "operator.yaml"],
    }
    return {
        f"{FOLDER}/kustomization.yaml": _text(kustomization),
        f"{FOLDER}/crds.yaml": _text(*(crds.definition(kind) for kind in KINDS.values())),
        f"{FOLDER}/access.yaml": _text(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": _restricted()}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named(permissions.NAME)},
            cluster,
            _binding("ClusterRoleBinding", cluster),
            lease,
            _binding("RoleBinding", lease),
        ),
        f"{FOLDER}/operator.yaml": _text(_operator()),
    }


def _operator() -> dict[str, Any]:
    image = f"{IMAGE}:{version('voicefleet')}"
    environment = [
        {"name": Env.POD, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": f"{Env.PREFIX}NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": f"{Env.PREFIX}IMAGE", "value": image},
    ]
    container = {
        "name": Component.OPERATOR,
        "image": image,
        "command": ["python", "-m", "voicefleet_operator"],
        "env": environment,
        "ports": [{"name": "health", "containerPort": Port.HEALTH, "protocol": "TCP"}],
        "startupProbe": _probe(HealthPath.LIVE, 1, 60),
        "livenessProbe": _probe(HealthPath.LIVE, 10, 6),
        "readinessProbe": _probe(HealthPath.READY, 5, 3),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "serviceAccountName": permissions.NAME,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 20,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _named(permissions.NAME),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    asked = {"httpGet": {"path": path, "port": "health"}, "timeoutSeconds": 2}
    return {**asked, "periodSeconds": period, "failureThreshold": failures}


def _binding(kind: str, role: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in role["metadata"].items() if key != "labels"} | {"labels": _LABELS}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": permissions.NAME, "namespace": NAMESPACE}],
    }


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "labels": _LABELS}


def _restricted() -> dict[str, str]:
    return _LABELS | {"pod-security.kubernetes.io/enforce": "restricted"}


class _Plain(yaml.SafeDumper):
    """No anchors: a reader should see what stands there."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


def _text(*documents: dict[str, Any]) -> str:
    dumped = (yaml.dump(each, Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True) for each in documents)
    return _HEADER + "---\n".join(dumped)
