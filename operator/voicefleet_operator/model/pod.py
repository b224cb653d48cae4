"""Pods of the data plane: what all of them have, and how a setting of a service becomes an environment variable.

Non-root, a read-only root file system, no capability that was not asked for, seccomp's default profile, and long enough
to end: a pod that is told to stop drains first.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from voicefleet.contract import Env, HealthPath, Port
from voicefleet_operator.api.parts import Location, Placement
from voicefleet_operator.model.manifest import Manifest, keys_name, session_map_name
from voicefleet_operator.model.resources import Fleet, Installation

USER: Final = 10001
"""A user that no image has by accident."""
KERNEL_CAPABILITIES: Final = ("BPF", "NET_ADMIN", "PERFMON")
"""What loading and attaching the relay's kernel program takes."""
GRACE: Final = 30
"""Seconds that a pod has beyond its drain deadline, to say goodbye and write what it knows."""
KEYS: Final = "/etc/voicefleet/keys"
SESSION_MAP: Final = "/etc/voicefleet/session-map"
STATE: Final = "/var/lib/voicefleet"
_OWN_ADDRESS: Final = "OWN_ADDRESS"
TEMPLATE_HASH: Final = "voicefleet.dev/configuration"


@dataclass(frozen=True, slots=True)
class Container:
    """What is special about one service's container."""

    component: str
    environment: Mapping[str, str]
    ports: Sequence[Manifest]
    placement: Placement
    requests: Mapping[str, str]
    """Where the user asked for nothing."""
    limits: Mapping[str, str]
    volumes: Sequence["Volume"] = ()
    kernel: bool = False
    """Whether it gets the capabilities for the kernel program; they need the root user, who has nothing else then."""
    host_network: bool = False
    """Whether it runs in the node's network; then no port is declared, or a successor could not start beside it."""
    health: int = Port.HEALTH
    downward: Mapping[str, str] = field(default_factory=dict)
    """Variables from the pod's own fields, beside those that every service gets."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Something mounted, read only."""

    name: str
    path: str
    source: Manifest


def secret_volume(name: str, path: str, secret: str, items: Mapping[str, str] | None = None) -> Volume:
    """A Secret as files; with `items`, those keys only, under those names."""
    source: Manifest = {"secretName": secret, "defaultMode": 0o440}
    if items:
        source["items"] = [{"key": key, "path": file} for key, file in items.items()]
    return Volume(name, path, {"secret": source})


def config_volume(name: str, path: str, config_map: str) -> Volume:
    """A ConfigMap as files."""
    return Volume(name, path, {"configMap": {"name": config_map, "defaultMode": 0o444}})


def service_pod(
    fleet: Fleet, here: Installation, container: Container, labels: Mapping[str, str], account: str, drain: float
) -> Manifest:
    """The pod template of a service."""
    volumes = [
        secret_volume("keys", KEYS, keys_name(fleet.name)),
        _session_map_volume(fleet),
        *container.volumes,
    ]
    own_address = {_OWN_ADDRESS: "status.podIP"} if container.host_network else {}
    # In the node's network only by the node's inner address: metrics are not for everybody.
    health = {Env.HEALTH_LISTEN: f"[$({_OWN_ADDRESS})]:{container.health}"} if container.host_network else {}
    environment = {
        Env.KEY_FILE: f"{KEYS}/keyring.json",
        Env.REDIS_URL_FILE: f"{SESSION_MAP}/url",
        Env.STATE_DIRECTORY: STATE,
        Env.LOG_LEVEL: fleet.spec.log_level,
        Env.LOG_FORMAT: "json",
        **health,
        **container.environment,
    }
    downward = {
        Env.POD: "metadata.name",
        Env.NODE: "spec.nodeName",
        Env.ZONE: "metadata.labels['topology.kubernetes.io/zone']",
        **own_address,
        **container.downward,
    }
    # Fields of the pod first: a later variable may name them as $(VARIABLE).
    variables = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in downward.items()]
    variables += [{"name": name, "value": value} for name, value in sorted(environment.items())]
    placement = container.placement
    ports = [*container.ports, {"name": "health", "containerPort": container.health, "protocol": "TCP"}]
    probed: str | int = container.health if container.host_network else "health"
    main: Manifest = {
        "name": container.component,
        "image": image(fleet, here),
        "imagePullPolicy": fleet.spec.image.pull_policy,
        "command": ["python", "-m", f"voicefleet.services.{container.component}"],
        "env": variables,
        "ports": [] if container.host_network else ports,
        "resources": {
            "requests": {**container.requests, **placement.resources.requests},
            "limits": {**container.limits, **placement.resources.limits},
        },
        "securityContext": _security(container.kernel),
        "startupProbe": _probe(probed, HealthPath.LIVE, 1, 60),
        "livenessProbe": _probe(probed, HealthPath.LIVE, 10, 3),
        "readinessProbe": _probe(probed, HealthPath.READY, 2, 2),
        "volumeMounts": [
            {"name": "state", "mountPath": STATE},
            {"name": "tmp", "mountPath": "/tmp"},
            *({"name": each.name, "mountPath": each.path, "readOnly": True} for each in volumes),
        ],
    }
    spec: Manifest = {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": int(drain) + GRACE,
        # So that a service is not the first process of its namespace, which ignores SIGTERM until it has a handler: one
        # that is told to go while it still starts would stay for its whole drain.
        "shareProcessNamespace": True,
        "securityContext": pod_security(container.kernel),
        "topologySpreadConstraints": [_spread(domain, labels) for domain in _DOMAINS],
        "containers": [main],
        "volumes": [
            {"name": "state", "emptyDir": {"sizeLimit": "64Mi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *({"name": each.name, **each.source} for each in volumes),
        ],
        **placed(fleet, placement),
    }
    if container.host_network:
        spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return {"metadata": {"labels": dict(labels)}, "spec": spec}


def placed(fleet: Fleet, placement: Placement) -> Manifest:
    """On which nodes, with which priority, and with which Secrets for the registry."""
    spec: Manifest = {}
    if placement.node_selector:
        spec["nodeSelector"] = dict(placement.node_selector)
    if placement.tolerations:
        spec["tolerations"] = [
            {
                key: value
                for key, value in each.model_dump(mode="json", by_alias=True).items()
                if value not in ("", None)
            }
            for each in placement.tolerations
        ]
    if placement.priority_class_name:
        spec["priorityClassName"] = placement.priority_class_name
    if fleet.spec.image.pull_secrets:
        spec["imagePullSecrets"] = [{"name": each.name} for each in fleet.spec.image.pull_secrets]
    return spec


def image(fleet: Fleet, here: Installation) -> str:
    """The image of the fleet's containers: the user's, or the operator's own."""
    repository, _, tag = here.image.rpartition(":")
    if not repository or "/" in tag:
        repository, tag = here.image, "latest"
    return f"{fleet.spec.image.repository or repository}:{fleet.spec.image.tag or tag}"


def pod_security(kernel: bool = False) -> Manifest:
    """The security context of a pod."""
    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    if kernel:
        return {"runAsUser": 0, "runAsGroup": 0, **profile}
    return {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, **profile}


def container_security(capabilities: Sequence[str] = ()) -> Manifest:
    """The security context of a container."""
    dropped: Manifest = {"drop": ["ALL"]}
    if capabilities:
        dropped["add"] = list(capabilities)
    return {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": dropped}


def with_hash(template: Manifest, *inputs: object) -> Manifest:
    """The template, marked with what it reads only when it starts: a change of that is a rollout."""
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()[:16]
    annotations = {**template["metadata"].get("annotations", {}), TEMPLATE_HASH: digest}
    return {**template, "metadata": {**template["metadata"], "annotations": annotations}}


def place_text(location: Location | None) -> dict[str, str]:
    """The variable that says where a service stands, if that is known."""
    return {} if location is None else {Env.PLACE: f"{location.latitude:g},{location.longitude:g}"}


_DOMAINS: Final = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")


def _spread(domain: str, labels: Mapping[str, str]) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": domain,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }


def _security(kernel: bool) -> Manifest:
    return container_security(KERNEL_CAPABILITIES if kernel else ())


def _probe(port: str | int, path: str, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "successThreshold": 1,
        "failureThreshold": failures,
    }


def _session_map_volume(fleet: Fleet) -> Volume:
    external = fleet.spec.session_map.external
    if external is not None:
        ref = external.url_secret_ref
        return secret_volume("session-map", SESSION_MAP, ref.name, {ref.key: "url"})
    return secret_volume("session-map", SESSION_MAP, session_map_name(fleet.name), {"url": "url"})
