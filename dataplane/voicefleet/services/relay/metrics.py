"""What packet processes count, and where each number stands in the memory that they share with the control process."""

from collections.abc import Sequence
from typing import Final

from voicefleet.contract import Metric
from voicefleet.core.relay.counters import Counters, Drop
from voicefleet.core.relay.fast_path import FastPath, Refused
from voicefleet.core.relay.forwarder import Forwarder
from voicefleet.observability.shared_counters import Kind, Layout, Series
from voicefleet.services.relay.ice_tcp import IceTcp
from voicefleet.services.relay.packet_loop import Turns

_PACKETS: Final = Metric.RELAY_PACKETS
_BYTES: Final = "voicefleet_relay_bytes"
_DROPS: Final = "voicefleet_relay_dropped_packets"
FLOWS: Final = Metric.RELAY_FLOWS
KERNEL_FLOWS: Final = "voicefleet_relay_kernel_flows"
_REFUSED: Final = "voicefleet_relay_kernel_refused_flows"
_EVENTS: Final = "voicefleet_relay_events"
_BATCHES: Final = "voicefleet_relay_batch_packets"
_BUSY: Final = "voicefleet_relay_loop_busy_seconds"
_HOP_DATAGRAMS: Final = "voicefleet_relay_hop_datagrams"
_TCP: Final = "voicefleet_relay_tcp_connections"
_TCP_ACCEPTED: Final = "voicefleet_relay_tcp_accepted"
_UNTOLD: Final = "voicefleet_relay_untold_messages"
TURNED_AT: Final = "voicefleet_relay_loop_turned_seconds"
"""In milliseconds in memory, in seconds to whoever reads the metric."""

_EVENT_NAMES: Final = (
    "checks_verified",
    "tokens_opened",
    "flows_opened",
    "flows_confirmed",
    "flows_restored",
    "flows_rerouted",
    "flows_expired",
    "flows_shed",
    "refusals",
    "roaming_packets",
    "moves",
    "lookups",
    "lookups_found",
    "pings",
    "peers_lost",
)
"""Attributes of `Counters` that are shown as they are."""

LAYOUT: Final = Layout(
    [
        *(
            Series(name, text, labels={"direction": direction, "tier": tier})
            for tier in ("userspace", "kernel")
            for direction in ("uplink", "downlink")
            for name, text in ((_PACKETS, "Packets forwarded."), (_BYTES, "Octets of the packets forwarded."))
        ),
        Series(KERNEL_FLOWS, "Confirmed flows that the kernel forwards.", Kind.GAUGE),
        *(
            Series(_REFUSED, "Flows that the kernel tier did not take, by reason.", labels={"reason": reason.value})
            for reason in Refused
        ),
        *(Series(_DROPS, "Packets that went nowhere, by reason.", labels={"reason": drop.value}) for drop in Drop),
        *(Series(_EVENTS, "What happened to flows.", labels={"event": name}) for name in _EVENT_NAMES),
        Series(FLOWS, "Flows in the table.", Kind.GAUGE, labels={"state": "confirmed"}),
        Series(FLOWS, "Flows in the table.", Kind.GAUGE, labels={"state": "pending"}),
        Series(_HOP_DATAGRAMS, "Datagrams sent over the hop; several packets may share one."),
        Series(_BUSY, "Seconds that packet loops spent working.", unit=1e-6),
        Series(_BATCHES, "Packets forwarded in one turn of the loop.", Kind.HISTOGRAM, buckets=Turns.BUCKETS),
        Series(_TCP, "ICE-TCP connections.", Kind.GAUGE),
        Series(_TCP_ACCEPTED, "ICE-TCP connections that were let in."),
        Series(_UNTOLD, "Messages to the control process that it did not take."),
        Series(TURNED_AT, "When the packet loop last came round, on the monotonic clock.", Kind.GAUGE, unit=0.001),
    ]
)


def values(
    forwarder: Forwarder, fast_path: FastPath, turns: Turns, tcp: IceTcp, untold: int, now: float
) -> Sequence[int]:
    """The numbers of one packet process, in the layout's order."""
    counters: Counters = forwarder.counters
    kernel = fast_path.totals()
    return (
        counters.uplink_packets,
        counters.uplink_bytes,
        counters.downlink_packets,
        counters.downlink_bytes,
        kernel.uplink_packets,
        kernel.uplink_bytes,
        kernel.downlink_packets,
        kernel.downlink_bytes,
        kernel.flows,
        *fast_path.refusals().values(),
        *counters.drops.values(),
        *(getattr(counters, name) for name in _EVENT_NAMES),
        len(forwarder.table.confirmed),
        len(forwarder.table.pending),
        turns.sent,
        int(turns.busy * 1e6),
        *turns.batches,
        turns.packets,
        len(tcp),
        tcp.accepted,
        untold,
        int(now * 1000),
    )
