"""What a VoiceFleet becomes by itself: signaling with its Service, and the embedded Redis."""

import json
from typing import Final

from voicefleet.contract import GEO_BUNDLED, Component, Env, Port
from voicefleet_operator.model.manifest import (
    Manifest,
    api_keys_name,
    fleet_selector,
    metadata,
    session_map_name,
    signaling_name,
)
from voicefleet_operator.model.network_policies import session_map_policy, signaling_policy
from voicefleet_operator.model.pod import (
    Container,
    container_security,
    image,
    placed,
    pod_security,
    secret_volume,
    service_pod,
)
from voicefleet_operator.model.resources import Fleet, Installation
from voicefleet_operator.model.surroundings import account, disruption_budget, pod_monitor
from voicefleet_operator.model.traces import traces_environment

API_KEYS: Final = "/etc/voicefleet/api-keys"
REDIS_CONFIGURATION: Final = "redis.conf"
SIGNALING_DRAIN: Final = 10.0
"""Seconds for requests that are under way."""


def fleet_manifests(fleet: Fleet, here: Installation, relays_on_nodes: bool = False) -> tuple[Manifest, ...]:
    """Everything that a fleet consists of beside its pools and shards, and beside its Secrets."""
    made = [*_signaling(fleet, here)]
    if fleet.spec.session_map.type == "Embedded":
        made += _session_map(fleet, here, relays_on_nodes)
    return tuple(made)


def _signaling(fleet: Fleet, here: Installation) -> list[Manifest]:
    labels, name = fleet_selector(fleet, Component.SIGNALING), signaling_name(fleet.name)
    made = [
        account(fleet, name, labels),
        disruption_budget(fleet, name, labels, 1),
        signaling_service(fleet),
        signaling_workload(fleet, here),
    ]
    if fleet.spec.network_policy:
        made.append(signaling_policy(fleet))
    if here.service_monitors and fleet.spec.monitoring.service_monitor == "Auto":
        made.append(pod_monitor(fleet, name, labels))
    return made


def signaling_workload(fleet: Fleet, here: Installation) -> Manifest:
    """The Deployment of signaling."""
    spec, geo = fleet.spec.signaling, fleet.spec.geo
    labels, name = fleet_selector(fleet, Component.SIGNALING), signaling_name(fleet.name)
    environment = {Env.API_KEYS_DIRECTORY: API_KEYS, **traces_environment(fleet.spec.monitoring)}
    if spec.trusted_proxies:
        environment[Env.TRUSTED_PROXIES] = ",".join(spec.trusted_proxies)
    if geo.database == GEO_BUNDLED:
        environment[Env.GEO_DATABASE] = GEO_BUNDLED
    if geo.networks:
        known = [each.model_dump(mode="json", by_alias=True) for each in geo.networks]
        environment[Env.GEO_NETWORKS] = json.dumps(known)
    if geo.allowed_regions:
        environment[Env.ALLOWED_REGIONS] = ",".join(geo.allowed_regions)
    if geo.default_region:
        environment[Env.DEFAULT_REGION] = geo.default_region
    container = Container(
        component=Component.SIGNALING,
        environment=environment,
        ports=[{"name": "http", "containerPort": Port.SIGNALING, "protocol": "TCP"}],
        placement=spec,
        requests={"cpu": "100m", "memory": "128Mi"},
        limits={"memory": "512Mi"},
        volumes=(secret_volume("api-keys", API_KEYS, api_keys_name(fleet)),),
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(fleet, name, labels),
        "spec": {
            "replicas": spec.replicas,
            "selector": {"matchLabels": labels},
            "template": service_pod(fleet, here, container, labels, name, SIGNALING_DRAIN),
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        },
    }


def signaling_service(fleet: Fleet) -> Manifest:
    """The Service that an Ingress or Gateway, or the world, sends offers to."""
    labels, service = fleet_selector(fleet, Component.SIGNALING), fleet.spec.signaling.service
    # Where a client is, signaling sees by the client's own address; a node that passes on would put its own there.
    local = {"externalTrafficPolicy": "Local"} if service.type == "LoadBalancer" else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(fleet, signaling_name(fleet.name), labels, annotations=dict(service.annotations)),
        "spec": {
            "type": service.type,
            **local,
            "selector": labels,
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def _session_map(fleet: Fleet, here: Installation, relays_on_nodes: bool) -> list[Manifest]:
    labels, name = fleet_selector(fleet, Component.SESSION_MAP), session_map_name(fleet.name)
    container: Manifest = {
        "name": Component.SESSION_MAP,
        "image": image(fleet, here),
        "imagePullPolicy": fleet.spec.image.pull_policy,
        "command": ["redis-server", f"/etc/redis/{REDIS_CONFIGURATION}"],
        "ports": [{"name": "redis", "containerPort": Port.SESSION_MAP, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": container_security(),
        "readinessProbe": {"tcpSocket": {"port": "redis"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {"tcpSocket": {"port": "redis"}, "periodSeconds": 10, "timeoutSeconds": 5},
        "volumeMounts": [
            {"name": "configuration", "mountPath": "/etc/redis", "readOnly": True},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    secret = {"secretName": name, "defaultMode": 0o440}
    secret |= {"items": [{"key": REDIS_CONFIGURATION, "path": REDIS_CONFIGURATION}]}
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "serviceAccountName": name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 5,
            "securityContext": pod_security(),
            "containers": [container],
            "volumes": [
                {"name": "configuration", "secret": secret},
                {"name": "data", "emptyDir": {"sizeLimit": "64Mi"}},
            ],
            **placed(fleet, fleet.spec.signaling),
        },
    }
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(fleet, name, labels),
        "spec": {
            # One, and never two at a time: half of a fleet in each of two maps would not see the other half.
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": pod,
            "revisionHistoryLimit": 3,
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(fleet, name, labels),
        "spec": {
            "type": "ClusterIP",
            "selector": labels,
            "ports": [{"name": "redis", "port": Port.SESSION_MAP, "targetPort": "redis", "protocol": "TCP"}],
        },
    }
    made = [account(fleet, name, labels), workload, service]
    if fleet.spec.network_policy:
        made.append(session_map_policy(fleet, relays_on_nodes))
    return made


def redis_files(fleet: Fleet, password: str) -> dict[str, str]:
    """What the Secret of an embedded Redis holds: its configuration, and the URL for those who call it."""
    configuration = (
        "# A cache and a directory: nothing is written to disk, and what does not fit is forgotten oldest first.\n"
        f"port {Port.SESSION_MAP}\n"
        "dir /data\n"
        'save ""\n'
        "appendonly no\n"
        "maxmemory 384mb\n"
        "maxmemory-policy allkeys-lru\n"
        f"requirepass {password}\n"
    )
    host = f"{session_map_name(fleet.name)}.{fleet.namespace}.svc"
    return {REDIS_CONFIGURATION: configuration, "url": f"redis://:{password}@{host}:{Port.SESSION_MAP}/0"}
