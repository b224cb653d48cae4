"""Calls that come and go for a quarter of an hour, and what a worker holds in its hands before and after.

200 calls live at any time; 20 of them end and 20 begin each second, with audio and a data channel. Once a minute all
hang up, and then nothing may be left of them: no call, no task, no descriptor; and memory and objects may not grow from
one such moment to the next, once the first of them has made the allocator's room. Before they hang up, each of those
that live must hear itself.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from statistics import linear_regression
from typing import Final

from tests.bench.report import Bar, Report, Row
from tests.bench.transceiver import busy_cores, spoken
from tests.bench.transceiver_load import Server, callers, transceiver
from tests.support.facts import DEADLINE, eventually

TITLE = "Soak: calls that come and go for 15 minutes, and what a worker keeps of them"

CALLS: Final = 200
RATE: Final = 20.0
SETTLE: Final = 8.0
"""Seconds; what is left of a call has gone after five."""
MINUTES: Final = 15
OBJECTS_A_CALL: Final = 0.5
"""Python objects that may be kept for each call that has gone: a call has hundreds, and caches fill up only once."""
OCTETS_A_CALL: Final = 200
"""Memory that may be kept for each call that has gone; a call has 100 KiB."""
RESIDENT: Final = 16
"""MiB by which what the allocator keeps may differ: as much as it may keep without giving it back."""


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
    resident: float
    """KiB that only it has, with what the allocator keeps."""


def moment(server: Server, gone: int, settle: float) -> Moment:
    """Look, once it has noticed that all are gone, and so many seconds later: some of a call waits for a timer."""
    asyncio.run(eventually(lambda: server.calls == 0, "all calls have ended", 2 * DEADLINE))
    time.sleep(settle)
    resident, held = server.memory, server.holds()
    return Moment(
        gone=gone,
        calls=held["calls"],
        tasks=held["tasks"],
        threads=held["threads"],
        descriptors=server.descriptors,
        objects=held["objects"],
        memory=server.memory,
        resident=resident,
    )


@dataclass(slots=True)
class Soaked:
    """What became of all calls."""

    moments: list[Moment] = field(default_factory=list)
    failed: int = 0
    """Calls that were not set up."""
    reasons: set[str] = field(default_factory=set)
    listened: int = 0
    """Calls that lived at the end of a piece, over all pieces."""
    silent: int = 0
    """Of these: those that did not hear themselves."""


def soak(
    seconds: float,
    pieces: int,
    calls: int,
    rate: float,
    tell: Callable[[Moment], None] = lambda _moment: None,
    settle: float = 0.0,
    *,
    compiled: bool = True,
) -> Soaked:
    """Let calls come and go."""
    cores = sorted(os.sched_getaffinity(0))
    soaked, gone = Soaked(), 0
    with (
        spoken() as speaking,
        transceiver("echo", cores[0], compiled=compiled) as server,
        callers(cores[-1], server) as calling,
    ):
        calling.ask("speak", frames=str(speaking), number=True)
        for _ in range(pieces):
            told = calling.ask("churn", count=calls, rate=rate, seconds=seconds / pieces, talk=True, channel=True)
            heard = calling.ask("measure", seconds=1.0)
            calling.ask("hang up", count=10 * calls)
            gone += told["calls"]
            soaked.failed += told["failed"]
            soaked.reasons |= set(told["reasons"] or ())
            soaked.listened += heard["calls"]
            soaked.silent += heard["silent"]
            soaked.moments.append(moment(server, gone, settle))
            tell(soaked.moments[-1])
    return soaked


def growth(moments: list[Moment], what: Callable[[Moment], float]) -> float:
    """Of something, for each call that has gone: the slope of a line through all moments after the first third."""
    later = moments[len(moments) // 3 :]
    slope, _ = linear_regression([each.gone for each in later], [what(each) for each in later])
    return slope


def run(quick: bool) -> Report:
    """A quick run takes 40 s, with fewer calls."""
    tell = partial(print, file=sys.stderr, flush=True)
    began = busy_cores()
    span, pieces, calls, rate = (40.0, 8, 20, 10.0) if quick else (60.0 * MINUTES, MINUTES, CALLS, RATE)
    soaked = soak(span, pieces, calls, rate, tell, SETTLE)
    moments = soaked.moments
    first, last = moments[len(moments) // 3], moments[-1]
    rows = [
        Row("calls", "came and went", last.gone, "calls"),
        Row("calls", "not set up", soaked.failed, "calls"),
        Row("calls", "listened to", soaked.listened, "calls"),
        *(Row(what, "after the first third", value, what) for what, value in asdict(first).items() if what != "gone"),
        *(Row(what, "at the end", value, what) for what, value in asdict(last).items() if what != "gone"),
    ]
    bars = [
        Bar.at_most("calls left", last.calls, 0),
        Bar.at_most("tasks more", last.tasks - first.tasks, 0),
        Bar.at_most("descriptors more", last.descriptors - first.descriptors, 0),
        Bar.at_most("objects kept a call", growth(moments, lambda each: each.objects), OBJECTS_A_CALL),
        Bar.at_most("octets kept a call", 1024 * growth(moments, lambda each: each.memory), OCTETS_A_CALL),
        Bar.at_most("resident memory, MiB more", (last.resident - first.resident) / 1024, RESIDENT),
        Bar.at_most("set-ups that failed", soaked.failed, 0),
        Bar.at_most("calls that heard nothing", soaked.silent, 0),
    ]
    notes = [f"set-ups failed: {', '.join(sorted(soaked.reasons))}"] if soaked.reasons else []
    notes.append(f"{busy_cores() - began:.0f} s of processor time went by on the whole machine")
    return Report("transceiver_soak", rows, bars, notes)
