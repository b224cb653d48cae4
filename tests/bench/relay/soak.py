"""Ten minutes of calls that come and go: what a relay has kept of them in the end, and whether it counted each loss.

Every round has new clients, who speak and fall silent; their flows end by themselves. Memory, descriptors and flows are
looked at after each round. A packet that did not arrive has to be among the relay's drops, by reason, or among those
that the kernel had no room for in the relay's sockets.
"""

import os
import re
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from tests.bench.relay.lab import Lab, compile_load, lab
from tests.bench.relay.voicefleet_relay import Relay
from tests.bench.report import Bar, Report, Row

RATE: Final = 30_000
_FLOWS: Final = 500
"""New ones in each round; half of them would be enough for the packets."""
_IDLE: Final = 15.0
_ROUND: Final = 9.0
_NAME: Final = f"soak, {RATE:,} packets/s"
_FLAT: Final = 1.02
"""How much memory may differ between the second and the last quarter: allocators keep a page more or less."""
_DROPPED: Final = re.compile(r'^voicefleet_relay_dropped_packets_total\{reason="(\w+)"\} (\S+)$', re.MULTILINE)
_CONFIRMED: Final = re.compile(r'^voicefleet_relay_flows\{state="confirmed"\} (\S+)$', re.MULTILINE)


class Look(NamedTuple):
    """What was seen after one round."""

    memory: int
    descriptors: int
    flows: int


def soak(quick: bool) -> Report:
    """Ten minutes; a quick run has 20 s."""
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="voicefleet-bench-") as name, lab(Path(name)) as network:
        program = compile_load(Path(name))
        relay = Relay(network, "Userspace", VOICEFLEET_FLOW_IDLE=f"{_IDLE:.0f}s")
        try:
            rows, bars = _watch(network, program, relay, 20.0 if quick else 600.0, notes)
        finally:
            relay.stop()
    return Report("relay", rows, bars, notes)


def _watch(network: Lab, program: Path, relay: Relay, seconds: float, notes: list[str]) -> tuple[list[Row], list[Bar]]:
    looks: list[Look] = []
    sent = missing = 0
    first = 0
    dropped, unread = _dropped(relay), _unread(network)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        ways = relay.open(first + _FLOWS)[first:]
        network.write(ways, first)
        outcome = network.measure(program, min(_ROUND, seconds / 4), RATE, 50, relay.schedstats())
        first += _FLOWS
        sent += outcome.sent
        missing += outcome.sent - outcome.received - outcome.up.late - outcome.down.late
        looks.append(Look(relay.memory(), sum(map(_descriptors, relay.pids())), _flows(relay)))
    reasons = {reason: count - dropped[reason] for reason, count in _dropped(relay).items() if count > dropped[reason]}
    counted = sum(reasons.values()) + _unread(network) - unread
    quarter = max(1, len(looks) // 4)
    early, late = looks[quarter : 2 * quarter] or looks[:1], looks[-quarter:]
    growth = median(look.memory for look in late) / median(look.memory for look in early)
    notes.append(f"soak: {len(looks)} rounds of {_FLOWS} new flows; drops by reason: {reasons or 'none'}")
    rows = [
        Row(_NAME, "packets sent", sent, ""),
        Row(_NAME, "packets that did not arrive", missing, ""),
        Row(_NAME, "drops counted", counted, ""),
        Row(_NAME, "flows that came", first, ""),
        Row(_NAME, "flows there, at most", max(look.flows for look in looks), ""),
        Row(_NAME, "memory in the second quarter", median(look.memory for look in early) / 2**20, "MiB"),
        Row(_NAME, "memory in the last quarter", median(look.memory for look in late) / 2**20, "MiB"),
        Row(_NAME, "descriptors after the first round", looks[0].descriptors, ""),
        Row(_NAME, "descriptors after the last round", looks[-1].descriptors, ""),
    ]
    opened = looks[-1].descriptors - looks[0].descriptors
    bars = [
        Bar.at_most("soak, memory, last quarter / second", growth, _FLAT),
        Bar.at_most("soak, descriptors more than after the first round", opened, 0),
        Bar.at_most("soak, losses without a counted reason", max(0, missing - counted), 0),
    ]
    return rows, bars


def _dropped(relay: Relay) -> dict[str, int]:
    time.sleep(0.2)  # counters are published ten times a second
    return {reason: int(float(count)) for reason, count in _DROPPED.findall(relay.metrics())}


def _flows(relay: Relay) -> int:
    found = _CONFIRMED.search(relay.metrics())
    return int(float(found[1])) if found is not None else 0


def _unread(network: Lab) -> int:
    """Datagrams that the kernel had no room for in the sockets of the relay's namespace."""
    names, counts = (
        line.split() for line in network.forwarder.run("cat", "/proc/net/snmp").splitlines() if "Udp:" in line
    )
    return int(counts[names.index("RcvbufErrors")]) + int(counts[names.index("SndbufErrors")])


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
