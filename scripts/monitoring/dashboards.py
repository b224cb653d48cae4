"""The four dashboards: of a fleet's calls, of relays, of transceivers, and of the operator."""

import json
from typing import Final

from scripts.chart_files import CHART
from scripts.monitoring.panels import Panel, dashboard

FOLDER: Final = f"{CHART}/files/dashboards"
_NS: Final = 'namespace=~"$namespace"'
_EVERY: Final = "$__rate_interval"


def files() -> dict[str, str]:
    """Each dashboard by its path in the repository."""
    made = {"fleet": _fleet(), "relays": _relays(), "transceivers": _transceivers(), "operator": _operator()}
    return {f"{FOLDER}/{name}.json": json.dumps(each, indent=1) + "\n" for name, each in made.items()}


def _rate(metric: str, by: str = "", **labels: str) -> str:
    """The sum of a counter's rates; labels are matched by patterns."""
    matched = "".join(f', {name}=~"{value}"' for name, value in labels.items())
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{_NS}{matched}}}[{_EVERY}]))"


def _sum(metric: str, by: str = "", **labels: str) -> str:
    matched = "".join(f', {name}="{value}"' for name, value in labels.items())
    return f"sum{f' by ({by})' if by else ''} ({metric}{{{_NS}{matched}}})"


def _quantiles(metric: str, **labels: str) -> tuple[tuple[str, str], ...]:
    """The median, and what one in twenty and one in a hundred is worse than."""
    buckets = _rate(f"{metric}_bucket", "le", **labels)
    return tuple((f"histogram_quantile({share}, {buckets})", f"p{share * 100:g}") for share in (0.5, 0.95, 0.99))


def _worst(metric: str, **labels: str) -> tuple[tuple[str, str], ...]:
    """For what is better the higher it is: the median, and what one in twenty and one in a hundred is below."""
    buckets = _rate(f"{metric}_bucket", "le", **labels)
    return tuple((f"histogram_quantile({share}, {buckets})", f"p{share * 100:g}") for share in (0.5, 0.05, 0.01))


def _fleet() -> dict[str, object]:
    calls = (
        Panel(
            "Live calls",
            "short",
            (
                (_sum("voicefleet_transceiver_calls"), "calls"),
                (_sum("voicefleet_transceiver_capacity"), "room"),
            ),
            "Calls in progress, and how many the transceivers that run could take.",
        ),
        Panel(
            "Requests for calls",
            "reqps",
            ((_rate("voicefleet_signaling_calls_total", "result"), "{{result}}"),),
            "`refused` is the caller's doing (a key, a limit), `failed` is ours.",
            stacked=True,
        ),
        Panel(
            "Refused and failed, by reason",
            "reqps",
            ((_rate("voicefleet_signaling_calls_total", "reason", result="refused|failed"), "{{reason}}"),),
        ),
        Panel("Set-up, until the answer", "s", _quantiles("voicefleet_call_setup_seconds", stage="answer")),
        Panel(
            "Set-up, until the first audio back",
            "s",
            _quantiles("voicefleet_call_setup_seconds", stage="first_audio_out"),
        ),
        Panel(
            "Ends of calls, by cause", "cps", ((_rate("voicefleet_calls_ended_total", "cause"), "{{cause}}"),), "", True
        ),
    )
    quality = (
        Panel("Opinion score of callers' audio", "none", _worst("voicefleet_call_mos", direction="uplink")),
        Panel("Loss from callers", "percentunit", _quantiles("voicefleet_call_loss_ratio", direction="uplink")),
        Panel("Loss to callers", "percentunit", _quantiles("voicefleet_call_loss_ratio", direction="downlink")),
        Panel("Jitter from callers", "s", _quantiles("voicefleet_call_jitter_seconds", direction="uplink")),
        Panel("Round trip to callers", "s", _quantiles("voicefleet_call_round_trip_seconds")),
        Panel("Frames concealed", "percentunit", _quantiles("voicefleet_call_concealment_ratio")),
    )
    turns = (
        Panel("From the last word to the answer", "s", _quantiles("voicefleet_turn_seconds")),
        Panel(
            "Stages of turns, p95",
            "s",
            (
                (
                    f"histogram_quantile(0.95, {_rate('voicefleet_turn_stage_seconds_bucket', 'le, stage')})",
                    "{{stage}}",
                ),
            ),
        ),
        Panel(
            "Turns over the budget, by its share",
            "percentunit",
            (
                (
                    f"{_rate('voicefleet_turn_overruns_total', 'share')} / ignoring(share) group_left "
                    f"{_rate('voicefleet_turn_seconds_count')}",
                    "{{share}}",
                ),
            ),
            "The budget of a turn is 800 ms; its shares are the microphone, transcription, model and speech.",
        ),
    )
    steering = (
        Panel(
            "Calls by pool", "reqps", ((_rate("voicefleet_signaling_relay_pools_total", "pool"), "{{pool}}"),), "", True
        ),
        Panel("Kilometres to the relay", "lengthkm", _quantiles("voicefleet_signaling_relay_kilometres")),
        Panel(
            "How callers' places were known",
            "reqps",
            ((_rate("voicefleet_signaling_places_total", "source"), "{{source}}"),),
            "",
            True,
        ),
    )
    return dashboard(
        "voicefleet-fleet",
        "voicefleet / Fleet",
        (("Calls", calls), ("Quality", quality), ("Turns", turns), ("Steering", steering)),
        "voicefleet_transceiver_capacity",
    )


def _relays() -> dict[str, object]:
    forwarding = (
        Panel("Packets, by tier", "pps", ((_rate("voicefleet_relay_packets_total", "tier"), "{{tier}}"),), "", True),
        Panel(
            "Octets, by direction",
            "Bps",
            ((_rate("voicefleet_relay_bytes_total", "direction"), "{{direction}}"),),
        ),
        Panel("Flows", "short", ((_sum("voicefleet_relay_flows", "pod", state="confirmed"), "{{pod}}"),), "", True),
        Panel(
            "Busy packet loops, seconds a second",
            "percentunit",
            ((_rate("voicefleet_relay_loop_busy_seconds_total", "pod"), "{{pod}}"),),
            "1 is one packet process that never waits.",
        ),
        Panel(
            "Packets a datagram of the hop",
            "short",
            (
                (
                    f"{_rate('voicefleet_relay_packets_total', 'pod', direction='uplink', tier='userspace')} / "
                    f"{_rate('voicefleet_relay_hop_datagrams_total', 'pod')}",
                    "{{pod}}",
                ),
            ),
        ),
        Panel("ICE-TCP connections", "short", ((_sum("voicefleet_relay_tcp_connections", "pod"), "{{pod}}"),)),
    )
    drops = (
        Panel(
            "Drops, by reason",
            "pps",
            ((f"{_rate('voicefleet_relay_dropped_packets_total', 'reason')} > 0", "{{reason}}"),),
        ),
        Panel(
            "What happened to flows", "cps", ((f"{_rate('voicefleet_relay_events_total', 'event')} > 0", "{{event}}"),)
        ),
        Panel(
            "Flows that the kernel did not take",
            "cps",
            ((f"{_rate('voicefleet_relay_kernel_refused_flows_total', 'reason')} > 0", "{{reason}}"),),
        ),
    )
    tiers = (
        Panel("Flows in the kernel", "short", ((_sum("voicefleet_relay_kernel_flows", "pod"), "{{pod}}"),)),
        Panel(
            "Relays by tier",
            "short",
            ((_sum("voicefleet_relay_datapath", "tier, wanted"), "{{tier}}, wanted {{wanted}}"),),
        ),
        Panel("Packets a turn", "short", _quantiles("voicefleet_relay_batch_packets")),
    )
    return dashboard(
        "voicefleet-relays",
        "voicefleet / Relays",
        (("Forwarding", forwarding), ("Drops", drops), ("Tiers", tiers)),
        "voicefleet_relay_flows",
    )


def _transceivers() -> dict[str, object]:
    calls = (
        Panel("Calls", "short", ((_sum("voicefleet_transceiver_calls", "pod"), "{{pod}}"),), "", True),
        Panel(
            "How full",
            "percentunit",
            (
                (
                    f"{_sum('voicefleet_transceiver_calls', 'pod')} / {_sum('voicefleet_transceiver_capacity', 'pod')}",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            "Calls not taken, by cause",
            "cps",
            ((_rate("voicefleet_calls_refused_total", "cause"), "{{cause}}"),),
            "Signaling asks the next transceiver; a caller hears of it only when all refuse.",
        ),
    )
    clock = (
        Panel(
            "Error of the sending clock",
            "s",
            _quantiles("voicefleet_sending_clock_error_seconds"),
            "How late packets leave. Above 5 ms callers' jitter buffers grow.",
        ),
        Panel(
            "Error of the sending clock, p99 by pod",
            "s",
            (
                (
                    f"histogram_quantile(0.99, {_rate('voicefleet_sending_clock_error_seconds_bucket', 'le, pod')})",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            "Processor time of workers",
            "percentunit",
            ((_rate("voicefleet_worker_cpu_seconds_total", "pod, worker"), "{{pod}}/{{worker}}"),),
            "1 is a whole core, which is all that a worker can use.",
        ),
    )
    workers = (
        Panel("Memory", "bytes", ((_sum("voicefleet_worker_resident_memory_bytes", "pod"), "{{pod}}"),)),
        Panel(
            "Deaths of workers",
            "short",
            ((f"sum by (pod) (increase(voicefleet_worker_restarts_total{{{_NS}}}[10m]))", "{{pod}}"),),
        ),
        Panel(
            "Packets of no call, by reason",
            "pps",
            ((_rate("voicefleet_packets_refused_total", "reason"), "{{reason}}"),),
        ),
    )
    return dashboard(
        "voicefleet-transceivers",
        "voicefleet / Transceivers",
        (("Calls", calls), ("Clock and processor", clock), ("Workers", workers)),
        "voicefleet_transceiver_capacity",
    )


def _operator() -> dict[str, object]:
    work = (
        Panel("Who leads", "short", (("voicefleet_operator_leads", "{{pod}}"),)),
        Panel(
            "Looks at objects",
            "ops",
            ((f"sum by (kind) (rate(voicefleet_operator_reconcile_seconds_count[{_EVERY}]))", "{{kind}}"),),
        ),
        Panel(
            "Looks that failed",
            "ops",
            (
                (
                    f"sum by (kind, error) (rate(voicefleet_operator_reconcile_errors_total[{_EVERY}]))",
                    "{{kind}}: {{error}}",
                ),
            ),
        ),
        Panel(
            "Time of a look, p95",
            "s",
            (
                (
                    "histogram_quantile(0.95, sum by (le, kind) "
                    f"(rate(voicefleet_operator_reconcile_seconds_bucket[{_EVERY}])))",
                    "{{kind}}",
                ),
            ),
        ),
        Panel(
            "Wait for a look, p95",
            "s",
            (
                (
                    f"histogram_quantile(0.95, sum by (le) (rate(voicefleet_operator_queue_seconds_bucket[{_EVERY}])))",
                    "wait",
                ),
            ),
        ),
        Panel(
            "Requests to the API server",
            "reqps",
            (
                (
                    f"sum by (method, status) (rate(voicefleet_operator_api_requests_total[{_EVERY}]))",
                    "{{method}} {{status}}",
                ),
            ),
        ),
    )
    # What the operator tells of fleets has their namespace beside its own: `exported_namespace` unless the scrape
    # honours labels, as the chart's PodMonitor does.
    fleets = (
        Panel(
            "Not ready",
            "short",
            (
                (
                    "max by (kind, namespace, name, reason) "
                    f'(voicefleet_resource_condition{{type="Ready", {_NS}}} == 0) + 1',
                    "{{kind}} {{namespace}}/{{name}}: {{reason}}",
                ),
            ),
            "A line is an object whose condition Ready is not True.",
        ),
        Panel(
            "Pods that drain",
            "short",
            ((_sum("voicefleet_draining_pods", "namespace, name"), "{{namespace}}/{{name}}"),),
        ),
        Panel(
            "Ports of the range in use",
            "percentunit",
            (
                (
                    f"{_sum('voicefleet_port_leases', 'namespace, name')} / "
                    f"{_sum('voicefleet_port_range', 'namespace, name')}",
                    "{{namespace}}/{{name}}",
                ),
            ),
        ),
        Panel(
            "Decisions of scaling policies",
            "cps",
            (
                (
                    f"sum by (kind, decision) (rate(voicefleet_operator_scaling_decisions_total[{_EVERY}]))",
                    "{{kind}}: {{decision}}",
                ),
            ),
        ),
        Panel(
            "Queue",
            "short",
            (("sum by (state) (voicefleet_operator_queue_length)", "{{state}}"),),
        ),
        Panel("Port leases, by state", "short", ((_sum("voicefleet_port_leases", "state"), "{{state}}"),), "", True),
    )
    return dashboard(
        "voicefleet-operator",
        "voicefleet / Operator",
        (("The operator's work", work), ("Its fleets", fleets)),
        "voicefleet_resource_condition",
    )
