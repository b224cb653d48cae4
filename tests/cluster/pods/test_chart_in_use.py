"""What a user does with the chart after it is there: test it, upgrade it."""

import json

import pytest

from tests.cluster.pods.conftest import CHART, REPOSITORY, TAG
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.voice import Voice


def test_helm_test_makes_a_call_of_the_fleet_that_the_chart_brought(chart: Cluster) -> None:
    calls = Voice(chart, "with-fleet")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    chart.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": calls.namespace, "labels": labels}})
    small = {"requests": {"cpu": "20m"}}
    values = {
        "image": {"repository": REPOSITORY, "tag": TAG},
        "rbac": {"create": False},  # there is an operator already, of all namespaces
        "operator": {"replicas": 0},
        "crds": {"upgrade": False},
        "fleet": {
            "enabled": True,
            "relayPool": {"spec": {"expose": {"type": "NodePort"}, "resources": small}},
            "transceiverShard": {"spec": {"resources": small}},
        },
    }
    path = chart.folder / "values.json"
    path.write_text(json.dumps(values))
    ran = chart.helm("install", "hello", str(CHART), "--namespace", calls.namespace, "--values", str(path))
    assert ran.returncode == 0, ran.stderr
    calls.wait_until_ready()
    ran = chart.helm("test", "hello", "--namespace", calls.namespace, "--timeout", "120s", "--logs")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = chart.helm("uninstall", "hello", "--namespace", calls.namespace)
    assert ran.returncode == 0, ran.stderr
    chart.must("delete", "namespace", calls.namespace, "--wait=false")


@pytest.mark.usefixtures("voice")
def test_helm_upgrade_brings_the_definitions_up_to_date_and_touches_no_fleet(chart: Cluster, voice: Voice) -> None:
    name = "crd/relaypools.voicefleet.dev"
    columns = "/spec/versions/0/additionalPrinterColumns"
    before = json.loads(chart.must("get", name, "-o", "json"))["spec"]
    chart.must("patch", name, "--type=json", "-p", json.dumps([{"op": "replace", "path": columns, "value": []}]))
    pods = {each["metadata"]["uid"] for each in voice.get("pods")["items"]}
    ran = chart.helm(
        *("upgrade", "voicefleet", str(CHART), "--namespace", "voicefleet-system", "--reuse-values"),
        *("--set", "operator.replicas=2", "--wait", "--timeout", "180s"),
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(chart.must("get", name, "-o", "json"))["spec"] == before
    assert {each["metadata"]["uid"] for each in voice.get("pods")["items"]} == pods
