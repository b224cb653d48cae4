"""The chart and the plain manifests: what they render to, and that a real API server takes it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.programs import node_programs

PROJECT = Path(__file__).parents[2]
CHART = PROJECT / "helm" / "voicefleet"
SNAPSHOTS = Path(__file__).parent / "chart"
pytestmark = pytest.mark.timeout(3600)  # helm may have to be built first
EVERYTHING = (
    "operator.replicas=2",
    "operator.namespaces={voice,more}",
    "operator.priorityClassName=system-cluster-critical",
    "image.pullSecrets[0].name=registry",
    "fleetNamespace.create=true",
    "fleet.enabled=true",
    "monitoring.dashboards=false",
    "monitoring.podMonitor=Always",
    "monitoring.rules=Always",
    "monitoring.labels.release=prometheus",
    "monitoring.runbooks=https://wiki.example.com/voicefleet/",
)


def _helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (str(node_programs().helm), *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _rendered(*values: str) -> str:
    settings = [each for value in values for each in ("--set", value)]
    ran = _helm("template", "voicefleet", str(CHART), "--namespace", "voicefleet-system", *settings)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_helm_finds_nothing_to_say_about_the_chart() -> None:
    ran = _helm("lint", "--strict", str(CHART))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("name", "values"), [("default", ("monitoring.dashboards=false",)), ("everything", EVERYTHING)]
)
def test_the_chart_renders_to_what_was_reviewed(name: str, values: tuple[str, ...]) -> None:
    path, now = SNAPSHOTS / f"{name}.yaml", _rendered(*values)
    if os.environ.get("VF_WRITE_SNAPSHOTS"):
        path.write_text(now)
    assert now == path.read_text(), "VF_WRITE_SNAPSHOTS=1 writes it anew; then look at the difference"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("operator.replicas=many", "/operator/replicas"),
        ("operator.loglevel=info", "loglevel"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("fleet.relayPool.name=Edge", "/fleet/relayPool/name"),
        ("monitoring.rules=yes", "/monitoring/rules"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(value: str, told: str) -> None:
    ran = _helm("template", "voicefleet", str(CHART), "--set", value)
    assert ran.returncode != 0
    assert told in ran.stderr, ran.stderr


def test_the_dashboards_are_what_grafanas_sidecar_looks_for() -> None:
    found = {
        file: json.loads(text)
        for document in yaml.safe_load_all(_rendered())
        if document and (document["metadata"].get("labels") or {}).get("grafana_dashboard") == "1"
        for file, text in document["data"].items()
    }
    assert {each["uid"] for each in found.values()} == {
        f"voicefleet-{name}" for name in ("fleet", "relays", "transceivers", "operator")
    }


def test_the_api_server_takes_what_the_chart_renders(plane: ApiServer, namespace: str) -> None:
    values = [
        value for value in EVERYTHING if not value.startswith(("operator.namespaces", "fleetNamespace", "monitoring"))
    ]
    settings = [each for value in values for each in ("--set", value)]
    rendered = _helm("template", "voicefleet", str(CHART), "--namespace", namespace, *settings).stdout
    ran = plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=rendered)
    assert ran.returncode == 0, ran.stderr


def test_the_plain_manifests_make_an_operator(plane: ApiServer) -> None:
    ran = plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(PROJECT / "deploy"))
    assert ran.returncode == 0, ran.stderr
    assert "deployment.apps/voicefleet-operator serverside-applied" in ran.stdout
    plane.kubectl("delete", "namespace", "voicefleet-system", "--wait=false")
