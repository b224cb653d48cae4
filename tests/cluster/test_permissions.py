"""The operator runs with its generated roles in every test of this tier; here, that it uses all that they allow."""

import json
from typing import Any

import yaml

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.operator_process import ROLES
from voicefleet_operator.kube.endpoints import OWNED, POD_MONITOR, Endpoint

ACCOUNT = "operator"
Use = tuple[str, str, str]
"""API group, resource with its subresource, verb."""

NOT_SEEN: dict[Use, str] = {
    ("", "pods", "delete"): "only for a finished pod that a ReplicaSet passed over, which no test can make it do",
    **{
        ("voicefleet.dev", f"{plural}/finalizers", "update"): "the API server asks for it when it checks owners"
        for plural in ("voicefleets", "relaypools", "transceivershards", "scalingpolicies")
    },
}
"""What the audit log cannot show, with the reason why it is needed all the same."""


async def test_the_role_allows_what_the_operator_uses_and_nothing_else(voice: Namespace) -> None:
    await _lives_through_everything(voice)
    used, refused = _asked(voice.plane)
    assert refused == set()
    granted = _granted("cluster.yaml") | _granted("lease.yaml")
    assert used - granted == set(), "used through some other role"
    assert granted - used == NOT_SEEN.keys()


def test_the_roles_for_some_namespaces_are_the_same_ones_in_parts() -> None:
    assert _granted("namespace.yaml") | _granted("nodes.yaml") == _granted("cluster.yaml")


async def _lives_through_everything(voice: Namespace) -> None:
    """One fleet with a pool of each workload, a change of everything, leftovers of an earlier version, a policy."""
    voice.smallest()
    for name, workload in (("every-node", "DaemonSet"), ("some", "Deployment")):
        voice.apply("RelayPool", name, {"fleetRef": "demo", "workload": workload, "expose": {"type": "NodePort"}})
    await voice.until(lambda: len(voice.all("deployments")) == 5, "all workloads are there")
    await _refers_to_a_secret(voice)
    monitor = await voice.until(lambda: voice.get("podmonitor/demo-signaling"), "Prometheus is told")
    voice.kubectl("annotate", "vf/demo", "voicefleet.dev/rotate=now")
    policy = {"targetRef": {"kind": "RelayPool", "name": "some"}, "minReplicas": 2, "flows": 100}
    voice.apply("ScalingPolicy", "grows", policy)
    await voice.until(lambda: (voice.get("rp/some") or {})["spec"]["replicas"] == 2, "the policy has scaled the pool")
    voice.apply("ScalingPolicy", "grows-a-shard", {"targetRef": {"name": "main"}, "minReplicas": 3, "freeSessions": 1})
    await voice.until(lambda: (voice.get("ts/main") or {})["spec"]["replicas"] == 3, "and the shard")
    voice.kubectl("delete", "vsp", "--all")
    await voice.until(lambda: len(voice.pods(shard="main")) == 3, "three pods")
    for at, pod in enumerate(voice.pods(shard="main")):
        voice.run_pod(pod["metadata"]["name"], f"127.99.99.{at + 2}")  # where nobody answers
    voice.kubectl("scale", "ts/main", "--replicas=1")
    await voice.until(lambda: voice.condition("ts/main", "Draining")[0] == "True", "pods are marked")
    pool = voice.get("rp/edge") or {}
    owner = {"apiVersion": pool["apiVersion"], "kind": "RelayPool", "name": "edge", "uid": pool["metadata"]["uid"]}
    for endpoint in (*OWNED.values(), POD_MONITOR):
        voice.plane.apply(_left_by_an_earlier_version(endpoint, voice.name, {**owner, "controller": True}))
        target = f"{endpoint.plural}.{endpoint.group}".rstrip(".") + "/left-over"
        await voice.until(lambda target=target: voice.get(target) is None, f"{target} was removed")  # type: ignore[misc]
    assert monitor["spec"]["podMetricsEndpoints"]


async def _refers_to_a_secret(voice: Namespace) -> None:
    realtime = {"url": "wss://model.example", "apiKeySecretRef": {"name": "model", "key": "key"}}
    voice.apply("VoiceFleet", "modelled", {"agent": {"type": "Realtime", "realtime": realtime}})
    await voice.until(lambda: voice.condition("vf/modelled", "Ready")[1] == "SecretMissing", "it looks for its Secret")


def _left_by_an_earlier_version(endpoint: Endpoint, namespace: str, owner: dict[str, Any]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "voicefleet-operator"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    selected = {"selector": {"matchLabels": labels}}
    specs: dict[str, dict[str, Any]] = {
        "Deployment": {"spec": {"replicas": 0, **selected, "template": template}},
        "DaemonSet": {"spec": {**selected, "template": template}},
        "Service": {"spec": {"ports": [{"port": 80}]}},
        "NetworkPolicy": {"spec": {"podSelector": {}}},
        "PodDisruptionBudget": {"spec": selected},
    }
    metadata = {"name": "left-over", "namespace": namespace, "labels": labels, "ownerReferences": [owner]}
    return {
        "apiVersion": endpoint.api_version,
        "kind": endpoint.kind,
        "metadata": metadata,
        **specs.get(endpoint.kind, {}),
    }


def _asked(plane: ApiServer) -> tuple[set[Use], set[str]]:
    """What the operator asked for and got, and what it was refused."""
    used, refused = set(), set()
    for line in plane.audit_log.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] != f"system:serviceaccount:default:{ACCOUNT}" or "objectRef" not in event:
            continue
        what, verb = event["objectRef"], event["verb"]
        if event["responseStatus"]["code"] == 403 and "being terminated" not in event["responseStatus"].get(
            "message", ""
        ):
            refused.add(f"{verb} {event['requestURI']}")
        resource = "/".join(each for each in (what["resource"], what.get("subresource", "")) if each)
        used.add((what.get("apiGroup", ""), resource, verb))
        if verb == "patch" and event["responseStatus"]["code"] == 201:  # an apply that made the object
            used.add((what.get("apiGroup", ""), resource, "create"))
    return used, refused


def _granted(file: str) -> set[Use]:
    rules = yaml.safe_load((ROLES / file).read_text())["rules"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
