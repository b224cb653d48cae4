"""Calls that come and go for a quarter of an hour, and what a worker holds in its hands before and after.

200 calls live at any time; 20 of them end and 20 begin each second, with audio and a data channel. Once a minute all
hang up, and then nothing may be left of them: no call, no task, no descriptor; and memory and objects may not grow from
one such moment to the next, once the first of them has made the allocator's room.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import linear_regression
from typing import Final, NamedTuple

from tests.bench.report import Bar, Report, Row
from tests.bench.transceiver import busy_cores, spoken
from tests.bench.transceiver_load import Callers, Server, callers, transceiver
from tests.support.facts import DEADLINE, eventually

TITLE = "Soak: calls that come and go for 15 minutes, and what a worker keeps of them"

CALLS: Final = 200
RATE: Final = 20.0
MINUTES: Final = 15
OBJECTS_A_CALL: Final = 0.5
"""Python objects that may be kept for each call that has gone: a call has hundreds, and caches fill up only once."""
OCTETS_A_CALL: Final = 200
"""Memory that may be kept for each call that has gone; a call has 100 KiB."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the worker holds when all have hung up."""

    gone: int
    """Calls that have come and gone so far."""
    calls: int
    tasks: int
    threads: int
    descriptors: int
    objects: int
    memory: float
    """KiB that only it has, without what is free: that depends on how many calls there were at once."""


def moment(server: Server, gone: int) -> Moment:
    """Look, once it has noticed that all are gone."""
    asyncio.run(eventually(lambda: server.holds()["calls"] == 0, "all calls have ended", 2 * DEADLINE))
    held = server.holds()
    return Moment(
        gone, held["calls"], held["tasks"], held["threads"], server.descriptors, held["objects"], server.memory
    )


def soak(
    seconds: float, pieces: int, calls: int, rate: float, tell: Callable[[Moment], None] = lambda _moment: None
) -> tuple[list[Moment], int, list[str]]:
    """Let calls come and go; the moments after each piece, how many set-ups failed, and why."""
    cores = sorted(os.sched_getaffinity(0))
    moments, failed, reasons = list[Moment](), 0, list[str]()
    with spoken() as speaking, transceiver("echo", cores[0]) as server, callers(cores[-1], server) as calling:
        calling.ask("speak", frames=str(speaking), number=True)
        gone = 0
        for _ in range(pieces):
            told = _piece(calling, seconds / pieces, calls, rate)
            gone += told.calls
            failed += told.failed
            reasons += told.reasons
            moments.append(moment(server, gone))
            tell(moments[-1])
    return moments, failed, reasons


class Told(NamedTuple):
    """What the generator tells of one piece."""

    calls: int
    failed: int
    reasons: Sequence[str]


def _piece(calling: Callers, seconds: float, calls: int, rate: float) -> Told:
    told = calling.ask("churn", count=calls, rate=rate, seconds=seconds, talk=True, channel=True)
    calling.ask("hang up", count=10 * calls)
    return Told(told["calls"], told["failed"], told["reasons"] or ())


def growth(moments: list[Moment], what: Callable[[Moment], float]) -> float:
    """Of something, for each call that has gone: the slope of a line through all moments after the first third."""
    later = moments[len(moments) // 3 :]
    slope, _ = linear_regression([each.gone for each in later], [what(each) for each in later])
    return slope


def run(quick: bool) -> Report:
    """A quick run takes 40 s, with fewer calls."""
    tell = partial(print, file=sys.stderr, flush=True)
    began = busy_cores()
    if quick:
        moments, failed, reasons = soak(40.0, 8, 20, 10.0, tell)
    else:
        moments, failed, reasons = soak(60.0 * MINUTES, MINUTES, CALLS, RATE, tell)
    first, last = moments[len(moments) // 3], moments[-1]
    rows = [
        Row("calls", "came and went", last.gone, "calls"),
        Row("calls", "not set up", failed, "calls"),
        *(Row(what, "after the first third", value, what) for what, value in asdict(first).items() if what != "gone"),
        *(Row(what, "at the end", value, what) for what, value in asdict(last).items() if what != "gone"),
    ]
    bars = [
        Bar.at_most("calls left", last.calls, 0),
        Bar.at_most("tasks more", last.tasks - first.tasks, 0),
        Bar.at_most("descriptors more", last.descriptors - first.descriptors, 0),
        Bar.at_most("objects kept a call", growth(moments, lambda each: each.objects), OBJECTS_A_CALL),
        Bar.at_most("octets kept a call", 1024 * growth(moments, lambda each: each.memory), OCTETS_A_CALL),
        Bar.at_most("set-ups that failed", failed, 0),
    ]
    notes = [f"set-ups failed: {', '.join(sorted(set(reasons)))}"] if reasons else []
    notes.append(f"{busy_cores() - began:.0f} s of processor time went by on the whole machine")
    return Report("transceiver_soak", rows, bars, notes)
