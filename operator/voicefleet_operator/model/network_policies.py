"""Who may speak to whom: NetworkPolicies that let in what each part needs, and nothing else.

Only ingress is bounded. What relays and transceivers send goes to clients and models, whose addresses nobody knows.
The health port is open to all: a kubelet's probes come from its node, and Prometheus from anywhere in the cluster.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from voicefleet.contract import Component, Label, Port
from voicefleet_operator.model.manifest import (
    Manifest,
    fleet_selector,
    metadata,
    pool_selector,
    relay_name,
    session_map_name,
    shard_selector,
    signaling_name,
    transceiver_name,
)
from voicefleet_operator.model.resources import Fleet, Pool, Resource, Shard

HOP_PORTS = 64
"""Workers that a transceiver may have at most; each takes a hop port."""


def relay_policy(pool: Pool, port: int) -> Manifest:
    """Clients from everywhere to the public port; transceivers to whatever port their hop answers go to."""
    public = [_port("UDP", port), *([_port("TCP", port)] if pool.spec.expose.tcp else [])]
    transceivers = _pods(pool.spec.fleet_ref, Component.TRANSCEIVER)
    rules = [{"ports": public}, {"from": [transceivers], "ports": [{"protocol": "UDP"}]}, _health()]
    return _policy(pool, relay_name(pool.name), pool_selector(pool), rules)


def transceiver_policy(shard: Shard, nodes: bool = False, networks: Sequence[str] = ()) -> Manifest:
    """Relays, those of other clusters by their networks, to the hop ports; signaling and the operator to the internal
    API.

    With `nodes` relays run in their nodes' networks as well, whose packets no selector can name: then the hop ports,
    where every packet has to prove itself by the fleet's key, are open to all.
    """
    fleet = shard.spec.fleet_ref
    hop = {**_port("UDP", Port.HOP), "endPort": Port.HOP + HOP_PORTS - 1}
    api = {**_port("TCP", Port.TRANSCEIVER_API), "endPort": Port.TRANSCEIVER_API + HOP_PORTS - 1}
    relays = [_pods(fleet, Component.RELAY), *({"ipBlock": {"cidr": each}} for each in networks)]
    rules = [
        {**({} if nodes else {"from": relays}), "ports": [hop]},
        {"from": [_pods(fleet, Component.SIGNALING), _operator()], "ports": [api]},
        _health(),
    ]
    return _policy(shard, transceiver_name(shard.name), shard_selector(shard), rules)


def signaling_policy(fleet: Fleet) -> Manifest:
    """Offers from everywhere."""
    rules = [{"ports": [_port("TCP", Port.SIGNALING)]}, _health()]
    return _policy(fleet, signaling_name(fleet.name), fleet_selector(fleet, Component.SIGNALING), rules)


def session_map_policy(fleet: Fleet, nodes: bool = False) -> Manifest:
    """The fleet's own parts and the operator; with relays in their nodes' networks, all who know the password."""
    parts = [_pods(fleet.name, each) for each in (Component.RELAY, Component.TRANSCEIVER, Component.SIGNALING)]
    rules = [{**({} if nodes else {"from": [*parts, _operator()]}), "ports": [_port("TCP", Port.SESSION_MAP)]}]
    return _policy(fleet, session_map_name(fleet.name), fleet_selector(fleet, Component.SESSION_MAP), rules)


def _policy(owner: Resource[Any, Any], name: str, labels: Mapping[str, str], ingress: Sequence[Manifest]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(owner, name, labels),
        "spec": {"podSelector": {"matchLabels": dict(labels)}, "policyTypes": ["Ingress"], "ingress": list(ingress)},
    }


def _port(protocol: str, port: int) -> Manifest:
    return {"protocol": protocol, "port": port}


def _health() -> Manifest:
    return {"ports": [_port("TCP", Port.HEALTH)]}


def _pods(fleet: str, component: str) -> Manifest:
    return {"podSelector": {"matchLabels": {Label.COMPONENT: component, Label.FLEET: fleet}}}


def _operator() -> Manifest:
    """The operator's pods, in whatever namespace they run."""
    return {"namespaceSelector": {}, "podSelector": {"matchLabels": {Label.COMPONENT: Component.OPERATOR}}}
