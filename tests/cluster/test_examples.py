"""Every example applies as it stands, and kubectl knows the four kinds."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.monitoring.known_metrics import asked, checked
from tests.support.kubernetes.api_server import ApiServer
from voicefleet.contract import Label
from voicefleet_operator.api.kinds import KINDS

EXAMPLES = sorted(Path("docs/examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_applies_as_it_stands(plane: ApiServer, namespace: str, path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    named = sorted({each["metadata"].get("namespace", namespace) for each in documents} - {namespace})
    for name in named:
        plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    here = () if named else ("-n", namespace)
    ran = plane.kubectl("apply", "--server-side", "--validate=strict", *here, "-f", str(path))
    for name in named:
        plane.kubectl("delete", "namespace", name, "--wait=false")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("serverside-applied") == len(documents)


def test_kubectl_shows_the_four_kinds_under_one_category(plane: ApiServer, namespace: str) -> None:
    plane.kubectl("apply", "--server-side", "-n", namespace, "-f", "docs/examples/regions.yaml")
    shown = plane.kubectl("get", "voice", "-n", namespace).stdout
    for name in ("voicefleet.voicefleet.dev/world", "relaypool.voicefleet.dev/fra", "scalingpolicy.voicefleet.dev/eu"):
        assert name in shown
    for short, columns in {
        "vf": ("READY", "CALLS", "CAPACITY", "ENDPOINT", "AGE"),
        "rp": ("READY", "RELAYS", "FLOWS", "REGION", "ADDRESS", "AGE"),
        "ts": ("READY", "CALLS", "CAPACITY", "PODS", "REGION", "AGE"),
        "vsp": ("READY", "TARGET", "MIN", "MAX", "NOW", "WANTS", "AGE"),
    }.items():
        header = plane.kubectl("get", short, "-n", namespace).stdout.splitlines()[0].split()
        assert [column for column in columns if column not in header] == []


def test_kubectl_scale_reaches_pools_and_shards(plane: ApiServer, namespace: str) -> None:
    plane.kubectl("apply", "--server-side", "-n", namespace, "-f", "docs/examples/smallest.yaml")
    for target in ("rp/edge", "ts/main"):
        scaled = plane.kubectl("scale", target, "--replicas=4", "-n", namespace)
        assert scaled.returncode == 0, scaled.stderr
        assert plane.kubectl("get", target, "-n", namespace, "-o", "jsonpath={.spec.replicas}").stdout == "4"


def test_kubectl_explains_a_field(plane: ApiServer) -> None:
    text = plane.kubectl("explain", "relaypool.spec.expose.type").stdout
    assert "HostPort" in text and "the fastest" in text


def test_the_api_server_fills_in_what_the_operator_would(plane: ApiServer, namespace: str) -> None:
    plane.kubectl("apply", "--server-side", "-n", namespace, "-f", "docs/examples/smallest.yaml")
    for target, kind in (("vf/demo", "VoiceFleet"), ("rp/edge", "RelayPool"), ("ts/main", "TransceiverShard")):
        filled = json.loads(plane.kubectl("get", target, "-n", namespace, "-o", "json").stdout)["spec"]
        model = KINDS[kind].spec
        written = model.model_validate({"fleetRef": "demo"} if kind != "VoiceFleet" else {})
        assert model.model_validate(filled) == written
        assert filled == _without_none(written.model_dump(mode="json", by_alias=True)) | _spelled(filled)


def _without_none(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _without_none(value) for key, value in document.items() if value is not None}
    return document


def _spelled(document: dict[str, Any]) -> dict[str, Any]:
    """Durations can be spelled in several ways (60m, 1h); the API server keeps the one that was written."""
    return {key: value for key, value in document.items() if isinstance(value, dict)}


def test_the_api_server_takes_the_example_of_a_horizontal_pod_autoscaler(plane: ApiServer, namespace: str) -> None:
    path = "docs/examples/autoscaling/hpa.yaml"
    ran = plane.kubectl("apply", "--server-side", "--validate=strict", "-n", namespace, "-f", path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("name", ["prometheus-adapter", "keda"])
def test_what_other_autoscalers_ask_prometheus_for_exists(name: str) -> None:
    text = Path(f"docs/examples/autoscaling/{name}.yaml").read_text()
    assert asked(checked(text, name)) == {"voicefleet_transceiver_calls", "voicefleet_transceiver_capacity"}
    assert f"{Label.SHARD.replace('.', '_').replace('/', '_')}" in text, "the label that the PodMonitors keep"
