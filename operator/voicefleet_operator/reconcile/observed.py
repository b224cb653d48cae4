"""Custom resources as typed values, from documents as the API server gives them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from pydantic import ValidationError

from voicefleet_operator.api.kinds import KINDS
from voicefleet_operator.model.resources import Fleet, Policy, Pool, Resource, Shard
from voicefleet_operator.reconcile.store import Document, Key, Store, key_of


class Unreadable(Exception):
    """A spec that the API server took and this operator cannot read: an older or newer CRD, most likely."""


def resource(document: Document) -> Resource[Any, Any]:
    """The typed value; `Unreadable` names the first field at fault."""
    kind, metadata = KINDS[document["kind"]], document["metadata"]
    try:
        spec = kind.spec.model_validate(document.get("spec") or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(("spec", *map(str, first["loc"])))
        raise Unreadable(f"{path}: {first['msg']}") from None
    try:
        status = kind.status.model_validate(document.get("status") or {})
    except ValidationError:
        status = kind.status()  # somebody else wrote it; it is written anew
    return Resource(
        kind=kind.name,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 1),
        version=metadata["resourceVersion"],
        spec=spec,
        status=status,
        annotations=metadata.get("annotations") or {},
        deleting="deletionTimestamp" in metadata,
    )


def known(store: Store, key: Key) -> Resource[Any, Any] | None:
    """The typed value of an object as it was seen last, read once for each version of it."""
    value = store.values.get(key)
    if value is None and (document := store.get(*key)) is not None:
        value = store.values[key] = resource(document)
    return value


def fleet_named(store: Store, namespace: str, name: str) -> Fleet | None:
    """The fleet that something refers to, if it is there and can be read."""
    return cast("Fleet | None", _find(store, "VoiceFleet", namespace, name))


def pool_named(store: Store, namespace: str, name: str) -> Pool | None:
    """A pool by its name."""
    return cast("Pool | None", _find(store, "RelayPool", namespace, name))


def shard_named(store: Store, namespace: str, name: str) -> Shard | None:
    """A shard by its name."""
    return cast("Shard | None", _find(store, "TransceiverShard", namespace, name))


def pools_of(store: Store, fleet: Fleet) -> list[Pool]:
    """The pools that refer to a fleet and are not being deleted."""
    return [cast(Pool, each) for each in _referring(store, "RelayPool", fleet)]


def shards_of(store: Store, fleet: Fleet) -> list[Shard]:
    """The shards that refer to a fleet and are not being deleted."""
    return [cast(Shard, each) for each in _referring(store, "TransceiverShard", fleet)]


def policies_of(store: Store, namespace: str) -> list[Policy]:
    """All readable policies of a namespace."""
    return [cast(Policy, each) for each in _readable(store, "ScalingPolicy", namespace)]


def pods_of(store: Store, namespace: str, labels: Mapping[str, str]) -> list[Document]:
    """The pods with these labels that have not ended, those on their way out among them."""
    return [
        pod
        for pod in store.all("Pod", namespace)
        if (pod["metadata"].get("labels") or {}).items() >= labels.items()
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]


def staying(pods: Iterable[Document]) -> list[Document]:
    """Those of them that nobody has told to stop."""
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _find(store: Store, kind: str, namespace: str, name: str) -> Resource[Any, Any] | None:
    try:
        return known(store, (kind, namespace, name))
    except Unreadable:
        return None


def _readable(store: Store, kind: str, namespace: str) -> Iterator[Resource[Any, Any]]:
    for document in store.all(kind, namespace):
        try:
            value = known(store, key_of(document))
        except Unreadable:
            continue
        if value is not None and not value.deleting:
            yield value


def _referring(store: Store, kind: str, fleet: Fleet) -> Iterator[Resource[Any, Any]]:
    return (each for each in _readable(store, kind, fleet.namespace) if each.spec.fleet_ref == fleet.name)
