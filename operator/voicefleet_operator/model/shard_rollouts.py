"""Whether a shard's old pods may go, while new ones come of which nobody knows yet whether calls reach them. Pure.

A pod that is Ready has said so itself. What shows that it serves is a call: the first one on any pod of the new
template lets the rollout go on. Until then it holds, as long as calls still begin on old pods; when so many have that
some should have come to the new ones, it stops. Where no call begins, nothing can be shown, and it goes on.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple

from voicefleet_operator.model.manifest import Manifest

QUIET: Final = 15.0
"""Seconds without a new call after which nobody waits for the next one."""
ENOUGH: Final = 3
"""Calls that new pods should have got. Placed evenly, by chance alone they get none of so many once in twenty times."""


class Verdict(Enum):
    """What becomes of old pods."""

    GO_ON = "go on"
    HOLD = "hold"
    STOP = "stop"


class Taker(NamedTuple):
    """A pod of the shard that is ready and was not told to drain."""

    name: str
    new: bool
    """Whether it is of the newest template."""
    ready_since: float
    calls: Mapping[str, float]
    """Its live calls with their ages; none where it does not say."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen of the pods of a template while there were older ones."""

    template: str
    since: float = 0.0
    """When the first of them that is there was ready."""
    elsewhere: frozenset[tuple[str, str]] = frozenset()
    """Pod and id of calls that have begun on older ones since these had their time."""
    latest: float | None = None
    """When the last call on an older one began."""
    passed: bool = False
    """Whether a call came to one of them."""


def observed(before: Trial | None, template: str, takers: Collection[Taker], patience: float, now: float) -> Trial:
    """The trial with what this look shows; another template begins another one."""
    trial = before if before is not None and before.template == template else Trial(template)
    new = [each for each in takers if each.new]
    if trial.passed or any(each.calls for each in new):
        return Trial(template, passed=True)
    begins = [now - age for each in takers if not each.new for age in each.calls.values()]
    latest = max([*begins, *([] if trial.latest is None else [trial.latest])], default=None)
    if not new:
        return Trial(template, latest=latest)
    since = min(each.ready_since for each in new)
    begun = frozenset(
        (each.name, call)
        for each in takers
        if not each.new
        for call, age in each.calls.items()
        if now - age >= since + patience
    )
    return Trial(template, since, begun | (trial.elsewhere if trial.since == since else frozenset()), latest)


def verdict(trial: Trial, takers: Collection[Taker], stopped: bool, patience: float, now: float) -> Verdict:
    """Whether old pods may go; `stopped`: this template's rollout was stopped before."""
    old = [each for each in takers if not each.new]
    new = len(takers) - len(old)
    if trial.passed or not old or not patience:
        return Verdict.GO_ON
    if stopped or len(trial.elsewhere) * new >= ENOUGH * len(takers):
        return Verdict.STOP
    if not new or trial.latest is None:
        return Verdict.GO_ON  # Kubernetes keeps the old ones until a new one is ready
    return Verdict.HOLD if now - max(trial.latest, trial.since) < min(QUIET, patience) else Verdict.GO_ON


def held(deployment: Manifest) -> Manifest:
    """The same Deployment, which keeps the pods that it has of each template; its count still follows."""
    return {**deployment, "spec": {**deployment["spec"], "paused": True}}


def is_held(deployment: Mapping[str, Any]) -> bool:
    """Whether it does."""
    return bool(deployment["spec"].get("paused"))
