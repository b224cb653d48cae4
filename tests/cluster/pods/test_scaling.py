"""A policy takes a shard up with its calls and down again, and cuts no call."""

import json
from collections.abc import Iterator

import pytest
import yaml

from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.prometheus_beside import answer, external_metrics
from tests.support.kubernetes.voice import PROJECT, SMALL, Voice

EXAMPLES = PROJECT / "docs" / "examples" / "autoscaling"

API = {"apiVersion": "voicefleet.dev/v1alpha1"}
CALLS_A_POD = 5
FREE = 3
QUICKLY = {"type": "Pods", "value": 5, "period": "5s"}
POLICY = API | {
    "kind": "ScalingPolicy",
    "metadata": {"name": "by-calls"},
    "spec": {
        "targetRef": {"kind": "TransceiverShard", "name": "main"},
        "minReplicas": 1,
        "maxReplicas": 3,
        "freeSessions": FREE,
        "behavior": {"scaleDown": {"stabilizationWindow": "5s", "policies": [QUICKLY]}},
    },
}


@pytest.fixture(scope="module")
def small(chart: Cluster) -> Iterator[Voice]:
    """A fleet whose transceivers take five calls each."""
    made = Voice(chart, "voice-scaled")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    chart.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.namespace, "labels": labels}})
    documents = [
        {
            "kind": "VoiceFleet",
            "metadata": {"name": "demo"},
            "spec": {"signaling": {"service": {"type": "LoadBalancer"}}},
        },
        {
            "kind": "RelayPool",
            "metadata": {"name": "edge"},
            "spec": {"fleetRef": "demo", "expose": {"type": "NodePort"}, **SMALL},
        },
        {
            "kind": "TransceiverShard",
            "metadata": {"name": "main"},
            "spec": {"fleetRef": "demo", "sessionsPerReplica": CALLS_A_POD, **SMALL},
        },
    ]
    whole = {"apiVersion": "v1", "kind": "List", "items": [API | each for each in documents]}
    made.k("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))
    made.wait_until_ready()
    yield made
    chart.must("delete", "namespace", made.namespace, "--wait=false")


@pytest.mark.timeout(1800)
def test_a_policy_takes_a_shard_from_one_to_three_and_back_and_cuts_no_call(small: Voice) -> None:
    def ready() -> int:
        return _ready(small)

    small.k("apply", "--server-side", "-f", "-", stdin=json.dumps(POLICY))
    with small.callers(4) as first:
        small.until(lambda: ready() == 2, "a second pod takes calls")
        with small.callers(4) as second:
            small.until(lambda: ready() == 3, "a third pod takes calls")
            with small.callers(4) as third:
                small.until(lambda: small.get("ts/main")["status"]["calls"] == 12, "all calls are counted")
                for group in (first, second, third):
                    assert not any(each.ended for each in group.report())
        small.until(lambda: len(small.pods("transceiver")) == 2, "a pod without calls goes")
        assert not any(each.ended for each in first.report()), "who is still talking talks on"
    small.until(lambda: len(small.pods("transceiver")) == 1, "one is left")
    small.k("delete", "vsp/by-calls")


def _ready(small: Voice) -> int:
    return int(small.get("deploy/main-transceiver")["status"].get("readyReplicas", 0))


@pytest.mark.timeout(1800)
def test_a_horizontal_pod_autoscaler_by_a_metric_of_prometheus_does_the_same(small: Voice) -> None:
    (autoscaler,) = yaml.safe_load_all((EXAMPLES / "hpa.yaml").read_text())
    autoscaler["spec"]["behavior"]["scaleDown"] = {
        "stabilizationWindowSeconds": 0
    }  # it waits for minutes, for a reason
    with external_metrics(small.node, EXAMPLES / "prometheus-adapter.yaml"):
        small.k("apply", "--server-side", "-f", "-", stdin=json.dumps(autoscaler))
        small.until(lambda: _ready(small) == 2, "as many as it wants at least")
        with small.callers(4) as first:
            with small.callers(4) as second:
                small.until(lambda: _ready(small) == 3, "8 calls are 160% of a pod, and 70% are wanted of each")
                assert answer(small.node, _keda_query(small)) == pytest.approx(160), "KEDA would see the same"
                for group in (first, second):
                    assert not any(each.ended for each in group.report())
            small.until(lambda: small.get("ts/main")["spec"]["replicas"] == 2, "the shard is to shrink")
            small.until(lambda: len(small.pods("transceiver")) == 2, "a pod without calls goes")
            assert not any(each.ended for each in first.report()), "who is still talking talks on"
        small.k("delete", "hpa/main")


def _keda_query(small: Voice) -> str:
    (scaled,) = yaml.safe_load_all((EXAMPLES / "keda.yaml").read_text())
    query: str = scaled["spec"]["triggers"][0]["metadata"]["query"]
    return query.replace('namespace="voice"', f'namespace="{small.namespace}"')
