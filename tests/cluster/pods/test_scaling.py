"""A policy takes a shard up with its calls and down again, and cuts no call."""

import json
from collections.abc import Iterator

import pytest

from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.voice import SMALL, Voice

API = {"apiVersion": "voicefleet.dev/v1alpha1"}
CALLS_A_POD = 5
FREE = 3
QUICKLY = {"type": "Pods", "value": 5, "period": "5s"}


@pytest.fixture
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
        {
            "kind": "ScalingPolicy",
            "metadata": {"name": "by-calls"},
            "spec": {
                "targetRef": {"kind": "TransceiverShard", "name": "main"},
                "minReplicas": 1,
                "maxReplicas": 3,
                "freeSessions": FREE,
                "behavior": {"scaleDown": {"stabilizationWindow": "5s", "policies": [QUICKLY]}},
            },
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
        return int(small.get("deploy/main-transceiver")["status"].get("readyReplicas", 0))

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
