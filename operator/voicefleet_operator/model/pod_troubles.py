"""Why pods do not get ready, in words that stay the same while they try again and again. Pure.

Kubernetes says it of each pod and nowhere else: to their Deployment they are pods that are not ready yet, for minutes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
START: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
CRASH: Final = "CrashLoopBackOff"
SHOWN: Final = 3
"""Pods that are named."""

Pod = Mapping[str, Any]


def troubles(pods: Iterable[Pod]) -> tuple[str, ...]:
    """What keeps some of these pods from being ready. One without a node waits for another one's that is going."""
    known = list(pods)
    staying = [pod for pod in known if "deletionTimestamp" not in pod["metadata"]]
    found: dict[str, list[str]] = {}
    for pod in staying:
        if trouble := _of_containers(pod) or (_of_place(pod) if len(staying) == len(known) else ""):
            found.setdefault(trouble, []).append(pod["metadata"]["name"])
    return tuple(f"{_names(sorted(names))}: {trouble}" for trouble, names in sorted(found.items()))


def _of_containers(pod: Pod) -> str:
    for each in pod.get("status", {}).get("containerStatuses") or ():
        if each.get("ready"):
            continue
        waiting = each.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        ended = each.get("state", {}).get("terminated") or each.get("lastState", {}).get("terminated")
        if reason in IMAGE:
            return f"the image {each.get('image', '')} cannot be had; see kubectl describe pod"
        if reason in START:
            return f"cannot be started, {waiting.get('message') or reason}"
        if ended:
            how = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode', 'unknown')}"
            return f"has ended ({how}); see kubectl logs --previous"
        if reason == CRASH:
            return "ends again and again; see kubectl logs --previous"
    return ""


def _of_place(pod: Pod) -> str:
    for each in pod.get("status", {}).get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("reason") == "Unschedulable":
            return f"no node takes it, {each.get('message', '').rstrip('. ')}"
    return ""


def _names(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
