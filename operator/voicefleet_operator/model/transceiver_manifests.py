"""What a TransceiverShard becomes: a Deployment of transceivers whose pods drain before they go."""

from typing import Final

from voicefleet.contract import Component, Env, Port
from voicefleet_operator.api.spelling import duration
from voicefleet_operator.model.agent import agent_environment, agent_volumes
from voicefleet_operator.model.manifest import Manifest, certificate_name, metadata, shard_selector, transceiver_name
from voicefleet_operator.model.network_policies import transceiver_policy
from voicefleet_operator.model.pod import Container, place_text, secret_volume, service_pod, with_hash
from voicefleet_operator.model.resources import Fleet, Installation, Shard
from voicefleet_operator.model.surroundings import account, disruption_budget, pod_monitor
from voicefleet_operator.model.traces import traces_environment

CERTIFICATE: Final = "/etc/voicefleet/certificate"
SETTLES: Final = 10
"""Seconds from a new pod's readiness until an old one goes for it: time to see the one and hold the other."""


def transceiver_manifests(
    shard: Shard, fleet: Fleet, here: Installation, replicas: int, relays_on_nodes: bool = False
) -> tuple[Manifest, ...]:
    """Everything that a shard consists of; `replicas` counts those that still drain, too."""
    labels, name = shard_selector(shard), transceiver_name(shard.name)
    made = [
        account(shard, name, labels),
        disruption_budget(shard, name, labels, max(1, unavailable_pods(shard, shard.spec.replicas))),
        workload(shard, fleet, here, replicas),
    ]
    if fleet.spec.network_policy:
        made.append(transceiver_policy(shard, relays_on_nodes, fleet.spec.relay_networks))
    if here.service_monitors and fleet.spec.monitoring.service_monitor == "Auto":
        made.append(pod_monitor(shard, name, labels))
    return tuple(made)


def unavailable_pods(shard: Shard, replicas: int) -> int:
    """How many pods may be missing in a rollout: by pods and by room for calls, the stricter of the two."""
    rollout, room = shard.spec.rollout, shard.spec.sessions_per_replica
    by_calls = rollout.max_unavailable_sessions.of(replicas * room) // room
    by_pods = rollout.max_unavailable.of(replicas)
    return min(by_pods, by_calls)


def workload(shard: Shard, fleet: Fleet, here: Installation, replicas: int) -> Manifest:
    """The Deployment. Its pods have all the time that a drain may take: a pod that is replaced keeps its calls."""
    spec, labels = shard.spec, shard_selector(shard)
    container = Container(
        component=Component.TRANSCEIVER,
        environment={
            Env.SHARD: shard.name,
            Env.REGION: spec.region,
            Env.SESSIONS: str(spec.sessions_per_replica),
            Env.CERTIFICATE_DIRECTORY: CERTIFICATE,
            Env.DRAIN_DEADLINE: duration(spec.drain.deadline),
            **place_text(spec.location),
            **agent_environment(fleet.spec.agent),
            **traces_environment(fleet.spec.monitoring),
        },
        ports=[
            {"name": "hop", "containerPort": Port.HOP, "protocol": "UDP"},
            {"name": "api", "containerPort": Port.TRANSCEIVER_API, "protocol": "TCP"},
        ],
        placement=spec,
        requests={"cpu": "500m", "memory": "256Mi"},
        limits={"memory": "1Gi"},
        volumes=(secret_volume("certificate", CERTIFICATE, certificate_name(fleet.name)), *agent_volumes(fleet)),
        downward={Env.POD_ADDRESS: "status.podIP"},
    )
    template = service_pod(fleet, here, container, labels, transceiver_name(shard.name), spec.drain.deadline)
    template = with_hash(template, template)  # so that a pod shows whether it is of the newest template
    unavailable = unavailable_pods(shard, replicas)
    # A rollout that may neither surge nor miss a pod could not move at all.
    surge = spec.rollout.max_surge.of(replicas) or (0 if unavailable else 1)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(shard, transceiver_name(shard.name), labels),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "minReadySeconds": SETTLES,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable},
            },
        },
    }
