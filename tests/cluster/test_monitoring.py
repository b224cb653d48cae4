"""Alert rules and dashboards: Prometheus' own tool holds the rules against series; each alert has its runbook."""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from scripts.monitoring.alerts import ALERTS, FILE, RUNBOOKS
from tests.support.promtool import promtool

PROJECT = Path(__file__).parents[2]
DASHBOARDS = PROJECT / "helm" / "voicefleet" / "files" / "dashboards"
pytestmark = pytest.mark.timeout(300)  # promtool may have to be fetched first

VOICE = 'namespace="voice"'
RELAY = f'{VOICE}, pod="edge-relay-1"'
POD = f'{VOICE}, pod="main-transceiver-1"'
DROPS = "voicefleet_relay_dropped_packets_total"


class Case(NamedTuple):
    """Series, a point a minute, of which an alert makes something; of the second ones it must not."""

    wrong: dict[str, str]
    right: dict[str, str]
    labels: dict[str, str]
    at: str = "2h30m"


def _both(series: dict[str, tuple[str, str]], at: str = "2h30m", **labels: str) -> Case:
    wrong, right = ({name: values[index] for name, values in series.items()} for index in (0, 1))
    return Case(wrong, right, labels, at)


RELAY_LABELS = {"namespace": "voice", "pod": "edge-relay-1"}
POD_LABELS = {"namespace": "voice", "pod": "main-transceiver-1"}
CASES = {
    "VoicefleetCallsFail": _both(
        {
            f'voicefleet_signaling_calls_total{{{VOICE}, result="answered"}}': ("0+100x200", "0+100x200"),
            f'voicefleet_signaling_calls_total{{{VOICE}, result="failed"}}': ("0+5x200", "0+1x200"),
            f'voicefleet_signaling_calls_total{{{VOICE}, result="refused"}}': ("0+900x200", "0+900x200"),
        },
        namespace="voice",
    ),
    "VoicefleetNoRoom": _both(
        {
            f'voicefleet_transceiver_calls{{{POD}, worker="0"}}': ("185x200", "175x200"),
            f"voicefleet_transceiver_capacity{{{POD}}}": ("200x200", "200x200"),
        },
        namespace="voice",
    ),
    "VoicefleetSetUpSlow": _both(
        {
            f'voicefleet_call_setup_seconds_bucket{{{POD}, stage="first_audio_out", le="{le}"}}': rates
            for le, rates in {
                "0.8": ("0+50x200", "0+98x200"),
                "2.0": ("0+80x200", "0+99x200"),
                "5.0": ("0+99x200", "0+100x200"),
            }.items()
        }
        | {
            f'voicefleet_call_setup_seconds_bucket{{{POD}, stage="first_audio_out", le="+Inf"}}': (
                "0+100x200",
                "0+100x200",
            )
        },
        namespace="voice",
    ),
    "VoicefleetAudioPoor": _both(
        {
            f'voicefleet_call_mos_bucket{{{POD}, direction="uplink", le="3.6"}}': ("0+15x200", "0+5x200"),
            f'voicefleet_call_mos_count{{{POD}, direction="uplink"}}': ("0+100x200", "0+100x200"),
        },
        namespace="voice",
    ),
    "VoicefleetTurnsOverBudget": _both(
        {
            f'voicefleet_turn_overruns_total{{{POD}, share="total"}}': ("0+30x200", "0+10x200"),
            f'voicefleet_turn_overruns_total{{{POD}, share="model"}}': ("0+90x200", "0+90x200"),
            f"voicefleet_turn_seconds_count{{{POD}}}": ("0+100x200", "0+100x200"),
        },
        namespace="voice",
    ),
    "VoicefleetRelayDrops": _both(
        {
            f'{DROPS}{{{RELAY}, reason="client_send_full"}}': ("0+200x200", "0+10x200"),
            f'{DROPS}{{{RELAY}, reason="stun_malformed"}}': ("0+9000x200", "0+9000x200"),
            f'voicefleet_relay_packets_total{{{RELAY}, tier="userspace"}}': ("0+100000x200", "0+100000x200"),
        },
        **RELAY_LABELS,
    ),
    "VoicefleetRelayFull": _both(
        {f'{DROPS}{{{RELAY}, reason="flows_full"}}': ("0+1x200", "7x200")}, **RELAY_LABELS, reason="flows_full"
    ),
    "VoicefleetRelayFlood": _both(
        {f'{DROPS}{{{RELAY}, reason="token_forged"}}': ("0+90000x200", "0+6000x200")}, **RELAY_LABELS
    ),
    "VoicefleetRelayLosesTransceivers": _both(
        {f'voicefleet_relay_events_total{{{RELAY}, event="peers_lost"}}': ("0+1x200", "1x200")}, **RELAY_LABELS
    ),
    "VoicefleetRelayFault": _both({f'{DROPS}{{{RELAY}, reason="fault"}}': ("0+1x200", "3x200")}, **RELAY_LABELS),
    "VoicefleetKernelTierMissing": Case(
        {f'voicefleet_relay_datapath{{{RELAY}, tier="userspace", wanted="Auto", reason="no libbpf"}}': "1x200"},
        {
            f'voicefleet_relay_datapath{{{RELAY}, tier="userspace", wanted="Userspace", reason="asked for"}}': "1x200",
            f'voicefleet_relay_datapath{{{VOICE}, pod="b", tier="kernel", wanted="Auto", reason="it can"}}': "1x200",
        },
        {**RELAY_LABELS, "reason": "no libbpf"},
    ),
    "VoicefleetSendingClockLate": _both(
        {
            f'voicefleet_sending_clock_error_seconds_bucket{{{POD}, worker="0", le="{le}"}}': rates
            for le, rates in {
                "0.002": ("0+900x200", "0+990x200"),
                "0.01": ("0+950x200", "0+999x200"),
                "0.05": ("0+999x200", "0+1000x200"),
                "+Inf": ("0+1000x200", "0+1000x200"),
            }.items()
        },
        **POD_LABELS,
    ),
    "VoicefleetWorkerDies": _both(
        {f'voicefleet_worker_restarts_total{{{POD}, worker="0"}}': ("0 0 0+1x200", "1x200")}, **POD_LABELS
    ),
    "VoicefleetWorkerDown": _both(
        {f'voicefleet_worker_up{{{POD}, worker="1"}}': ("0x200", "1x200")}, **POD_LABELS, worker="1"
    ),
    "VoicefleetSessionMapAway": _both(
        {
            f'voicefleet_redis_up{{{RELAY}, state="ok"}}': ("0x200", "1x200"),
            f'voicefleet_redis_up{{{RELAY}, state="unreachable"}}': ("1x200", "0x200"),
        },
        namespace="voice",
    ),
    "VoicefleetDirectoryStale": _both(
        {f"voicefleet_directory_age_seconds{{{RELAY}}}": ("0+60x200", "1x200")}, namespace="voice"
    ),
    "VoicefleetFileUnusable": _both(
        {f'voicefleet_file_good{{{RELAY}, file="keyring.json"}}': ("0x200", "1x200")},
        **RELAY_LABELS,
        file="keyring.json",
    ),
    "VoicefleetLoopStands": _both(
        {f'voicefleet_heartbeat_age_seconds{{{RELAY}, loop="packets-0"}}': ("0+60x200", "0.1x200")},
        **RELAY_LABELS,
        loop="packets-0",
    ),
    "VoicefleetErrorsLogged": _both(
        {f'voicefleet_log_lines_total{{{RELAY}, level="error"}}': ("0+60x200", "5x200")}, **RELAY_LABELS
    ),
    "VoicefleetOperatorAway": Case(
        {'voicefleet_operator_leads{pod="a"}': "0x200"},
        {'voicefleet_operator_leads{pod="a"}': "0x200", 'voicefleet_operator_leads{pod="b"}': "1x200"},
        {},
    ),
    "VoicefleetOperatorFails": _both(
        {'voicefleet_operator_reconcile_errors_total{kind="RelayPool", error="Forbidden"}': ("0+12x200", "2x200")},
        kind="RelayPool",
        error="Forbidden",
    ),
    "VoicefleetNotReady": _both(
        {
            'voicefleet_resource_condition{kind="RelayPool", namespace="voice", name="fra", type="Ready", '
            'reason="NoNode"}': (
                "0x200",
                "1x200",
            )
        },
        kind="RelayPool",
        namespace="voice",
        name="fra",
        reason="NoNode",
    ),
    "VoicefleetDegraded": _both(
        {
            'voicefleet_resource_condition{kind="RelayPool", namespace="voice", name="fra", type="Degraded", '
            'reason="PodsNotReady"}': ("1x200", "0x200")
        },
        kind="RelayPool",
        namespace="voice",
        name="fra",
        reason="PodsNotReady",
    ),
    "VoicefleetPortsRunOut": _both(
        {
            'voicefleet_port_leases{namespace="voice", name="demo", state="Bound"}': ("150x200", "10x200"),
            'voicefleet_port_leases{namespace="voice", name="demo", state="Released"}': ("40x200", "0x200"),
            'voicefleet_port_range{namespace="voice", name="demo"}': ("200x200", "200x200"),
        },
        namespace="voice",
        name="demo",
    ),
    "VoicefleetDrainLong": _both(
        {'voicefleet_draining_pods{namespace="voice", name="main"}': ("1x200", "0x200")},
        namespace="voice",
        name="main",
    ),
}


def _tests(folder: Path) -> list[Path]:
    """Of each alert, with its rule alone: that it fires, with the labels that a person needs, and that it does not.

    All rules in every test would be thirty times the work.
    """
    groups = yaml.safe_load((PROJECT / FILE).read_text())["groups"]
    rules = {rule["alert"]: (group, rule) for group in groups for rule in group["rules"]}
    paths = []
    for name, case in CASES.items():
        group, rule = rules[name]
        (folder / f"{name}.rules.yaml").write_text(yaml.safe_dump({"groups": [{**group, "rules": [rule]}]}))
        firing = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
        severity = "page" if next(each for each in _alerts() if each.name == name).page else "ticket"
        labels = {"alertname": name, "alertstate": "firing", "severity": severity, **case.labels}
        shown = ", ".join(f'{key}="{value}"' for key, value in labels.items())
        expected = [{"labels": f"ALERTS{{{shown}}}", "value": 1}]
        tests = [
            {
                "interval": "1m",
                "input_series": [{"series": key, "values": values} for key, values in series.items()],
                "promql_expr_test": [{"expr": firing, "eval_time": case.at, "exp_samples": samples}],
            }
            for series, samples in ((case.wrong, expected), (case.right, []))
        ]
        paths.append(folder / f"{name}.yaml")
        document = {"rule_files": [f"{name}.rules.yaml"], "evaluation_interval": "1m", "tests": tests}
        paths[-1].write_text(yaml.safe_dump(document))
    return paths


def _alerts() -> list[Any]:
    return [each for group in ALERTS.values() for each in group]


def _promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((str(promtool()), *arguments), capture_output=True, text=True, timeout=120, check=False)


def test_every_alert_has_a_case_of_both_kinds() -> None:
    assert set(CASES) == {each.name for each in _alerts()}


def test_prometheus_takes_the_rules() -> None:
    ran = _promtool("check", "rules", "--lint=all", "--lint-fatal", str(PROJECT / FILE))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_fires_when_it_should_and_is_silent_when_not(tmp_path: Path) -> None:
    ran = _promtool("test", "rules", *map(str, _tests(tmp_path)))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_understands_every_line_of_the_dashboards(tmp_path: Path) -> None:
    # Parsed as one file of recording rules, with Grafana's variables filled in.
    rules: list[dict[str, str]] = []
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"].replace("$__rate_interval", "5m").replace("$namespace", "voice")
                rules.append({"record": f"panel:{path.stem}:{len(rules)}", "expr": expression})
    assert len(rules) > 60
    panels = tmp_path / "panels.yaml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    ran = _promtool("check", "rules", "--lint=none", str(panels))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_has_a_runbook_that_says_cause_check_and_mend() -> None:
    pages = {path.stem: path.read_text() for path in (PROJECT / RUNBOOKS).glob("*.md")}
    assert set(pages) - {"index"} == {each.name for each in _alerts()}
    for name, text in pages.items():
        if name != "index":
            assert [line for line in text.splitlines() if line.startswith("#")] == [
                f"# {name}",
                "## Cause",
                "## Check",
                "## Mend",
            ]
