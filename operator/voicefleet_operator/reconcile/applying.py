"""Bring about what the model says: apply what differs, remove what is no longer wanted, leave everything else alone.

An object is applied when the manifest has changed since it was last applied (its digest stands in an annotation) or
when a field of ours is not as it was left. So an idle fleet costs no request, and a drift costs one.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from voicefleet_operator.kube.endpoints import OWNED, POD_MONITOR, endpoint_of
from voicefleet_operator.kube.errors import Conflict, NotFound, Refused
from voicefleet_operator.model.manifest import Manifest
from voicefleet_operator.model.resources import Resource
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.store import Document, key_of, owner_uid

APPLIED: Final = "voicefleet.dev/applied"


async def bring_about(context: Context, owner: Resource[Any, Any], manifests: Iterable[Manifest]) -> list[str]:
    """Apply the manifests and remove what else the owner controls; gives what the API server refused, in its words.

    Secrets are neither: they are made once.
    """
    refused: list[str] = []
    wanted = set()
    for manifest in manifests:
        wanted.add(key_of(manifest))
        try:
            await _apply(context, owner, marked(manifest))
        except (Refused, Conflict) as error:
            refused.append(f"{manifest['kind']} {manifest['metadata']['name']}: {error.message}")
    for document in list(context.store.owned(owner.uid)):
        kind = document["kind"]
        if kind in (*OWNED, POD_MONITOR.kind) and key_of(document) not in wanted:
            await remove(context, document)
    return refused


def differs(manifest: Manifest, present: Document) -> bool:
    """Whether applying the manifest would change anything that is ours."""
    return not _is_as_left(marked(manifest), present)


async def remove(context: Context, document: Document) -> None:
    """Delete exactly this object."""
    metadata = document["metadata"]
    if "deletionTimestamp" in metadata:
        return
    try:
        await context.cluster.delete(
            endpoint_of(document), metadata["namespace"], metadata["name"], metadata.get("uid")
        )
    except (NotFound, Conflict):
        return  # gone, or another one by now


async def _apply(context: Context, owner: Resource[Any, Any], manifest: Manifest) -> None:
    present = context.store.get(*key_of(manifest))
    if present is not None and owner_uid(present) not in ("", owner.uid):
        name = f"{present['kind']} {present['metadata']['name']}"
        raise Conflict(f"apply {name}", 409, "it belongs to somebody else; rename this object or remove that one")
    if present is not None and _is_as_left(manifest, present):
        return
    context.saw(await context.cluster.apply(manifest))


def marked(manifest: Manifest) -> Manifest:
    """The manifest with its digest, as it is applied."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _is_as_left(manifest: Manifest, present: Document) -> bool:
    """Whether every field of the manifest stands in the object as it was written; more may stand beside it."""
    if (present["metadata"].get("annotations") or {}).get(APPLIED) != manifest["metadata"]["annotations"][APPLIED]:
        return False
    return _within(manifest, present)


def _within(wanted: Any, present: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(
            (key in present and _within(value, present[key]))
            or (key not in present and value in ("", {}, [], False, 0))  # the API server leaves out what is empty
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(present, list) or len(wanted) > len(present):
            return False
        if all(isinstance(each, dict) and "name" in each for each in wanted):
            named = {each.get("name"): each for each in present}
            return all(each["name"] in named and _within(each, named[each["name"]]) for each in wanted)
        return len(wanted) == len(present) and all(map(_within, wanted, present))
    return bool(wanted == present)
