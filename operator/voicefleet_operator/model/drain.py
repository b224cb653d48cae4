"""Who goes when a shard has too many pods, and when. Pure.

Victims are marked first: they take no more calls, and their live ones go on. The Deployment's count goes down only by
pods that are empty or past their deadline. Which pods a ReplicaSet removes is its decision: it takes those that are not
ready first, then those of the lowest deletion cost. So the count waits while a pod that is not ready may have calls,
and a victim that was passed over is removed by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FINISHED_COST: Final = -2_000
DRAINING_COST: Final = -1_000


@dataclass(frozen=True, slots=True)
class PodState:
    """One transceiver pod of a shard that has not been told to stop."""

    name: str
    running: bool
    """Whether it has been started; before that it cannot have calls."""
    ready: bool
    calls: int | None
    """Live calls; None when it does not say."""
    draining_since: float | None = None
    outdated: bool = False
    """Whether it is of an older template than the newest."""
    cost: int = 0
    """Its deletion cost as it stands."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """What to do next."""

    mark: tuple[str, ...]
    """Pods to tell that they take no more calls."""
    costs: Mapping[str, int]
    """Deletion costs that have to change."""
    replicas: int
    """The count for the Deployment."""
    remove: tuple[str, ...]
    """Finished pods to remove by name, since the count alone would not."""
    waiting: tuple[str, ...]
    """Pods whose calls go on."""


def finished(pod: PodState, deadline: float, now: float) -> bool:
    """Whether a marked pod may go."""
    if pod.draining_since is None:
        return False
    return not pod.running or pod.calls == 0 or now >= pod.draining_since + deadline


def plan_drain(pods: Sequence[PodState], wanted: int, deployed: int, deadline: float, now: float) -> DrainPlan:
    """The next step from `deployed` replicas with these pods towards `wanted` ones that take calls."""
    serving = [pod for pod in pods if pod.draining_since is None]
    mark: list[PodState] = []
    # Pods that are still to be made do not count: who shrinks in the middle of growing first stops growing. Nor do
    # those that a rollout makes beyond the count: the Deployment ends as many old ones itself, and these drain then.
    draining = [pod for pod in pods if pod.draining_since is not None]
    surplus = min(len(serving), deployed - len(draining)) - wanted
    if surplus > 0:
        mark = sorted(serving, key=_worth)[:surplus]
    done = [pod for pod in draining if finished(pod, deadline, now)]
    waiting = [pod for pod in draining if pod not in done] + mark
    target = wanted + len(waiting)
    costs = {pod.name: DRAINING_COST for pod in waiting} | {pod.name: FINISHED_COST for pod in done}
    changed = {pod.name: costs.get(pod.name, 0) for pod in pods if costs.get(pod.name, 0) != pod.cost}
    if target < deployed and (_could_lose_calls(pods, done) or any(pod.name in changed for pod in done)):
        target = deployed  # costs first, and never while the wrong one could go
    # When the count is where it should be and a finished pod is still there, another one went in its place.
    remove = tuple(pod.name for pod in done) if target == deployed and len(pods) <= wanted + len(waiting) else ()
    return DrainPlan(
        tuple(pod.name for pod in mark), changed, target, remove, tuple(sorted(pod.name for pod in waiting))
    )


def _worth(pod: PodState) -> tuple[bool, bool, float, str]:
    """Least worth first: not started, of an old template, with few calls; who does not say is taken for full."""
    return (pod.running, not pod.outdated, float("inf") if pod.calls is None else pod.calls, pod.name)


def _could_lose_calls(pods: Sequence[PodState], done: Sequence[PodState]) -> bool:
    """Whether a ReplicaSet would take a pod before the finished ones that may have calls."""
    return any(pod.running and not pod.ready and pod.calls != 0 and pod not in done for pod in pods)
