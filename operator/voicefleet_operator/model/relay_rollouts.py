"""A fleet's pools give their relays up one pool after the other, whatever changed for all of them at once.

A call has a second relay so that it can be heard while the first one goes; a new image for the whole fleet would take
both away together. So the workload of a pool whose turn has not come gets its new template and holds still: its relays
serve on, its count still follows. A pool whose new relays do not start keeps its turn, and a bad image ends there.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from voicefleet_operator.model.manifest import Manifest
from voicefleet_operator.model.workload import progress

_FIRST: Final = "1"
_REVISIONS: Final = {
    "Deployment": "deployment.kubernetes.io/revision",
    "DaemonSet": "deprecated.daemonset.template.generation",
}
OVERDUE: Final = 60.0
"""Seconds after its grace period from which a pod that is still there counts as lost, with its node."""


class Relays(NamedTuple):
    """A pool's relays as they were seen last."""

    pool: str
    workload: dict[str, Any] | None
    pods: Iterable[dict[str, Any]]
    """Also those that were told to go."""


STARTS_WITHIN: Final = 600.0
"""Seconds that a relay may take, as for the progress of its Deployment."""


def waits_for(own: Relays, others: Iterable[Relays], now: float) -> str:
    """The pool whose relays are being replaced, so that these have to stay for now; or nothing."""
    if own.workload is None or not progress(own.workload).ready or _is_being_replaced(own.workload):
        return ""  # it has none that anybody could miss, or it was its turn already
    return next((each.pool for each in others if _gives_up(each, now)), "")


def held(workload: Manifest) -> Manifest:
    """The same workload, which takes its template and waits with it."""
    if workload["kind"] == "DaemonSet":
        return {**workload, "spec": {**workload["spec"], "updateStrategy": {"type": "OnDelete"}}}
    return {**workload, "spec": {**workload["spec"], "paused": True}}


def is_held(workload: dict[str, Any]) -> bool:
    """Whether it waits."""
    spec = workload.get("spec", {})
    return bool(spec.get("paused")) or spec.get("updateStrategy", {}).get("type") == "OnDelete"


def _gives_up(relays: Relays, now: float) -> bool:
    """Whether relays of the pool are about to go, or their successors are not there yet.

    A Deployment that gets a template back which it had before can say that all of it is there when nothing is, so its
    pods are asked as well. One that stays away for long is another matter, and holds nobody up while others serve.
    """
    if any(_is_going(each, now) for each in relays.pods):
        return True
    if relays.workload is None or is_held(relays.workload) or _is_first(relays.workload):
        return False
    state = progress(relays.workload)
    lacks = state.ready < state.wanted and (not state.ready or any(_is_coming(each, now) for each in relays.pods))
    return state.rolling or lacks


def _is_being_replaced(workload: dict[str, Any]) -> bool:
    return progress(workload).rolling and not is_held(workload) and not _is_first(workload)


def _is_first(workload: dict[str, Any]) -> bool:
    """Whether this is the first template of all, which replaces nobody."""
    annotations = workload["metadata"].get("annotations") or {}
    return progress(workload).observed and annotations.get(_REVISIONS[workload["kind"]], _FIRST) == _FIRST


def _is_coming(pod: dict[str, Any], now: float) -> bool:
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))
    return not ready and now < _seconds(pod["metadata"]["creationTimestamp"]) + STARTS_WITHIN


def _is_going(pod: dict[str, Any], now: float) -> bool:
    by = pod["metadata"].get("deletionTimestamp")
    return by is not None and now < _seconds(by) + OVERDUE


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
