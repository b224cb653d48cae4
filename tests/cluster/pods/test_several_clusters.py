"""One fleet whose relays and transceivers are in clusters that share a secret, a session map and a network.

Two namespaces stand for the clusters: neither's VoiceFleet knows anything of the other's.
"""

import base64
import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.voice import PROJECT, SMALL, Voice

HOW_TO = PROJECT / "docs" / "how-to" / "several-clusters.md"
EXAMPLE = PROJECT / "docs" / "examples" / "several-clusters.yaml"
REDIS = "voice-shared"


def _command(cluster: Cluster) -> str:
    """What the how-to says to type, for this one cluster instead of two contexts."""
    (block,) = re.findall(r"```\n(kubectl --context core.*?)```", HOW_TO.read_text(), re.DOTALL)
    kubectl = shlex.join(cluster.command())
    return str(re.sub(r"kubectl --context (core|edge)", lambda _: kubectl, block))


@pytest.fixture
def two(chart: Cluster) -> Iterator[tuple[Voice, Voice]]:
    """The core and the edge of the example; each gets what the how-to says, and nothing else."""
    core, edge = Voice(chart, "voice-core", "world"), Voice(chart, "voice-edge", "world")
    documents = list(yaml.safe_load_all(EXAMPLE.read_text()))
    for each in documents:
        if each["kind"] == "VoiceFleet":
            each["spec"]["signaling"]["resources"] = SMALL["resources"]
        else:
            each["spec"] |= SMALL
    for name in (REDIS, core.namespace, edge.namespace):
        chart.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # A Redis that belongs to neither: here, that of a third fleet.
    shared = {"apiVersion": "voicefleet.dev/v1alpha1", "kind": "VoiceFleet"} | {
        "metadata": {"name": "redis", "namespace": REDIS},
        "spec": {"networkPolicy": False, "signaling": {"replicas": 1, **SMALL}},
    }
    chart.apply(shared)
    store = Voice(chart, REDIS)
    store.until(lambda: store.pods("session-map"), "there is a Redis")
    url = base64.b64decode(store.get("secret/redis-session-map")["data"]["url"]).decode()
    url = url.replace("redis-session-map:", f"redis-session-map.{REDIS}.svc:")
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"url": url}}
    for voice in (core, edge):
        chart.apply(secret | {"metadata": {"name": "world-redis", "namespace": voice.namespace}})
    chart.apply(*(each for each in documents if each["metadata"]["namespace"] == core.namespace))
    core.until(lambda: "secret/world-keys" in core.k("get", "secrets", "-o", "name"), "the core has its keys")
    subprocess.run(("bash", "-o", "pipefail", "-ec", _command(chart)), check=True, timeout=60)
    chart.apply(*(each for each in documents if each["metadata"]["namespace"] == edge.namespace))
    core.k("wait", "--for=condition=Ready", "ts/core", "--timeout=300s")
    edge.k("wait", "--for=condition=Ready", "rp/edge", "--timeout=300s")
    core.k("rollout", "status", "deploy/world-signaling", "--timeout=300s")
    yield core, edge
    for voice in (core, edge, store):
        chart.must("delete", "namespace", voice.namespace, "--wait=false")


@pytest.mark.timeout(1200)
def test_calls_go_through_relays_of_one_cluster_to_transceivers_of_another(two: tuple[Voice, Voice]) -> None:
    core, edge = two
    assert not core.pods("relay") and not edge.pods("transceiver")
    assert core.get("secret/world-keys")["data"] == edge.get("secret/world-keys")["data"]
    with core.callers(3) as callers:
        callers.report()
        (relay,) = edge.pods("relay")
        edge.until(
            lambda: edge.metric(relay, "voicefleet_relay_packets_total", direction="downlink") > 300,
            "the echo comes back through the edge",
        )
        calls = callers.report()
    assert [each.ended for each in calls] == [""] * 3
    assert {each.port for each in calls} == {edge.get("rp/edge")["status"]["port"]}
