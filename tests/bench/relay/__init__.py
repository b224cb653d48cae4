"""This relay beside others: processor time a packet, packets a second, added latency and memory, in one run.

Half of the packets go up and half down, 172 octets each, evenly over the flows. Each forwarder has a network of its own
(`lab`), and they take turns, A B A B. Processor time is counted together for the forwarder's processes and for what
the kernel does for it in the sender's calls (see `lab`). A packet later than 10 ms counts as lost, so that a queue is
not taken for throughput. Added latency is what comes on top of the same packets' time over a bare cable.

A forwarder of your own: `VOICEFLEET_BENCH_FORWARDER=COMMAND scripts/bench relay`; `forwarders.Commanded` says what the
command is given and has to do.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.relay.coturn import Coturn
from tests.bench.relay.forwarders import Commanded, Forwarder, Missing, Routing
from tests.bench.relay.lab import BURST_FROM, Lab, Outcome, cable, compile_load, lab
from tests.bench.relay.others import Others
from tests.bench.relay.voicefleet_relay import Relay
from tests.bench.report import Bar, Report, Row

TITLE = "Relay: processor time a packet, packets a second, latency and memory, beside asyncio and coturn"

RATE: Final = 50_000
KERNEL_RATE: Final = 200_000
MOST_LOST: Final = 0.001
_STAGES: Final = (1, 500, 50_000)
_FASTEST: Final = 400_000
"""Packets a second that the load sends and reads with room to spare; beyond it nothing is claimed."""
_CABLE: Final = "cable"
_STOCK: Final = f"{sys.executable} {Path(__file__).with_name('stock_asyncio.py')}"

_MAKERS: Final[dict[str, Callable[[Lab], Forwarder]]] = {
    _CABLE: lambda lab: Routing(lab, _CABLE),
    "userspace": lambda lab: Relay(lab, "Userspace"),
    "kernel": lambda lab: Relay(lab, "Kernel"),
    "stock asyncio": lambda lab: Commanded(lab, "stock asyncio", _STOCK),
    "coturn": Coturn,
}


@dataclass(slots=True)
class Contestant:
    """A forwarder in its lab, and what was seen of it."""

    lab: Lab
    forwarder: Forwarder
    steady: dict[int, list[Outcome]] = field(default_factory=dict)
    """By flows: the outcomes at `RATE`."""
    fast: dict[int, list[Outcome]] = field(default_factory=dict)
    """By flows: those at `KERNEL_RATE`, of the kernel and the cable."""
    most: dict[int, Outcome] = field(default_factory=dict)
    """By flows: the fastest load that it took with hardly a loss."""
    memory: dict[int, int] = field(default_factory=dict)

    def measure(self, program: Path, seconds: float, rate: float) -> Outcome:
        """One load, half of it each way."""
        return self.lab.measure(program, seconds, rate, 50, self.forwarder.schedstats())


def run(quick: bool) -> Report:
    """Measure everybody who is here; a quick run has fewer flows, shorter loads and one round."""
    with tempfile.TemporaryDirectory(prefix="voicefleet-bench-") as name:
        directory = Path(name)
        notes: list[str] = []
        with _contestants(directory, notes) as contestants:
            program = compile_load(directory)
            for flows in _STAGES[:2] if quick else _STAGES:
                others = Others()
                _stage(program, contestants, flows, 1 if quick else 2, 0.6 if quick else 1.2, notes)
                notes.append(f"with {flows:,} flows: others kept {others.cores():.2f} cores busy")
            return _report(contestants, notes)


@contextmanager
def _contestants(directory: Path, notes: list[str]) -> Iterator[dict[str, Contestant]]:
    makers = dict(_MAKERS)
    if command := os.environ.get("VOICEFLEET_BENCH_FORWARDER"):
        makers["given"] = lambda lab: Commanded(lab, "given", command)
    with ExitStack() as stack:
        found: dict[str, Contestant] = {}
        for name, make in makers.items():
            (own := directory / name.replace(" ", "-")).mkdir()
            network = stack.enter_context(cable(own) if name == _CABLE else lab(own))
            try:
                forwarder = make(network)
            except Missing as reason:
                notes.append(f"{name} is missing: {reason}")
                continue
            stack.callback(forwarder.stop)
            found[name] = Contestant(network, forwarder)
        yield found


def _stage(
    program: Path, contestants: dict[str, Contestant], flows: int, rounds: int, seconds: float, notes: list[str]
) -> None:
    taking_part: list[Contestant] = []
    for name, each in contestants.items():
        try:
            each.lab.write(each.forwarder.open(flows))
        except Missing as reason:
            notes.append(f"{name} is missing with {flows:,} flows: {reason}")
            continue
        each.memory[flows] = each.forwarder.memory()
        each.measure(program, 0.3, RATE)
        taking_part.append(each)
    for _ in range(rounds):
        for each in taking_part:
            each.steady.setdefault(flows, []).append(each.measure(program, seconds, RATE))
            if each.forwarder.name in (_CABLE, "kernel"):
                each.fast.setdefault(flows, []).append(each.measure(program, seconds, KERNEL_RATE))
    for each in taking_part:
        if each.forwarder.name != _CABLE:
            most = _most(each, program, seconds / 2)
            if most is not None:
                each.most[flows] = most


def _most(each: Contestant, program: Path, seconds: float) -> Outcome | None:
    """The fastest load with at most `MOST_LOST`, to within a tenth."""
    best: Outcome | None = None
    low, high = 0.0, 0.0
    rate = 40_000.0
    while not high or high / low > 1.1:
        outcome = each.measure(program, seconds, rate)
        if outcome.loss <= MOST_LOST:
            best, low = outcome, rate
            if rate >= _FASTEST:
                break
        else:
            high = rate
            low = low or rate / 4
        rate = min(low * 2, _FASTEST) if not high else (low * high) ** 0.5
    return best


def _report(contestants: dict[str, Contestant], notes: list[str]) -> Report:
    bare = contestants.pop(_CABLE)
    rows: list[Row] = []
    costs: dict[tuple[str, int], float] = {}
    for name, each in contestants.items():
        for flows, outcomes in each.steady.items():
            label = f"{name}, {flows:,} flows"
            cables = bare.steady[flows]
            sending = _sending(cables)
            costs[name, flows] = median(outcome.cost(sending) for outcome in outcomes)
            rows.append(Row(label, f"processor time at {RATE:,}/s", costs[name, flows], "us/packet"))
            rows.append(Row(label, f"lost at {RATE:,}/s", 100 * median(o.loss for o in outcomes), "%"))
            rows += _latency(label, RATE, outcomes, cables)
            if flows in each.most:
                rows.append(Row(label, "packets with <= 0.1% lost", each.most[flows].rate, "/s"))
                if each.most[flows].rate > BURST_FROM:
                    sending = _sending(bare.fast[flows])
                rows.append(Row(label, "processor time at that rate", each.most[flows].cost(sending), "us/packet"))
            if name == "kernel":
                rows += _latency(label, KERNEL_RATE, each.fast[flows], bare.fast[flows])
        counts = sorted(each.memory)
        if len(counts) > 1 and each.memory[counts[-1]]:
            grown = each.memory[counts[-1]] - each.memory[counts[0]]
            rows.append(Row(name, "memory", grown / (counts[-1] - counts[0]), "octets/flow"))
    return Report("relay", rows, _bars(rows, costs), notes)


def _sending(cables: list[Outcome]) -> float:
    """Microseconds that the load itself takes to send a packet to nobody but itself."""
    return median(outcome.sending / outcome.sent for outcome in cables) * 1e6


def _latency(label: str, rate: int, outcomes: list[Outcome], cables: list[Outcome]) -> list[Row]:
    rows: list[Row] = []
    for metric in ("p50", "p99", "p999"):
        without, with_it = (
            median(max(getattr(each.up, metric), getattr(each.down, metric)) for each in some)
            for some in (cables, outcomes)
        )
        rows.append(Row(label, f"added latency at {rate:,}/s, {metric}", max(0.0, with_it - without), "us"))
    return rows


def _bars(rows: list[Row], costs: dict[tuple[str, int], float]) -> list[Bar]:
    value = {(row.name, row.metric): row.value for row in rows}
    bars: list[Bar] = []
    for other, bar in (("stock asyncio", 0.35), ("coturn", 1.0)):
        if (other, 500) in costs:
            ratio = costs["userspace", 500] / costs[other, 500]
            bars.append(Bar.at_most(f"userspace / {other}, processor time, 500 flows", ratio, bar))
    if ("userspace", 50_000) in costs:
        ratio = costs["userspace", 50_000] / costs["userspace", 1]
        bars.append(Bar.at_most("userspace, 50,000 flows / 1 flow, processor time", ratio, 1.25))
        bars.append(Bar.at_most("userspace, memory, octets a flow", value["userspace", "memory"], 1536))
    if ("kernel", 500) in costs:
        ratio = costs["kernel", 500] / costs["userspace", 500]
        bars.append(Bar.at_most("kernel / userspace, processor time, 500 flows", ratio, 0.2))
        for metric, bar in (("p50", 15), ("p99", 100)):
            added = value["kernel, 500 flows", f"added latency at {KERNEL_RATE:,}/s, {metric}"]
            bars.append(Bar.at_most(f"kernel, added latency at {KERNEL_RATE:,}/s, {metric}, us", added, bar))
    return bars
