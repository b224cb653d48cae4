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


def test_a_rollout_whose_pods_fail_is_harm_at_once_and_is_told_with_who_serves_meanwhile() -> None:
    """Kubernetes itself would say so after ten minutes, and not why."""
    failing = {"containerStatuses": [{"image": "here/it:9", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    pod = {"metadata": {"name": "new-1"}, "status": failing}
    document = _deployment("ReplicaSetUpdated", ready=2)
    document["status"]["replicas"] = 3
    found = progress(document, [pod])
    progressing, degraded = rollout_conditions({"relays": found})
    assert (progressing.reason, degraded.status, degraded.reason) == ("RollingOut", "True", "PodsFail")
    assert degraded.message == (
        "relays: new-1: the image here/it:9 cannot be had; see kubectl describe pod. "
        "2 others serve on: mend spec, or put the last one back"
    )
    assert not found.lacks_pods, "so its owner is as Ready as it was"


def test_pods_that_the_cluster_does_not_let_be_made_are_told() -> None:
    """By Pod Security or a quota; there is no pod that could say it."""
    document = _deployment("ReplicaSetUpdated", ready=0)
    failure = {"type": "ReplicaFailure", "status": "True", "message": "pods are forbidden: hostPort"}
    document["status"]["conditions"].append(failure)
    _, degraded = rollout_conditions({"relays": progress(document)})
    assert degraded.message == "relays: no pod can be made, pods are forbidden: hostPort"
