"""This relay beside others: processor time a packet, packets a second, added latency and memory, in one run.

Half of the packets go up and half down, 172 octets each, evenly over the flows. Each forwarder has a network of its own
(`lab`), and they take turns, A B A B. Processor time is counted together for the forwarder's processes and for what
the kernel does for it in the sender's calls (see `lab`). A packet later than 10 ms counts as lost, so that a queue is
not taken for throughput. Added latency is what comes on top of the same packets' time over a bare cable.

Its parts: `load`, what a packet costs and waits at a given load, and what a flow weighs; `most`, how many packets a
second are forwarded; both with everybody in turns. Only when they are named: `restart`, how long calls are silent when
the relay is killed; `soak`, ten minutes of calls that come and go.

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
from tests.bench.relay.restart import restart
from tests.bench.relay.soak import soak
from tests.bench.relay.voicefleet_relay import Relay
from tests.bench.report import Bar, Report, Row

TITLE = "Relay: processor time a packet, packets a second, latency and memory, beside asyncio and coturn"

RATE: Final = 50_000
KERNEL_RATE: Final = 200_000
MOST_LOST: Final = 0.001
_STAGES: Final = (1, 500, 50_000)
_ROUNDS: Final = 3
_COST: Final = f"processor time at {RATE:,}/s"
_COST_AT_MOST: Final = "processor time at that rate"
_FASTEST: Final = 400_000
"""Packets a second that the load sends and reads with room to spare; beyond it nothing is claimed."""
_FLAT_OUT: Final = 2_000_000
"""More than the load can send: all its calls carry as many packets as they may, as they do where the kernel forwards
within these calls and that is all that the core can do."""
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
    return _race(quick, load=True, most=True)


def _race(quick: bool, *, load: bool, most: bool) -> Report:
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="voicefleet-bench-") as name:
        directory = Path(name)
        with _contestants(directory, notes) as contestants:
            program = compile_load(directory)
            for flows in _STAGES[:2] if quick else _STAGES:
                others = Others()
                taking_part = _open(program, contestants, flows, notes)
                if load:
                    _load(program, taking_part, flows, 1 if quick else _ROUNDS, 0.6 if quick else 1.2)
                if most:
                    _fastest(program, taking_part, flows, 0.3 if quick else 0.6)
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


def _open(program: Path, contestants: dict[str, Contestant], flows: int, notes: list[str]) -> list[Contestant]:
    """Everybody who can have so many flows has them, and has carried packets."""
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
    return taking_part


def _load(program: Path, taking_part: list[Contestant], flows: int, rounds: int, seconds: float) -> None:
    for _ in range(rounds):
        for each in taking_part:
            each.steady.setdefault(flows, []).append(each.measure(program, seconds, RATE))
            if each.forwarder.name in (_CABLE, "kernel"):
                each.fast.setdefault(flows, []).append(each.measure(program, seconds, KERNEL_RATE))


def _fastest(program: Path, taking_part: list[Contestant], flows: int, seconds: float) -> None:
    for each in taking_part:
        if each.forwarder.name == _CABLE:
            each.steady.setdefault(flows, []).append(each.measure(program, seconds, RATE))
            each.fast.setdefault(flows, []).append(each.measure(program, seconds, KERNEL_RATE))
            each.most[flows] = each.measure(program, seconds, _FLAT_OUT)
        else:
            most = _most(each, program, seconds)
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
    for name, each in contestants.items():
        for flows, outcomes in each.steady.items():
            label = f"{name}, {flows:,} flows"
            cables = bare.steady[flows]
            sending = _sending(cables)
            rows.append(Row(label, _COST, median(outcome.cost(sending) for outcome in outcomes), "us/packet"))
            rows.append(Row(label, f"lost at {RATE:,}/s", 100 * median(o.loss for o in outcomes), "%"))
            rows += _latency(label, RATE, outcomes, cables)
            if name == "kernel":
                lost = 100 * median(outcome.loss for outcome in each.fast[flows])
                rows.append(Row(label, f"lost at {KERNEL_RATE:,}/s", lost, "%"))
                rows += _latency(label, KERNEL_RATE, each.fast[flows], bare.fast[flows])
        for flows, most in each.most.items():
            label = f"{name}, {flows:,} flows"
            cables = (
                [bare.most[flows]]
                if name == "kernel"
                else (bare.fast if most.rate > BURST_FROM else bare.steady)[flows]
            )
            sending = _sending(cables)
            rows.append(Row(label, "packets with <= 0.1% lost", most.rate, "/s"))
            rows.append(Row(label, _COST_AT_MOST, most.cost(sending), "us/packet"))
        counts = sorted(each.memory)
        if each.steady and len(counts) > 1 and each.memory[counts[-1]]:
            grown = each.memory[counts[-1]] - each.memory[counts[0]]
            rows.append(Row(name, "memory", grown / (counts[-1] - counts[0]), "octets/flow"))
    return Report("relay", rows, _bars(rows), notes)


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


def _bars(rows: list[Row]) -> list[Bar]:
    value = {(row.name, row.metric): row.value for row in rows}
    bars: list[Bar] = []
    for metric, load in ((_COST, f"at {RATE:,}/s"), (_COST_AT_MOST, "each at its most")):
        for one, other, bar in (
            ("userspace, 500 flows", "stock asyncio, 500 flows", 0.35),
            ("userspace, 500 flows", "coturn, 500 flows", 1.0),
            ("userspace, 50,000 flows", "userspace, 1 flows", 1.25),
            ("kernel, 500 flows", "userspace, 500 flows", 0.2),
        ):
            if (one, metric) in value and (other, metric) in value:
                ratio = value[one, metric] / value[other, metric]
                bars.append(Bar.at_most(f"{one} / {other}, processor time {load}", ratio, bar))
    for metric, bar in (("p50", 15), ("p99", 100)):
        added = value.get(("kernel, 500 flows", f"added latency at {KERNEL_RATE:,}/s, {metric}"))
        if added is not None:
            bars.append(Bar.at_most(f"kernel, added latency at {KERNEL_RATE:,}/s, {metric}, us", added, bar))
    if ("userspace, 50,000 flows", _COST) in value:
        bars.append(Bar.at_most("userspace, memory, octets a flow", value["userspace", "memory"], 1536))
    return bars


PARTS: Final[dict[str, Callable[[bool], Report]]] = {
    "load": lambda quick: _race(quick, load=True, most=False),
    "most": lambda quick: _race(quick, load=False, most=True),
    "restart": restart,
    "soak": soak,
}
"""What can be measured for itself; what is compared stands in one part."""
