"""What a Deployment's status means for its owner."""

from typing import Any

from voicefleet_operator.model.workload import progress, rollout_conditions


def _deployment(reason: str, ready: int, so: str = "True") -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": ready}
    told = {"type": "Progressing", "status": so, "reason": reason, "message": reason}
    return {
        "kind": "Deployment",
        "metadata": {"generation": 1},
        "spec": {"replicas": 2},
        "status": {**status, "conditions": [told]},
    }


def _reasons(document: dict[str, Any]) -> tuple[str, str]:
    progressing, degraded = rollout_conditions({"relays": progress(document)})
    return progressing.reason, degraded.reason


def test_pods_that_have_not_been_ready_yet_are_a_rollout_and_no_harm() -> None:
    """A new object would be Degraded for its first seconds otherwise."""
    assert _reasons(_deployment("ReplicaSetUpdated", ready=0)) == ("RollingOut", "RollingOut")


def test_a_pod_that_was_ready_and_is_not_any_more_is_harm() -> None:
    """It is said with what to do."""
    assert _reasons(_deployment("NewReplicaSetAvailable", ready=1)) == ("UpToDate", "PodsNotReady")
    assert _reasons(_deployment("NewReplicaSetAvailable", ready=2)) == ("UpToDate", "AllPodsReady")


def test_a_rollout_that_does_not_go_on_is_harm() -> None:
    """Kubernetes says so after the progress deadline."""
    stalled = _deployment("ProgressDeadlineExceeded", ready=1, so="False")
    assert _reasons(stalled) == ("RolloutStalled", "RolloutStalled")
