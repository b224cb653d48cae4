"""How the next version of the custom resources comes: what differs, and objects of one version as objects of another.

A version is what its predecessor was, with some fields elsewhere: `MOVES`. Both versions hold the same, so an object
converted there and back is the same object, and users of both can work on it at once. What is new in a version has a
default that means what the older version did, and is kept in an annotation while the object is in the older one.

`v1beta1` is not served. When it is, its definitions stand beside those of `v1alpha1` in the CRDs, the operator answers
the API server's conversion webhook with `converted`, and the storage version changes one release later, when no
operator of an older release can be rolled back to.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from voicefleet.contract import GROUP

Document = dict[str, Any]

ALPHA: Final = "v1alpha1"
BETA: Final = "v1beta1"
KEPT: Final = "voicefleet.dev/newer-fields"
"""An annotation of an object in an older version: fields of a newer one that it has no place for, as JSON."""


class Move(NamedTuple):
    """One field and where it is in both versions; every part of a path is a key below `spec`."""

    alpha: tuple[str, ...]
    beta: tuple[str, ...]


MOVES: Final[Mapping[str, tuple[Move, ...]]] = {
    # As in a shard, where how a rollout goes stands in one place.
    "RelayPool": (Move(("maxUnavailable",), ("rollout", "maxUnavailable")),),
    # What one pod takes on stands under one name in pools and shards.
    "TransceiverShard": (Move(("sessionsPerReplica",), ("limits", "sessions")),),
    "VoiceFleet": (),
    "ScalingPolicy": (),
}
NEW: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    # How many flows may be without a relay while pods are replaced, as `maxUnavailableSessions` of a shard.
    "RelayPool": (("rollout", "maxUnavailableFlows"),),
}
"""Fields of `v1beta1` that `v1alpha1` has no place for."""


class NotConvertible(ValueError):
    """A version or kind that nobody knows; the API server passes the message on."""


def converted(document: Document, version: str) -> Document:
    """The object in another version; the one that was given stays as it is."""
    group, _, present = document["apiVersion"].partition("/")
    if group != GROUP or document["kind"] not in MOVES or {present, version} - {ALPHA, BETA}:
        raise NotConvertible(f"{document['apiVersion']} {document['kind']} cannot become {version}")
    result = copy.deepcopy(document)
    if present == version:
        return result
    result["apiVersion"] = f"{GROUP}/{version}"
    # The status is the same in both.
    (_up if version == BETA else _down)(result)
    return result


def _up(document: Document) -> None:
    _move(document, [(each.alpha, each.beta) for each in MOVES[document["kind"]]])
    annotations = document.get("metadata", {}).get("annotations") or {}
    kept = annotations.pop(KEPT, None)
    if kept is None:
        return
    if not annotations:
        del document["metadata"]["annotations"]
    for name, value in json.loads(kept).items():
        _put(document["spec"], tuple(name.split(".")), value)


def _down(document: Document) -> None:
    kept = {}
    for path in NEW.get(document["kind"], ()):
        found, value = _take(document.get("spec", {}), path)
        if found:
            kept[".".join(path)] = value
    _move(document, [(each.beta, each.alpha) for each in MOVES[document["kind"]]])
    if kept:
        annotations = document.setdefault("metadata", {}).setdefault("annotations", {})
        annotations[KEPT] = json.dumps(kept, sort_keys=True)


def _move(document: Document, paths: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
    for source, target in paths:
        found, value = _take(document.get("spec", {}), source)
        if found:
            _put(document["spec"], target, value)


def _take(spec: Document, path: tuple[str, ...]) -> tuple[bool, Any]:
    """Removes a value, and what has become empty by that; whether it was there."""
    head, *rest = path
    if head not in spec:
        return False, None
    if not rest:
        return True, spec.pop(head)
    if not isinstance(spec[head], dict):
        return False, None
    found, value = _take(spec[head], tuple(rest))
    if found and not spec[head]:
        del spec[head]
    return found, value


def _put(spec: Document, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        spec = spec.setdefault(key, {})
    spec[path[-1]] = value
