"""How far a Deployment or DaemonSet is, and what that means for the conditions of its owner."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from voicefleet_operator.api.conditions import Condition, ConditionType, condition
from voicefleet_operator.model.pod_troubles import Pod, troubles


@dataclass(frozen=True, slots=True)
class Progress:
    """A workload in numbers."""

    wanted: int = 0
    pods: int = 0
    updated: int = 0
    ready: int = 0
    stalled: str = ""
    """Why the rollout does not go on, if it does not."""
    exists: bool = False
    observed: bool = False
    """Whether its controller has seen the newest template."""
    arrived: bool = True
    """Whether all pods of the newest template have been ready once; until then it is a rollout, and no harm."""
    troubles: tuple[str, ...] = ()
    """Why pods of it are not ready, or cannot be made."""

    @property
    def rolling(self) -> bool:
        """Whether pods are still being made, replaced or removed."""
        return not self.observed or not self.arrived or self.updated < self.wanted or self.pods != self.wanted

    @property
    def lacks_pods(self) -> bool:
        """Whether fewer serve than are wanted; a rollout that goes wrong leaves the old ones."""
        return self.ready < self.wanted

    @property
    def complete(self) -> bool:
        """Whether all pods are new and ready."""
        return self.exists and not self.rolling and self.ready >= self.wanted


def progress(document: dict[str, Any] | None, pods: Iterable[Pod] = ()) -> Progress:
    """What a Deployment's or DaemonSet's status says, and what its pods do, those on their way out among them."""
    if document is None:
        return Progress()
    spec, status = document.get("spec", {}), document.get("status", {})
    observed = status.get("observedGeneration", 0) >= document["metadata"].get("generation", 1)
    if document["kind"] == "DaemonSet":
        return Progress(
            wanted=status.get("desiredNumberScheduled", 0),
            pods=status.get("currentNumberScheduled", 0),
            updated=status.get("updatedNumberScheduled", 0),
            ready=status.get("numberReady", 0),
            exists=True,
            observed=observed,
            troubles=troubles(pods),
        )
    by_type: dict[str, dict[str, Any]] = {each["type"]: each for each in status.get("conditions", ())}
    told, failure = by_type.get("Progressing", {}), by_type.get("ReplicaFailure", {})
    refused = (f"no pod can be made, {failure.get('message', '')}",) if failure.get("status") == "True" else ()
    stalled = (told.get("message") or told.get("reason", "")) if told.get("status") == "False" else ""
    return Progress(
        wanted=spec.get("replicas", 1),
        pods=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        stalled=stalled,
        exists=True,
        observed=observed,
        arrived=told.get("reason") == "NewReplicaSetAvailable" or not spec.get("replicas", 1),
        troubles=(*refused, *troubles(pods)),
    )


def rollout_conditions(parts: dict[str, Progress]) -> tuple[Condition, Condition]:
    """Progressing and Degraded, of all workloads that an object consists of, by what they are called."""
    stalled = [f"{name}: {each.stalled}" for name, each in parts.items() if each.stalled]
    rolling = [f"{name}: {each.updated} of {each.wanted} are new" for name, each in parts.items() if each.rolling]
    failing = [f"{name}: {_failing(each)}" for name, each in parts.items() if each.troubles]
    lacking = [
        f"{name}: {each.ready} of {each.wanted} are ready; kubectl describe their pods"
        for name, each in parts.items()
        if each.exists and not each.rolling and each.ready < each.wanted
    ]
    if stalled:
        progressing = condition(ConditionType.PROGRESSING, False, "RolloutStalled", "; ".join(stalled))
    elif rolling:
        progressing = condition(ConditionType.PROGRESSING, True, "RollingOut", "; ".join(rolling))
    else:
        progressing = condition(ConditionType.PROGRESSING, False, "UpToDate")
    if failing:
        degraded = condition(ConditionType.DEGRADED, True, "PodsFail", "; ".join(failing))
    elif stalled:
        degraded = condition(ConditionType.DEGRADED, True, "RolloutStalled", "; ".join(stalled))
    elif lacking:
        degraded = condition(ConditionType.DEGRADED, True, "PodsNotReady", "; ".join(lacking))
    else:
        degraded = condition(ConditionType.DEGRADED, False, "AllPodsReady" if not rolling else "RollingOut")
    return progressing, degraded


def _failing(workload: Progress) -> str:
    told = "; ".join(workload.troubles)
    if workload.rolling and workload.ready:
        return f"{told}. {workload.ready} others serve on: mend spec, or put the last one back"
    return told
