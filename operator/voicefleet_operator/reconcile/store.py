"""What the operator has seen of the cluster, kept by the watches: observing costs no request.

It may lag behind. Nothing that must not happen twice is decided by it: those writes carry the version that was read.
"""

from collections.abc import Iterator
from typing import Any, Final

from voicefleet_operator.model.resources import Resource

Document = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace, name."""

_POD_STATUS: Final = ("phase", "podIP", "conditions")


class Store:
    """Objects by kind and name, and by the owner that controls them."""

    def __init__(self) -> None:
        self._objects: dict[Key, Document] = {}
        self._owned: dict[str, set[Key]] = {}
        self._kinds: dict[str, dict[str, set[Key]]] = {}
        """By kind and namespace."""
        self.values: dict[Key, Resource[Any, Any]] = {}
        """What was read from objects of our kinds; gone with the version that it was read from."""

    def put(self, document: Document) -> bool:
        """An object as it is now; whether that is news."""
        key = key_of(document)
        known = self._objects.get(key)
        version = document["metadata"].get("resourceVersion")
        if known is not None:
            if known["metadata"].get("resourceVersion") == version:
                return False
            self.drop(key)
        self._objects[key] = _lean(document)
        self._kinds.setdefault(key[0], {}).setdefault(key[1], set()).add(key)
        owner = owner_uid(document)
        if owner:
            self._owned.setdefault(owner, set()).add(key)
        return True

    def drop(self, key: Key) -> Document | None:
        """It is gone; what it was."""
        self.values.pop(key, None)
        document = self._objects.pop(key, None)
        if document is None:
            return None
        namespaces = self._kinds[key[0]]
        namespaces[key[1]].discard(key)
        if not namespaces[key[1]]:
            del namespaces[key[1]]
        owner = owner_uid(document)
        if owner:
            self._owned[owner].discard(key)
            if not self._owned[owner]:
                del self._owned[owner]
        return document

    def get(self, kind: str, namespace: str, name: str) -> Document | None:
        """One object."""
        return self._objects.get((kind, namespace, name))

    def all(self, kind: str, namespace: str | None = None) -> Iterator[Document]:
        """Objects of a kind, in the order of their names."""
        namespaces = self._kinds.get(kind, {})
        for each in sorted(namespaces) if namespace is None else (namespace,):
            for key in sorted(namespaces.get(each, ())):
                yield self._objects[key]

    def owned(self, uid: str) -> Iterator[Document]:
        """What an object controls."""
        for key in sorted(self._owned.get(uid, ())):
            yield self._objects[key]

    def count(self, kind: str) -> int:
        """How many there are of a kind."""
        return sum(map(len, self._kinds.get(kind, {}).values()))

    def __len__(self) -> int:
        return len(self._objects)


def key_of(document: Document) -> Key:
    """Under what an object is kept."""
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


def owner_uid(document: Document) -> str:
    """The owner that controls it."""
    return next((each["uid"] for each in document["metadata"].get("ownerReferences", ()) if each.get("controller")), "")


def _lean(document: Document) -> Document:
    """Without what nobody here reads: it would be most of the operator's memory."""
    metadata = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    lean = {**document, "metadata": metadata}
    if document["kind"] == "Pod":
        status = document.get("status", {})
        lean["spec"] = {"nodeName": document.get("spec", {}).get("nodeName", "")}
        lean["status"] = {key: status[key] for key in _POD_STATUS if key in status}
        unready = [each for each in status.get("containerStatuses") or () if not each.get("ready")]
        if unready:
            lean["status"]["containerStatuses"] = unready  # why it is not, which nobody asks of the others
    elif document["kind"] == "Node":
        lean["spec"] = {}
        lean["status"] = {"addresses": document.get("status", {}).get("addresses", [])}
    elif document["kind"] == "HorizontalPodAutoscaler":
        lean["spec"] = {"scaleTargetRef": document["spec"]["scaleTargetRef"]}
        lean["status"] = {}
    return lean
