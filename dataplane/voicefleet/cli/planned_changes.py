"""What `kubectl apply` of a fleet's file would change: asked of the API server, which keeps nothing of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voicefleet.cli.resources.fleet_file import Object
from voicefleet_operator.kube.cluster import Cluster, Document
from voicefleet_operator.kube.endpoints import CUSTOM
from voicefleet_operator.kube.errors import NotFound

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL: Final = "kubectl"
"""Whose fields they are after `kubectl apply --server-side`."""
LONGEST: Final = 60
"""Letters of a value that a person is shown."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field that would be another."""

    field: str
    old: Any
    new: Any

    def sentence(self) -> str:
        """For people."""
        return f"{self.field}: {_shown(self.old)} -> {_shown(self.new)}"


@dataclass(frozen=True, slots=True)
class Planned:
    """What would happen to one object."""

    about: str
    created: bool
    changes: tuple[Change, ...] = ()

    def lines(self) -> list[str]:
        """For people."""
        if self.created:
            return [f"{self.about}: would be created"]
        return [f"{self.about}: {each.sentence()}" for each in self.changes] or [f"{self.about}: nothing would change"]


async def planned(cluster: Cluster, namespace: str, found: Object) -> Planned:
    """What applying one object would do; raises what the API server refuses it with."""
    document = {**found.document, "metadata": {"namespace": namespace, **found.document["metadata"]}}
    namespace, endpoint = document["metadata"]["namespace"], CUSTOM[found.kind]
    try:
        there = await cluster.get(endpoint, namespace, found.name)
    except NotFound:
        await cluster.create(document, dry_run=True)
        return Planned(found.title, created=True)
    applied = there["metadata"].get("annotations", {}).get(LAST_APPLIED)
    if applied is None:
        then = await cluster.apply(document, manager=KUBECTL, dry_run=True)
    else:
        change = three_way(_ours(json.loads(applied)), _ours(document))
        then = await cluster.merge(endpoint, namespace, found.name, change, dry_run=True)
    return Planned(found.title, created=False, changes=tuple(differences(_ours(there), _ours(then))))


def three_way(last: Document, new: Document) -> Document:
    """The merge patch to `new` that takes away what `last` had said, and leaves alone what others did."""
    patch: Document = {key: None for key in last if key not in new}
    for key, value in new.items():
        before = last.get(key)
        patch[key] = three_way(before if isinstance(before, dict) else {}, value) if isinstance(value, dict) else value
    return patch


def differences(old: Mapping[str, Any], new: Mapping[str, Any], above: str = "") -> Iterator[Change]:
    """Fields that differ, by their path; a list is one value."""
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differences(before, after, f"{above}{key}.")
        elif before != after:
            yield Change(f"{above}{key}", before, after)


def _ours(document: Document) -> Document:
    """What a file decides of an object: its spec and labels."""
    labels = document["metadata"].get("labels")
    return {"spec": document.get("spec") or {}} | ({"metadata": {"labels": labels}} if labels else {})


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
