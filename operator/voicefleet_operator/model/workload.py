"""How far a Deployment or DaemonSet is, and what that means for the conditions of its owner."""

from dataclasses import dataclass
from typing import Any

from voicefleet_operator.api.conditions import Condition, ConditionType, condition


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

    @property
    def rolling(self) -> bool:
        """Whether pods are still being made, replaced or removed."""
        return not self.observed or not self.arrived or self.updated < self.wanted or self.pods != self.wanted

    @property
    def complete(self) -> bool:
        """Whether all pods are new and ready."""
        return self.exists and not self.rolling and self.ready >= self.wanted


def progress(document: dict[str, Any] | None) -> Progress:
    """What a Deployment's or DaemonSet's status says."""
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
        )
    told: dict[str, Any] = next(
        (each for each in status.get("conditions", ()) if each.get("type") == "Progressing"), {}
    )
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
    )


def rollout_conditions(parts: dict[str, Progress]) -> tuple[Condition, Condition]:
    """Progressing and Degraded, of all workloads that an object consists of, by what they are called."""
    stalled = [f"{name}: {each.stalled}" for name, each in parts.items() if each.stalled]
    rolling = [f"{name}: {each.updated} of {each.wanted} are new" for name, each in parts.items() if each.rolling]
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
    if stalled:
        degraded = condition(ConditionType.DEGRADED, True, "RolloutStalled", "; ".join(stalled))
    elif lacking:
        degraded = condition(ConditionType.DEGRADED, True, "PodsNotReady", "; ".join(lacking))
    else:
        degraded = condition(ConditionType.DEGRADED, False, "AllPodsReady" if not rolling else "RollingOut")
    return progressing, degraded
