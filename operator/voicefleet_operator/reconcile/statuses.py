"""Write a status when it has changed, and tell what a person would want to know as Events."""

import logging
from collections.abc import Iterable
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
    ConditionType.DEGRADED,
    ConditionType.DRAINING,
    ConditionType.ABLE_TO_SCALE,
)
_BAD: Final = {ConditionType.DEGRADED: "True"}
"""Conditions that are bad news when they are so; others are when they are not."""


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
    for told in _news(before.conditions, conditions):
        await _tell(context, resource, told)
    return answer


def _news(before: Iterable[Condition], after: Iterable[Condition]) -> Iterable[Condition]:
    known = {each.type: (each.status, each.reason) for each in before}
    for each in after:
        if each.type in _TOLD and known.get(each.type) != (each.status, each.reason):
            quiet = each.type != ConditionType.READY and each.type not in known and not _is_bad(each)
            if not quiet:
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
