"""What the pods of a fleet that is well tell Prometheus: all that dashboards and alerts ask for, and no alert fires."""

import json
import subprocess
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from scripts.monitoring.alerts import ALERTS, FILE
from scripts.monitoring.dashboards import files
from scripts.monitoring.known_metrics import asked
from tests.support.kubernetes.voice import PROJECT, Voice
from tests.support.promtool import promtool

SERVED_LATER = {"voicefleet_relay_kernel_refused_flows_total"}
"""Families without a sample until something happens are served all the same; those of the kernel tier are its own."""


def _scraped(voice: Voice) -> tuple[set[str], dict[str, float]]:
    """Names that pods serve, and their samples as Prometheus would keep them."""
    names: set[str] = set()
    samples: dict[str, float] = {}
    system = Voice(voice.cluster, "voicefleet-system")
    for where, components in ((voice, ("relay", "transceiver", "signaling")), (system, ("operator",))):
        for pod in (pod for component in components for pod in where.pods(component)):
            path = f"/api/v1/namespaces/{where.namespace}/pods/{pod}:8080/proxy/metrics"
            for family in text_string_to_metric_families(where.cluster.must("get", "--raw", path)):
                names |= {family.name, f"{family.name}_total", f"{family.name}_bucket", f"{family.name}_count"}
                for sample in family.samples:
                    labels = {"namespace": where.namespace} | sample.labels | {"pod": pod}
                    if labels["namespace"] not in (voice.namespace, system.namespace):
                        continue  # of another test's fleet, which may be on its way out
                    shown = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(labels.items()))
                    samples[f"{sample.name}{{{shown}}}"] = sample.value
    return names, samples


def test_a_fleet_that_is_well_serves_what_is_asked_for_and_fires_no_alert(voice: Voice, tmp_path: Path) -> None:
    with voice.callers(5) as callers:
        callers.report()
        voice.until(
            lambda: any(key.startswith("voicefleet_transceiver_calls{") and n for key, n in _scraped(voice)[1].items()),
            "calls are shown",
        )
        names, samples = _scraped(voice)
    rules = [each.when for group in ALERTS.values() for each in group]
    panels = [
        target["expr"]
        for text in files().values()
        for each in json.loads(text)["panels"]
        for target in each.get("targets", ())
    ]
    missing = {name for expression in (*rules, *panels) for name in asked(expression)} - names - SERVED_LATER
    assert not missing
    ours = {key: value for key, value in samples.items() if key.startswith("voicefleet_")}
    assert len(ours) > 300
    document = {
        "rule_files": [str(PROJECT / FILE)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": key, "values": f"{value}x180"} for key, value in ours.items()],
                "promql_expr_test": [{"expr": "ALERTS", "eval_time": "2h30m", "exp_samples": []}],
            }
        ],
    }
    path = tmp_path / "well.yaml"
    path.write_text(yaml.safe_dump(document))
    ran = subprocess.run(
        (str(promtool()), "test", "rules", str(path)), capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
