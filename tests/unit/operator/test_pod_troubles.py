"""What a pod says of why it is not ready, as its owner's condition has it."""

from typing import Any

import pytest

from voicefleet_operator.model.pod_troubles import troubles

OOM = {"exitCode": 137, "reason": "OOMKilled"}
ENDED = "has ended (OOMKilled, exit code 137); see kubectl logs --previous"
FULL = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available."}


def _pod(name: str, conditions: tuple[dict[str, str], ...] = (), going: bool = False, **container: Any) -> Any:
    status = {"conditions": conditions, "containerStatuses": [{"image": "here/it:9", **container}] if container else []}
    return {"metadata": {"name": name, **({"deletionTimestamp": "now"} if going else {})}, "status": status}


@pytest.mark.parametrize(
    ("container", "told"),
    [
        pytest.param({"state": {"waiting": {"reason": "ContainerCreating"}}}, "", id="it starts"),
        pytest.param({"state": {"running": {}}}, "", id="it is not ready yet"),
        pytest.param({"ready": True, "state": {"running": {}}, "lastState": {"terminated": OOM}}, "", id="again well"),
        pytest.param(
            {"state": {"waiting": {"reason": "ErrImagePull"}}},
            "the image here/it:9 cannot be had; see kubectl describe pod",
            id="no image",
        ),
        pytest.param(
            {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "model" not found'}}},
            'cannot be started, secret "model" not found',
            id="no Secret",
        ),
        pytest.param({"state": {"terminated": OOM}}, ENDED, id="it has just ended"),
        pytest.param(
            {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "lastState": {}},
            "ends again and again; see kubectl logs --previous",
            id="it ends, nobody knows how",
        ),
    ],
)
def test_each_trouble_is_told_with_what_to_look_at(container: dict[str, Any], told: str) -> None:
    assert troubles([_pod("a", **container)]) == ((f"a: {told}",) if told else ())


def test_a_pod_that_crashes_is_told_in_one_way_while_it_runs_and_while_it_waits() -> None:
    """Each other wording would be a write, and an Event."""
    waits = _pod("a", state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": OOM})
    runs = _pod("a", state={"running": {}}, lastState={"terminated": OOM})
    assert troubles([waits]) == troubles([runs]) == (f"a: {ENDED}",)
    assert troubles([_pod("a", state={"waiting": {"reason": "ErrImagePull"}})]) == troubles(
        [_pod("a", state={"waiting": {"reason": "ImagePullBackOff"}})]
    )


def test_many_pods_with_one_trouble_are_one_sentence() -> None:
    pods = [_pod(name, state={"terminated": OOM}) for name in "dbeac"]
    assert troubles(pods) == (f"a, b, c and 2 more: {ENDED}",)


def test_a_pod_without_a_node_waits_for_one_that_is_on_its_way_out() -> None:
    """A relay's port is free when the old one has gone, and that is no trouble."""
    waits = _pod("a", conditions=(FULL,))
    assert troubles([waits]) == ("a: no node takes it, 0/1 nodes are available",)
    assert troubles([waits, _pod("b", going=True)]) == ()
    assert troubles([_pod("b", going=True, state={"terminated": OOM})]) == ()
