"""The alert rules: what each says, when, and where its runbook is.

An alert is about something that a person has to do, and names what is concerned. `page` wakes somebody: callers notice.
`ticket` is for the next working day. Each has a page docs/runbooks/NAME.md.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from scripts.chart_files import CHART
from scripts.monitoring.known_metrics import checked

FILE: Final = f"{CHART}/files/alerts.yaml"
RUNBOOKS: Final = "docs/runbooks"
PUBLISHED: Final = "https://voicefleet.dev/runbooks"
"""Where the pages are when the chart is not told otherwise (monitoring.runbooks)."""
_INDEX: Final = """# Runbooks

One page for each alert: its cause, how to check, how to mend. *page* wakes somebody, since callers notice; a *ticket*
has time. The chart brings the rules as a PrometheusRule; for others they are in `helm/voicefleet/files/alerts.yaml`."""
_LABEL: Final = re.compile(r"\{\{ (?:\$labels\.)?\$?(\w+)[^}]* \}\}")
_HEADER: Final = (
    "# Made by scripts/monitoring/alerts.py (scripts/check --fix); tests/cluster/test_monitoring.py tests it.\n"
)


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule."""

    name: str
    when: str
    lasting: str
    page: bool
    summary: str
    description: str


ALERTS: Final = {
    "voicefleet-callers": (
        Alert(
            "VoicefleetCallsFail",
            'sum by (namespace) (rate(voicefleet_signaling_calls_total{result="failed"}[5m])) > 0.02 * '
            'sum by (namespace) (rate(voicefleet_signaling_calls_total{result!="refused"}[5m]))',
            "5m",
            True,
            "Calls fail in {{ $labels.namespace }}",
            "More than 2% of the requests for calls that should be answered are not: {{ $value | humanize }} a second.",
        ),
        Alert(
            "VoicefleetNoRoom",
            "sum by (namespace) (voicefleet_transceiver_calls) > 0.9 * "
            "sum by (namespace) (voicefleet_transceiver_capacity)",
            "5m",
            True,
            "The transceivers of {{ $labels.namespace }} are nearly full",
            "{{ $value | humanize }} calls are more than 90% of what they take; beyond it calls are refused.",
        ),
        Alert(
            "VoicefleetSetUpSlow",
            "histogram_quantile(0.95, sum by (namespace, le) "
            '(rate(voicefleet_call_setup_seconds_bucket{stage="first_audio_out"}[10m]))) > 2',
            "10m",
            False,
            "Callers of {{ $labels.namespace }} wait long for the first audio",
            "One call in twenty takes longer than {{ $value | humanizeDuration }} from the offer to the first audio.",
        ),
        Alert(
            "VoicefleetAudioPoor",
            'sum by (namespace) (rate(voicefleet_call_mos_bucket{direction="uplink", le="3.6"}[15m])) > 0.1 * '
            'sum by (namespace) (rate(voicefleet_call_mos_count{direction="uplink"}[15m]))',
            "15m",
            False,
            "One call in ten of {{ $labels.namespace }} sounds bad",
            "More than 10% of the calls that ended had an estimated opinion score below 3.6.",
        ),
        Alert(
            "VoicefleetTurnsOverBudget",
            'sum by (namespace) (rate(voicefleet_turn_overruns_total{share="total"}[15m])) > 0.2 * '
            "sum by (namespace) (rate(voicefleet_turn_seconds_count[15m]))",
            "15m",
            False,
            "Answers come late in {{ $labels.namespace }}",
            "More than 20% of the turns took longer than their budget of 800 ms.",
        ),
    ),
    "voicefleet-relays": (
        Alert(
            "VoicefleetRelayDrops",
            "sum by (namespace, pod) (rate(voicefleet_relay_dropped_packets_total"
            '{reason=~"(hop|client)_send_(full|failed)"}[5m])) > 0.001 * '
            "sum by (namespace, pod) (rate(voicefleet_relay_packets_total[5m]))",
            "5m",
            True,
            "Relay {{ $labels.namespace }}/{{ $labels.pod }} loses packets of calls",
            "{{ $value | humanize }} packets a second do not leave the relay, more than 0.1% of what it forwards.",
        ),
        Alert(
            "VoicefleetRelayFull",
            "sum by (namespace, pod, reason) (rate(voicefleet_relay_dropped_packets_total"
            '{reason=~"flows_full|pending_full|peers_full"}[5m])) > 0',
            "2m",
            True,
            "Relay {{ $labels.namespace }}/{{ $labels.pod }} takes no new callers",
            "It has reached a bound ({{ $labels.reason }}); callers that it knows go on.",
        ),
        Alert(
            "VoicefleetRelayFlood",
            "sum by (namespace, pod) (rate(voicefleet_relay_dropped_packets_total"
            '{reason=~"stun_.*|token_.*|unknown_.*|checks_over_rate"}[5m])) > 1000',
            "5m",
            False,
            "Relay {{ $labels.namespace }}/{{ $labels.pod }} is flooded with packets of no call",
            "{{ $value | humanize }} packets a second are no caller's.",
        ),
        Alert(
            "VoicefleetRelayLosesTransceivers",
            'sum by (namespace, pod) (increase(voicefleet_relay_events_total{event="peers_lost"}[10m])) > 3',
            "0m",
            True,
            "Relay {{ $labels.namespace }}/{{ $labels.pod }} keeps losing transceivers",
            "{{ $value | humanize }} times in 10 minutes a transceiver did not answer it. Each time its calls ended.",
        ),
        Alert(
            "VoicefleetRelayFault",
            'sum by (namespace, pod) (increase(voicefleet_relay_dropped_packets_total{reason="fault"}[10m])) > 0',
            "0m",
            False,
            "Relay {{ $labels.namespace }}/{{ $labels.pod }} failed at a packet",
            "A packet made it raise an error, which is a mistake of ours. The packet was lost, and nothing else.",
        ),
        Alert(
            "VoicefleetKernelTierMissing",
            'sum by (namespace, pod, reason) (voicefleet_relay_datapath{tier="userspace", wanted!="Userspace"}) > 0',
            "10m",
            False,
            "Relay {{ $labels.namespace }}/{{ $labels.pod }} forwards in userspace",
            "It was to use the kernel: {{ $labels.reason }}. Calls go on at several times the processor time.",
        ),
    ),
    "voicefleet-transceivers": (
        Alert(
            "VoicefleetSendingClockLate",
            "histogram_quantile(0.99, sum by (namespace, pod, le) "
            "(rate(voicefleet_sending_clock_error_seconds_bucket[5m]))) > 0.01",
            "5m",
            True,
            "Transceiver {{ $labels.namespace }}/{{ $labels.pod }} sends late",
            "One packet in a hundred leaves more than {{ $value | humanizeDuration }} late; callers hear it.",
        ),
        Alert(
            "VoicefleetWorkerDies",
            "sum by (namespace, pod) (increase(voicefleet_worker_restarts_total[30m])) > 2",
            "0m",
            True,
            "Workers of {{ $labels.namespace }}/{{ $labels.pod }} die",
            "{{ $value | humanize }} times in 30 minutes; each time all calls of one worker ended.",
        ),
        Alert(
            "VoicefleetWorkerDown",
            "sum by (namespace, pod, worker) (voicefleet_worker_up) == 0",
            "5m",
            False,
            "Worker {{ $labels.worker }} of {{ $labels.namespace }}/{{ $labels.pod }} does not start",
            "The others take its share of calls until they are full.",
        ),
    ),
    "voicefleet-services": (
        Alert(
            "VoicefleetSessionMapAway",
            'sum by (namespace) (voicefleet_redis_up{state="ok"} == bool 0) > 0',
            "5m",
            False,
            "Services of {{ $labels.namespace }} do not reach Redis",
            "{{ $value }} of them. Live calls do not notice; new ones are placed by what was known before.",
        ),
        Alert(
            "VoicefleetDirectoryStale",
            "max by (namespace) (voicefleet_directory_age_seconds) > 120",
            "5m",
            False,
            "The directory of {{ $labels.namespace }} is {{ $value | humanizeDuration }} old",
            "Calls are placed by relays and transceivers as they were then.",
        ),
        Alert(
            "VoicefleetFileUnusable",
            "min by (namespace, pod, file) (voicefleet_file_good) == 0",
            "5m",
            True,
            "{{ $labels.namespace }}/{{ $labels.pod }} cannot use its {{ $labels.file }}",
            "It goes on with what it read last. After a restart, or when keys have rotated on, it could not work.",
        ),
        Alert(
            "VoicefleetLoopStands",
            "max by (namespace, pod, loop) (voicefleet_heartbeat_age_seconds) > 30",
            "1m",
            True,
            "{{ $labels.loop }} of {{ $labels.namespace }}/{{ $labels.pod }} stands still",
            "It was last seen {{ $value | humanizeDuration }} ago; the kubelet should have restarted it.",
        ),
        Alert(
            "VoicefleetErrorsLogged",
            'sum by (namespace, pod) (rate(voicefleet_log_lines_total{level=~"error|critical"}[15m])) > 0.1',
            "15m",
            False,
            "{{ $labels.namespace }}/{{ $labels.pod }} logs errors",
            "{{ $value | humanize }} a second.",
        ),
    ),
    "voicefleet-operator": (
        Alert(
            "VoicefleetOperatorAway",
            "(sum(voicefleet_operator_leads) or vector(0)) < 1",
            "5m",
            False,
            "No operator acts",
            "Live and new calls do not notice. Nothing is scaled, rolled out, repaired or rotated.",
        ),
        Alert(
            "VoicefleetOperatorFails",
            "sum by (kind, error) (rate(voicefleet_operator_reconcile_errors_total[10m])) > 0.05",
            "15m",
            False,
            "The operator cannot bring about a {{ $labels.kind }}",
            "It fails with {{ $labels.error }} and tries again, {{ $value | humanize }} times a second.",
        ),
        Alert(
            "VoicefleetNotReady",
            'max by (kind, namespace, name, reason) (voicefleet_resource_condition{type="Ready"}) == 0',
            "10m",
            True,
            "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} is not ready",
            "For 10 minutes: {{ $labels.reason }}.",
        ),
        Alert(
            "VoicefleetDegraded",
            'max by (kind, namespace, name, reason) (voicefleet_resource_condition{type="Degraded"}) == 1',
            "15m",
            False,
            "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} is degraded",
            "For 15 minutes: {{ $labels.reason }}.",
        ),
        Alert(
            "VoicefleetPortsRunOut",
            "sum by (namespace, name) (voicefleet_port_leases) > 0.9 * "
            "sum by (namespace, name) (voicefleet_port_range)",
            "10m",
            False,
            "The ports of fleet {{ $labels.namespace }}/{{ $labels.name }} run out",
            "{{ $value }} are in use or in quarantine. A pool that gets none has the condition PortsAllocated.",
        ),
        Alert(
            "VoicefleetDrainLong",
            "sum by (namespace, name) (voicefleet_draining_pods) > 0",
            "2h",
            False,
            "Pods of shard {{ $labels.namespace }}/{{ $labels.name }} have drained for two hours",
            "{{ $value }} wait for their calls to end, so a rollout or a scale-down does not.",
        ),
    ),
}


def files() -> dict[str, str]:
    """The rules by their path in the repository."""
    groups = [{"name": name, "rules": [_rule(each) for each in alerts]} for name, alerts in ALERTS.items()]
    return {FILE: _HEADER + yaml.safe_dump({"groups": groups}, sort_keys=False, width=10_000)}


def index() -> dict[str, str]:
    """The list of runbooks by its path in the repository."""
    lines = [_INDEX]
    for name, alerts in ALERTS.items():
        lines += [
            "",
            f"## {name.rpartition('-')[2].capitalize()}",
            "",
            "| alert | severity | what it says |",
            "|---|---|---|",
        ]
        for each in alerts:
            says = _LABEL.sub(r"*\1*", each.summary)
            lines.append(f"| [{each.name}]({each.name}.md) | {'page' if each.page else 'ticket'} | {says} |")
    return {f"{RUNBOOKS}/index.md": "\n".join(lines) + "\n"}


def _rule(alert: Alert) -> dict[str, Any]:
    lasting = {} if alert.lasting == "0m" else {"for": alert.lasting}
    return {
        "alert": alert.name,
        "expr": checked(alert.when, alert.name),
        **lasting,
        "labels": {"severity": "page" if alert.page else "ticket"},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{PUBLISHED}/{alert.name}",
        },
    }
