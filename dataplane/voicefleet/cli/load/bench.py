"""`voicefleet bench`: how many calls a fleet holds. Each step has twice the calls, until one passes a limit."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.load.figures import Limits, Report
from voicefleet.cli.load.run import SWITCH, Door, Plan, measured
from voicefleet.cli.output import say, say_json, show, table

FIRST: Final = 5
START: Final = 0.05
"""Seconds in which one call starts: faster than people come, slow enough to measure calls and not their beginning."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many calls, and how they fared."""

    calls: int
    told: Report
    beyond: list[str]

    def document(self) -> dict[str, Any]:
        """For programs."""
        return self.told.document() | {"beyond": self.beyond}


def sizes(most: int) -> Iterator[int]:
    """How many calls each step has; the last has `most`."""
    calls = min(FIRST, most)
    while calls < most:
        yield calls
        calls *= 2
    yield most


def bench(door: Door, most: int, duration: float, limits: Limits, *, as_json: bool) -> None:
    """Measure and say it; raises `Failure` when not even the first step is within the limits."""
    sys.setswitchinterval(SWITCH)
    steps: list[Step] = []
    for calls in sizes(most):
        told = asyncio.run(measured(door, Plan(calls, START * calls, duration, limits), quiet=as_json))
        steps.append(Step(calls, told, told.beyond(limits)))
        if steps[-1].beyond:
            break
    held = max((each.calls for each in steps if not each.beyond), default=0)
    if as_json:
        say_json({"held": held, "steps": [each.document() for each in steps]})
    else:
        _show(steps, held, most)
    if not held:
        raise Failure("; ".join(steps[0].beyond), "see voicefleet doctor", Exit.FAILED)


def _show(steps: list[Step], held: int, most: int) -> None:
    documents = [each.document() for each in steps]
    rows = [
        (each["calls"], each["failed"], each["lossPercent"], each["setupMs"]["p99"], each["gapMs"]["p99"])
        for each in documents
    ]
    show(table("", ("calls", "failed", "lost %", "p99 set-up ms", "p99 gap ms"), rows))
    if steps[-1].beyond:
        say(f"With {steps[-1].calls} calls: {'; '.join(steps[-1].beyond)}.")
    say(f"It held {held} calls within the limits" + (", and more were not tried." if held == most else "."))
