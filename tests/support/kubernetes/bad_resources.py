"""What a user can get wrong in a custom resource: the API server and `voicefleet check` both have to refuse it."""

import json
from typing import Any

GOOD: dict[str, dict[str, Any]] = {
    "VoiceFleet": {},
    "RelayPool": {"fleetRef": "demo"},
    "TransceiverShard": {"fleetRef": "demo"},
    "ScalingPolicy": {"targetRef": {"kind": "TransceiverShard", "name": "main"}, "freeSessions": "20%"},
}
POOL_POLICY = {"targetRef": {"kind": "RelayPool", "name": "edge"}, "freeSessions": None}
EVENING = {"cron": "0 17 * * *", "duration": "5h", "minReplicas": 3}

# What is wrong, in which kind, with which change of a good spec; the field that the message names, and words from it.
REFUSED = [
    ("an agent of no known type", "VoiceFleet", {"agent": {"type": "Magic"}}, "spec.agent.type", "Unsupported value"),
    (
        "realtime without its server",
        "VoiceFleet",
        {"agent": {"type": "Realtime"}},
        "spec.agent",
        "realtime must be set",
    ),
    (
        "a model for the echo",
        "VoiceFleet",
        {"agent": {"type": "Echo", "realtime": {"url": "wss://x"}}},
        "spec.agent",
        "realtime must be set when type is Realtime",
    ),
    (
        "a class for the echo",
        "VoiceFleet",
        {"agent": {"type": "Echo", "python": {"entrypoint": "parrot:Parrot"}}},
        "spec.agent",
        "python must be set when type is Python",
    ),
    (
        "a class without its module",
        "VoiceFleet",
        {"agent": {"type": "Python", "python": {"entrypoint": "Parrot"}}},
        "spec.agent.python.entrypoint",
        "should match",
    ),
    (
        "a model by http",
        "VoiceFleet",
        {"agent": {"type": "Realtime", "realtime": {"url": "http://x"}}},
        "spec.agent.realtime.url",
        "should match",
    ),
    (
        "a model without url",
        "VoiceFleet",
        {"agent": {"type": "Realtime", "realtime": {}}},
        "spec.agent.realtime.url",
        "Required",
    ),
    (
        "a key reference without key",
        "VoiceFleet",
        {"agent": {"type": "Realtime", "realtime": {"url": "wss://x", "apiKeySecretRef": {"name": "model"}}}},
        "spec.agent.realtime.apiKeySecretRef.key",
        "Required",
    ),
    (
        "a Secret with a capital name",
        "VoiceFleet",
        {"signaling": {"apiKeysSecretRef": {"name": "Keys"}}},
        "spec.signaling.apiKeysSecretRef.name",
        "should match",
    ),
    ("negative signaling", "VoiceFleet", {"signaling": {"replicas": -1}}, "spec.signaling.replicas", "greater than"),
    ("too much signaling", "VoiceFleet", {"signaling": {"replicas": 101}}, "spec.signaling.replicas", "less than"),
    ("half a replica", "VoiceFleet", {"signaling": {"replicas": 1.5}}, "spec.signaling.replicas", "must be of type"),
    (
        "replicas in words",
        "VoiceFleet",
        {"signaling": {"replicas": "two"}},
        "spec.signaling.replicas",
        "must be of type",
    ),
    ("a host with spaces", "VoiceFleet", {"signaling": {"host": "my host"}}, "spec.signaling.host", "should match"),
    (
        "a proxy that is an address in a network",
        "VoiceFleet",
        {"signaling": {"trustedProxies": ["10.0.0.1/8"]}},
        "spec.signaling.trustedProxies[0]",
        "no address bits",
    ),
    (
        "a proxy twice",
        "VoiceFleet",
        {"signaling": {"trustedProxies": ["10.0.0.0/8", "10.0.0.0/8"]}},
        "spec.signaling.trustedProxies[1]",
        "Duplicate",
    ),
    (
        "signaling by NodePort",
        "VoiceFleet",
        {"signaling": {"service": {"type": "NodePort"}}},
        "spec.signaling.service.type",
        "Unsupported value",
    ),
    (
        "an external map without its url",
        "VoiceFleet",
        {"sessionMap": {"type": "External"}},
        "spec.sessionMap",
        "external must be set",
    ),
    (
        "an embedded map with a url",
        "VoiceFleet",
        {"sessionMap": {"type": "Embedded", "external": {"urlSecretRef": {"name": "redis", "key": "url"}}}},
        "spec.sessionMap",
        "external must be set when type is External, and only then",
    ),
    ("a geo database by path", "VoiceFleet", {"geo": {"database": "/x"}}, "spec.geo.database", "Unsupported value"),
    (
        "a place off the earth",
        "VoiceFleet",
        {"geo": {"networks": [{"cidr": "10.0.0.0/8", "latitude": 91, "longitude": 0}]}},
        "spec.geo.networks[0].latitude",
        "less than or equal to 90",
    ),
    (
        "a place without a network",
        "VoiceFleet",
        {"geo": {"networks": [{"latitude": 1, "longitude": 0}]}},
        "spec.geo.networks[0].cidr",
        "Required",
    ),
    (
        "two places for a network",
        "VoiceFleet",
        {
            "geo": {
                "networks": [
                    {"cidr": "10.0.0.0/8", "latitude": 1, "longitude": 0},
                    {"cidr": "10.0.0.0/8", "latitude": 2, "longitude": 0},
                ]
            }
        },
        "spec.geo.networks[1]",
        "Duplicate",
    ),
    (
        "a region with a space",
        "VoiceFleet",
        {"geo": {"defaultRegion": "eu central"}},
        "geo.defaultRegion",
        "should match",
    ),
    (
        "a range that ends before it begins",
        "VoiceFleet",
        {"ports": {"range": {"from": 31000, "to": 30000}}},
        "spec.ports.range",
        "from must not be greater than to",
    ),
    ("a privileged port", "VoiceFleet", {"ports": {"range": {"from": 80, "to": 90}}}, "ports.range.from", "1024"),
    ("a port beyond all", "VoiceFleet", {"ports": {"range": {"to": 70000}}}, "spec.ports.range.to", "65535"),
    ("a quarantine without unit", "VoiceFleet", {"ports": {"quarantine": "10"}}, "ports.quarantine", "should match"),
    ("a quarantine as a number", "VoiceFleet", {"ports": {"quarantine": 600}}, "ports.quarantine", "must be of type"),
    ("a rotation in weeks", "VoiceFleet", {"keys": {"rotateEvery": "1w"}}, "spec.keys.rotateEvery", "should match"),
    ("no hop networks", "VoiceFleet", {"hopNetworks": []}, "spec.hopNetworks", "at least 1"),
    ("a hop network that is none", "VoiceFleet", {"hopNetworks": ["pods"]}, "spec.hopNetworks[0]", "must be a network"),
    ("an odd pull policy", "VoiceFleet", {"image": {"pullPolicy": "Often"}}, "image.pullPolicy", "Unsupported value"),
    ("an odd log level", "VoiceFleet", {"logLevel": "loud"}, "spec.logLevel", "Unsupported value"),
    ("a monitor by force", "VoiceFleet", {"monitoring": {"serviceMonitor": "Always"}}, "serviceMonitor", "Unsupported"),
    ("an unknown field", "VoiceFleet", {"singaling": {}}, "spec.singaling", "unknown field"),
    ("a pool of no fleet", "RelayPool", {"fleetRef": None}, "spec.fleetRef", "Required"),
    ("a fleet with a dot", "RelayPool", {"fleetRef": "a.b"}, "spec.fleetRef", "should match"),
    ("a pool with half a place", "RelayPool", {"location": {"latitude": 1}}, "spec.location.longitude", "Required"),
    ("a workload of pods", "RelayPool", {"workload": "Pod"}, "spec.workload", "Unsupported value"),
    (
        "replicas of a DaemonSet",
        "RelayPool",
        {"workload": "DaemonSet", "replicas": 3},
        "spec",
        "replicas has no meaning when workload is DaemonSet",
    ),
    ("too many relays", "RelayPool", {"replicas": 1001}, "spec.replicas", "less than or equal to 1000"),
    ("exposed by Ingress", "RelayPool", {"expose": {"type": "Ingress"}}, "spec.expose.type", "Unsupported value"),
    ("port nought", "RelayPool", {"expose": {"port": 0}}, "spec.expose.port", "must be Auto or a port"),
    ("port beyond all", "RelayPool", {"expose": {"port": 65536}}, "spec.expose.port", "must be Auto or a port"),
    ("a port by another word", "RelayPool", {"expose": {"port": "Any"}}, "spec.expose.port", "must be Auto or a port"),
    (
        "a balancer for host ports",
        "RelayPool",
        {"expose": {"type": "HostPort", "loadBalancer": {"class": "x"}}},
        "spec.expose",
        "loadBalancer can be set only when type is LoadBalancer",
    ),
    (
        "two relays in one node's network",
        "RelayPool",
        {"expose": {"type": "HostNetwork"}},
        "spec",
        "expose.type HostNetwork needs workload DaemonSet",
    ),
    (
        "a name to advertise",
        "RelayPool",
        {"expose": {"advertise": ["relay.example"]}},
        "spec.expose.advertise[0]",
        "must be an IP address",
    ),
    (
        "a source that is none",
        "RelayPool",
        {"expose": {"type": "LoadBalancer", "loadBalancer": {"sourceRanges": ["all"]}}},
        "sourceRanges[0]",
        "must be a network",
    ),
    ("a fast datapath", "RelayPool", {"datapath": "Fast"}, "spec.datapath", "Unsupported value"),
    ("no flows", "RelayPool", {"limits": {"flows": 1}}, "spec.limits.flows", "greater than or equal to 100"),
    ("a drain of no time", "RelayPool", {"drain": {"deadline": "0"}}, "spec", "drain.deadline must not be 0"),
    ("more than all unavailable", "RelayPool", {"maxUnavailable": "120%"}, "spec.maxUnavailable", "from 0% to 100%"),
    ("memory in words", "RelayPool", {"resources": {"limits": {"memory": "lots"}}}, "limits.memory", "should match"),
    (
        "a taint tolerated in a new way",
        "RelayPool",
        {"tolerations": [{"operator": "Maybe"}]},
        "spec.tolerations[0].operator",
        "Unsupported value",
    ),
    ("no room for calls", "TransceiverShard", {"sessionsPerReplica": 0}, "sessionsPerReplica", "greater than or equal"),
    ("a surge of less than none", "TransceiverShard", {"rollout": {"maxSurge": -1}}, "rollout.maxSurge", "from 0"),
    ("a deadline in words", "TransceiverShard", {"drain": {"deadline": "soon"}}, "drain.deadline", "should match"),
    ("a policy for a fleet", "ScalingPolicy", {"targetRef": {"kind": "VoiceFleet"}}, "targetRef.kind", "Unsupported"),
    ("a policy for nothing", "ScalingPolicy", {"targetRef": {"name": None}}, "spec.targetRef.name", "Required"),
    (
        "bounds crossed",
        "ScalingPolicy",
        {"minReplicas": 5, "maxReplicas": 2},
        "spec",
        "minReplicas must not be greater",
    ),
    ("no goal", "ScalingPolicy", {"freeSessions": None}, "spec", "at least one goal must be set"),
    (
        "free calls of a relay",
        "ScalingPolicy",
        {**POOL_POLICY, "freeSessions": 5},
        "spec",
        "freeSessions and utilization",
    ),
    ("packets of a shard", "ScalingPolicy", {"packetsPerSecond": 5}, "spec", "packetsPerSecond and flows"),
    ("more than full", "ScalingPolicy", {"utilization": 101}, "spec.utilization", "less than or equal to 100"),
    (
        "a cron with six fields",
        "ScalingPolicy",
        {"schedules": [{**EVENING, "cron": "0 0 17 * * *"}]},
        "spec.schedules[0].cron",
        "should match",
    ),
    (
        "a schedule that changes nothing",
        "ScalingPolicy",
        {"schedules": [{"cron": "0 17 * * *", "duration": "5h"}]},
        "spec.schedules[0]",
        "minReplicas or maxReplicas must be set",
    ),
    (
        "a schedule with crossed bounds",
        "ScalingPolicy",
        {"schedules": [{**EVENING, "maxReplicas": 1}]},
        "spec.schedules[0]",
        "minReplicas must not be greater",
    ),
    (
        "a step of nothing",
        "ScalingPolicy",
        {"behavior": {"scaleDown": {"policies": []}}},
        "spec.behavior.scaleDown.policies",
        "at least 1",
    ),
    (
        "a query that shares nothing out",
        "ScalingPolicy",
        {"query": {"server": "http://p", "promql": "x", "targetPerReplica": 0}},
        "spec.query.targetPerReplica",
        "greater than 0",
    ),
]

CHANGED = [
    ("another fleet for a pool", "RelayPool", {"fleetRef": "other"}, "spec.fleetRef", "make a new pool"),
    ("another fleet for a shard", "TransceiverShard", {"fleetRef": "other"}, "spec.fleetRef", "make a new shard"),
    (
        "another target",
        "ScalingPolicy",
        {"targetRef": {"kind": "TransceiverShard", "name": "other"}},
        "spec.targetRef",
        "make a new policy",
    ),
    (
        "a smaller range",
        "VoiceFleet",
        {"ports": {"range": {"from": 30478, "to": 30500}}},
        "spec.ports.range",
        "the range can grow but not shrink",
    ),
]


def merged(spec: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A spec with a change; None takes a field away."""
    result = {**spec}
    for key, value in change.items():
        result[key] = merged(spec[key], value) if isinstance(spec.get(key), dict) and value else value
    return {key: value for key, value in result.items() if value is not None}


def document(kind: str, spec: dict[str, Any], name: str = "bad") -> str:
    """The object as JSON."""
    return json.dumps({"apiVersion": "voicefleet.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
