"""Write a status when it has changed, and tell what a person would want to know as Events."""

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

from voicefleet_operator.api.conditions import Condition, ConditionType, merged, timestamp
from voicefleet_operator.api.parts import Part
from voicefleet_operator.kube.cluster import FIELD_MANAGER
from voicefleet_operator.kube.endpoints import EVENT
from voicefleet_operator.kube.errors import KubernetesError
from voicefleet_operator.model.resources import Resource
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.store import Document

_log = logging.getLogger(__name__)

_TOLD: Final = (
    ConditionType.READY,
    ConditionType.PORTS_ALLOCATED,
    ConditionType.ADDRESSES_KNOWN,
    ConditionType.REACHABLE,
    ConditionType.DEGRADED,
    ConditionType.DRAINING,
    ConditionType.ABLE_TO_SCALE,
)
_BAD: Final = {ConditionType.DEGRADED: "True", ConditionType.DRAINING: "neither"}
"""Conditions that are bad news when they are so, or never; others are when they are not."""
_GOOD: Final = {ConditionType.READY, ConditionType.DRAINING}
"""Told also when they become true and nothing was wrong before."""
_BEGINNINGS: Final = {"Waiting", "Starting", "RelaysStarting", "TransceiversStarting"}
"""Reasons that every object has for a while when it is new."""


async def write_status(
    context: Context, resource: Resource[Any, Any], found: Iterable[Condition], **fields: Any
) -> Document | None:
    """The status with these conditions and fields; the new object, or nothing when there was nothing to write.

    It is written with the version that was read: `Conflict` means that the decision was made on old news.
    """
    document = context.store.get(resource.kind, resource.namespace, resource.name)
    if document is None:
        return None
    before: Any = resource.status
    conditions = merged(before.conditions, found, resource.generation, context.clock())
    update = {"observed_generation": resource.generation, "conditions": conditions, **fields}
    after: Part = before.model_copy(update=update)
    written = after.model_dump(mode="json", by_alias=True, exclude_none=True)
    if written == (document.get("status") or {}):
        return None
    fresh = {**document, "metadata": {**document["metadata"], "resourceVersion": resource.version}, "status": written}
    answer = await context.cluster.replace(fresh, "status")
    context.saw(answer)
    for told in news(before.conditions, conditions):
        await _tell(context, resource, told)
    return answer


def news(before: Iterable[Condition], after: Iterable[Condition]) -> Iterator[Condition]:
    """What a person would want to know: what has gone wrong, that it is mended, and that the object became Ready.

    What only is not ready yet is no news, unless it has been; every object begins so.
    """
    known = {each.type: each for each in before}
    for each in after:
        old = known.get(each.type)
        same = old is not None and (old.status, old.reason) == (each.status, each.reason)
        if each.type not in _TOLD or same:
            continue
        was_wrong = old is not None and _is_bad(old)
        if _is_bad(each):
            if each.reason not in _BEGINNINGS or (old is not None and not was_wrong):
                yield each
        elif old is None or old.status != each.status:
            mended = old is not None and was_wrong and old.reason not in _BEGINNINGS
            if mended or (each.status == "True" and each.type in _GOOD):
                yield each


def _is_bad(told: Condition) -> bool:
    return told.status == _BAD.get(told.type, "False")


async def _tell(context: Context, resource: Resource[Any, Any], told: Condition) -> None:
    """One Event; that it cannot be written must not stop anything."""
    now = context.clock()
    event = {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"generateName": f"{resource.name}-", "namespace": resource.namespace},
        "eventTime": f"{timestamp(now)[:-1]}.000000Z",
        "reportingController": "voicefleet.dev/operator",
        "reportingInstance": FIELD_MANAGER,
        "action": "Reconcile",
        "type": "Warning" if _is_bad(told) else "Normal",
        "reason": told.reason,
        "note": f"{told.type}: {told.message or told.status}"[:1024],
        "regarding": {
            "apiVersion": "voicefleet.dev/v1alpha1",
            "kind": resource.kind,
            "name": resource.name,
            "namespace": resource.namespace,
            "uid": resource.uid,
        },
    }
    try:
        await context.cluster.create(event)
    except KubernetesError as error:
        _log.debug("an Event could not be written: %s", error)
