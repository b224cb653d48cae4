"""Whom a change of an object concerns: who has to be looked at when it comes, changes or goes.

A fleet and its parts read each other's statuses, and every look at one can write its own. So only those changes go
from one to the other that the other reads: else each of five hundred pools would have all the others looked at.
"""

from collections.abc import Iterator
from typing import Any

from voicefleet.contract import Label
from voicefleet_operator.api.kinds import KINDS
from voicefleet_operator.reconcile.store import Document, Key, Store, key_of, owner_uid

_PARTS = ("RelayPool", "TransceiverShard")


def concerned(store: Store, document: Document, before: Document | None, gone: bool) -> Iterator[Key]:
    """Keys of what is to be looked at; `before` is the object as it was known, if it was."""
    key = kind, namespace, _ = key_of(document)
    if kind in KINDS:
        if not gone:
            yield key
        yield from _readers(store, document, before)
    elif kind == "Node":
        if before is None or before["status"] != document["status"] or _labels(before) != _labels(document):
            yield from map(key_of, store.all("RelayPool"))
    elif kind == "HorizontalPodAutoscaler":
        # Their statuses change all the time, and nobody reads those.
        targets = {_scaled(each) for each in (document, before) if each is not None}
        if gone or before is None or len(targets) > 1:
            for target in sorted(targets):
                yield from _policies_of(store, namespace, target)
    elif kind == "Pod":
        labels = _labels(document)
        pool, shard = labels.get(Label.POOL), labels.get(Label.SHARD)
        if pool:
            yield "RelayPool", namespace, pool
        if shard:
            yield "TransceiverShard", namespace, shard
        if not (pool or shard) and (fleet := labels.get(Label.FLEET)):
            yield "VoiceFleet", namespace, fleet
    else:
        owner = owner_uid(document)
        for reference in document["metadata"].get("ownerReferences", ()):
            if reference["uid"] == owner and reference["kind"] in KINDS:
                yield reference["kind"], namespace, reference["name"]


def _readers(store: Store, document: Document, before: Document | None) -> Iterator[Key]:
    kind, namespace, name = key_of(document)
    if kind == "VoiceFleet":
        if before is None or _read_by_parts(before) != _read_by_parts(document):
            for part in _PARTS:
                for each in store.all(part, namespace):
                    if each.get("spec", {}).get("fleetRef") == name:
                        yield key_of(each)
    elif kind == "ScalingPolicy":
        if before is None or _written_by_hand(before) != _written_by_hand(document):
            for each in store.all(kind, namespace):
                if each["spec"]["targetRef"] == document["spec"]["targetRef"]:
                    yield key_of(each)
    elif kind in _PARTS:
        yield from _policies_of(store, namespace, (kind, name))
        if before is None or _read_by_fleet(before) != _read_by_fleet(document):
            fleet = document.get("spec", {}).get("fleetRef", "")
            yield "VoiceFleet", namespace, fleet
            # Whether there are relays on nodes decides whom transceivers let in.
            if kind == "RelayPool" and _is_on_nodes(document) != (before is not None and _is_on_nodes(before)):
                for each in store.all("TransceiverShard", namespace):
                    if each.get("spec", {}).get("fleetRef") == fleet:
                        yield key_of(each)


def _policies_of(store: Store, namespace: str, target: tuple[str, str]) -> Iterator[Key]:
    for each in store.all("ScalingPolicy", namespace):
        if (each["spec"]["targetRef"]["kind"], each["spec"]["targetRef"]["name"]) == target:
            yield key_of(each)


def _scaled(autoscaler: Document) -> tuple[str, str]:
    target = autoscaler["spec"]["scaleTargetRef"]
    return target["kind"], target["name"]


def _written_by_hand(document: Document) -> tuple[Any, ...]:
    metadata = document["metadata"]
    return (
        metadata.get("uid"),
        metadata.get("generation"),
        metadata.get("annotations"),
        metadata.get("deletionTimestamp"),
    )


def _read_by_parts(fleet: Document) -> tuple[Any, ...]:
    return *_written_by_hand(fleet), (fleet.get("status") or {}).get("ports")


def _read_by_fleet(part: Document) -> tuple[Any, ...]:
    status = part.get("status") or {}
    return *_written_by_hand(part), status.get("calls"), status.get("capacity")


def _is_on_nodes(pool: Document) -> bool:
    return bool(pool.get("spec", {}).get("expose", {}).get("type") == "HostNetwork")


def _labels(document: Document) -> dict[str, str]:
    return document["metadata"].get("labels") or {}
