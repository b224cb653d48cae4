"""What a RelayPool becomes: relays, the Services in front of them, and what each relay tells clients to call.

A relay has to say its public address itself, and it differs from node to node where the node is the address. So there
is a file for each node in one ConfigMap, and a relay reads the one of its node; where the address is the same for all,
every file says the same.
"""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voicefleet.contract import Component, Env, Port
from voicefleet_operator.api.relay_pool import LoadBalancer
from voicefleet_operator.api.spelling import duration
from voicefleet_operator.model.manifest import Manifest, metadata, pool_selector, relay_name
from voicefleet_operator.model.network_policies import relay_policy
from voicefleet_operator.model.pod import Container, Volume, config_volume, place_text, service_pod, with_hash
from voicefleet_operator.model.resources import Fleet, Installation, Pool
from voicefleet_operator.model.surroundings import account, disruption_budget, pod_monitor

ADDRESSES: Final = "/etc/voicefleet/addresses"
PUBLIC: Final = "public"


@dataclass(frozen=True, slots=True)
class Advertised:
    """What clients are told: the same for all relays, or by the node that a relay runs on."""

    everywhere: tuple[str, ...] = ()
    by_node: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.everywhere or self.by_node)

    def first(self, port: int) -> tuple[str, ...]:
        """Addresses with the port, for the status; at most eight."""
        addresses = self.everywhere or tuple(dict.fromkeys(each for _, some in self.by_node for each in some))
        return tuple(f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in addresses[:8])


def relay_manifests(
    pool: Pool, fleet: Fleet, here: Installation, port: int, advertised: Advertised, health: int = Port.HEALTH
) -> tuple[Manifest, ...]:
    """Everything that a pool consists of, once it has its ports; relays only when they know their addresses."""
    host_network = on_host_network(pool)
    labels = pool_selector(pool)
    made = [account(pool, relay_name(pool.name), labels), *services(pool, port)]
    if advertised.known:
        made += [addresses(pool, advertised), workload(pool, fleet, here, port, advertised, health)]
    made.append(disruption_budget(pool, relay_name(pool.name), labels, _count(pool.spec.max_unavailable)))
    if fleet.spec.network_policy and not host_network:  # where policies mean nothing
        made.append(relay_policy(pool, port))
    if here.service_monitors and fleet.spec.monitoring.service_monitor == "Auto":
        made.append(pod_monitor(pool, relay_name(pool.name), labels, health if host_network else None))
    return tuple(made)


def addresses(pool: Pool, advertised: Advertised) -> Manifest:
    """One settings file for each node, or one for all."""
    files = {f"{node}.yaml": _settings(some) for node, some in advertised.by_node}
    if advertised.everywhere:
        files = {f"{PUBLIC}.yaml": _settings(advertised.everywhere)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(pool, f"{relay_name(pool.name)}-addresses", pool_selector(pool)),
        "data": files,
    }


def on_host_network(pool: Pool) -> bool:
    """Whether the pool's relays run in their nodes' networks, where one takes over from the other."""
    return pool.spec.expose.type == "HostNetwork"


def workload(
    pool: Pool, fleet: Fleet, here: Installation, port: int, advertised: Advertised, health: int = Port.HEALTH
) -> Manifest:
    """The Deployment or DaemonSet of the relays."""
    spec, labels = pool.spec, pool_selector(pool)
    host_port = {"hostPort": port} if spec.expose.type == "HostPort" else {}
    ports = [{"name": "udp", "containerPort": port, "protocol": "UDP", **host_port}]
    if spec.expose.tcp:
        ports.append({"name": "tcp", "containerPort": port, "protocol": "TCP", **host_port})
    file = f"{PUBLIC}.yaml" if advertised.everywhere else f"$({Env.NODE}).yaml"
    environment = {
        Env.CONFIG: f"{ADDRESSES}/{file}",
        Env.POOL: pool.name,
        Env.REGION: spec.region,
        Env.LISTEN: f"0.0.0.0:{port},[::]:{port}",
        Env.HOP_NETWORKS: ",".join(fleet.spec.hop_networks),
        Env.ICE_TCP: str(spec.expose.tcp).lower(),
        Env.DATAPATH: spec.datapath,
        Env.WORKERS: str(spec.workers),
        Env.DRAIN_DEADLINE: duration(spec.drain.deadline),
        Env.MAX_FLOWS: str(spec.limits.flows),
        Env.FLOW_IDLE: duration(spec.limits.idle),
        **place_text(spec.location),
    }
    container = Container(
        component=Component.RELAY,
        environment=environment,
        ports=ports,
        placement=spec,
        requests={"cpu": "250m", "memory": "128Mi"},
        limits={"memory": "512Mi"},
        volumes=(_addresses_volume(pool),),
        kernel=spec.datapath != "Userspace",
        host_network=on_host_network(pool),
        health=health,
    )
    template = service_pod(fleet, here, container, labels, relay_name(pool.name), spec.drain.deadline)
    # Nodes come and go without a rollout; an address that all relays share is read only when a relay starts.
    template = with_hash(template, advertised.everywhere)
    document: Manifest = {
        "apiVersion": "apps/v1",
        "kind": spec.workload,
        "metadata": metadata(pool, relay_name(pool.name), labels),
        "spec": {"selector": {"matchLabels": labels}, "template": template, "revisionHistoryLimit": 3},
    }
    unavailable = _count(spec.max_unavailable)
    if spec.workload == "DaemonSet":
        rolling = {"maxUnavailable": unavailable, "maxSurge": 0}
        if on_host_network(pool):
            rolling = {"maxUnavailable": 0, "maxSurge": 1}
        document["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
        return document
    # A host port cannot be held twice on a node, so where the port is the node's a new relay waits for the old one.
    rolling = {"maxUnavailable": unavailable, "maxSurge": 0 if host_port else "25%"}
    document["spec"] |= {
        "replicas": spec.replicas,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        "progressDeadlineSeconds": 600,
    }
    return document


def services(pool: Pool, port: int) -> list[Manifest]:
    """Nothing for ports of nodes; else a Service for UDP and one for TCP.

    Not every load balancer takes both at one address and port. For node ports it has to be one Service: the API server
    gives a number to one Service only, whatever the protocol.
    """
    expose = pool.spec.expose
    protocols = ["UDP", *(["TCP"] if expose.tcp else [])]
    if expose.type in ("HostPort", "HostNetwork"):
        return []
    if expose.type == "NodePort":
        return [_service(pool, relay_name(pool.name), port, protocols)]
    return [_service(pool, f"{relay_name(pool.name)}-{each.lower()}", port, [each]) for each in protocols]


def _service(pool: Pool, name: str, port: int, protocols: list[str]) -> Manifest:
    expose = pool.spec.expose
    balancer = expose.load_balancer or LoadBalancer()
    node_port = {"nodePort": port} if expose.type == "NodePort" else {}
    spec: Manifest = {
        "type": expose.type,
        "selector": pool_selector(pool),
        "ports": [
            {"name": each.lower(), "port": port, "targetPort": port, "protocol": each, **node_port}
            for each in protocols
        ],
        # The client's own address has to arrive: relays bound what an address may do, and follow it when it moves.
        "externalTrafficPolicy": "Local",
        "ipFamilyPolicy": "PreferDualStack",
    }
    annotations = {}
    if expose.type == "LoadBalancer":
        annotations = dict(balancer.annotations)
        if balancer.load_balancer_class:
            spec["loadBalancerClass"] = balancer.load_balancer_class
        if balancer.address:
            spec["loadBalancerIP"] = balancer.address
        if balancer.source_ranges:
            spec["loadBalancerSourceRanges"] = list(balancer.source_ranges)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(pool, name, pool_selector(pool), annotations=annotations),
        "spec": spec,
    }


def advertised_addresses(pool: Pool, nodes: Mapping[str, tuple[str, ...]], balancers: tuple[str, ...]) -> Advertised:
    """What clients are told: what the user says, or what the load balancer has, or each node's own addresses."""
    if pool.spec.expose.advertise:
        return Advertised(everywhere=pool.spec.expose.advertise)
    if pool.spec.expose.type == "LoadBalancer":
        return Advertised(everywhere=tuple(each for each in balancers if _is_address(each)))
    return Advertised(by_node=tuple(sorted((node, some) for node, some in nodes.items() if some)))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _settings(some: tuple[str, ...]) -> str:
    return json.dumps({"publicAddresses": list(some)}) + "\n"  # which is YAML, too


def _addresses_volume(pool: Pool) -> Volume:
    return config_volume("addresses", ADDRESSES, f"{relay_name(pool.name)}-addresses")


def _count(share: object) -> int | str:
    text = str(share)
    return text if text.endswith("%") else int(text)
