"""Whether a worker takes one more call, and which worker of a pod takes it.

A call that is refused at once is asked for elsewhere and costs its caller milliseconds; one that is taken by a worker
without time for it costs every call there. So a worker refuses before its clock suffers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Refusal(StrEnum):
    """Why no call is taken; a label value of a metric."""

    DRAINING = "draining"
    SLOTS = "slots"
    CPU = "cpu"
    CLOCK = "clock"
    GONE = "gone"
    """The worker is being started (again)."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The bounds of a pod. A worker of it that has only a part of a core has only that part of `cpu`."""

    calls: int
    """Of all workers together; while some are down, the others may have them all."""
    cpu: float = 0.85
    """Share of a core: from here on, bursts are no longer absorbed within a frame."""
    clock_error: float = 0.020
    """Seconds that 1% of departures are late by: the lead that the sending clock has, so up to here nobody hears it."""


class Load(NamedTuple):
    """How a worker is."""

    calls: int
    """Live ones, and those that were promised a place."""
    cpu: float = 0.0
    clock_error: float = 0.0
    """Seconds; 0 while too few frames leave to tell our own lateness from the machine's moods."""
    draining: bool = False
    there: bool = True


def refusal(load: Load, limits: AdmissionLimits) -> Refusal | None:
    """Why this worker takes no call now; None if it does."""
    if not load.there:
        return Refusal.GONE
    if load.draining:
        return Refusal.DRAINING
    if load.calls >= limits.calls:
        return Refusal.SLOTS
    if load.clock_error > limits.clock_error:
        return Refusal.CLOCK
    if load.cpu > limits.cpu:
        return Refusal.CPU
    return None


def explained(why: Refusal, load: Load, limits: AdmissionLimits) -> str:
    """The refusal as a sentence."""
    match why:
        case Refusal.DRAINING:
            return "draining"
        case Refusal.SLOTS:
            return f"all {limits.calls} slots are taken"
        case Refusal.CPU:
            return f"the processor is {load.cpu:.0%} busy, {limits.cpu:.0%} are allowed"
        case Refusal.CLOCK:
            late, allowed = load.clock_error * 1000, limits.clock_error * 1000
            return f"the sending clock is {late:.1f} ms late, {allowed:.0f} ms are allowed"
        case Refusal.GONE:
            return "the worker is not up"


def free(loads: Sequence[Load], limits: AdmissionLimits) -> int:
    """Calls that the workers together would take now."""
    if all(refusal(load, limits) for load in loads):
        return 0
    return max(0, limits.calls - sum(load.calls for load in loads))


def choose(loads: Sequence[Load], limits: AdmissionLimits) -> int | tuple[Refusal, Load]:
    """The number of the worker that takes the next call: of those that would, the one with the fewest calls.

    If none does, the refusal of the one that came closest to taking it.
    """
    open_ones = [number for number, load in enumerate(loads) if refusal(load, limits) is None]
    if open_ones:
        number = min(open_ones, key=lambda number: loads[number].calls)
        return number if free(loads, limits) else (Refusal.SLOTS, loads[number])
    order = (Refusal.CLOCK, Refusal.CPU, Refusal.SLOTS, Refusal.DRAINING, Refusal.GONE)
    refusals = [(why, load) for load in loads if (why := refusal(load, limits)) is not None]
    return min(refusals, key=lambda each: order.index(each[0]))
