"""Secrets and ConfigMaps that stand in a fleet's file, for what it names: local mode lays them out as files."""

import base64
import re
from collections.abc import Iterator
from typing import Any, Final

from voicefleet.cli.resources.yaml_source import Document, Place

_FIELDS: Final = {
    "Secret": {"data": True, "stringData": False},
    "ConfigMap": {"data": False, "binaryData": True},
}
"""Where each kind has its entries, and whether they are base64 there."""
_KEY: Final = re.compile(r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}")
"""As the API server has it: a key is the name of a file."""


def holds_entries(value: Any) -> bool:
    """Whether this document is one of these."""
    return isinstance(value, dict) and value.get("apiVersion") == "v1" and value.get("kind") in _FIELDS


class EntryProblem(Exception):
    """One entry is not what it must be."""

    def __init__(self, place: Place, field: str, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.field = field
        self.message = message


def read_entries(document: Document) -> Iterator[tuple[str, bytes] | EntryProblem]:
    """Its entries, and what is wrong with them."""
    value = document.value
    for field, encoded in _FIELDS[value["kind"]].items():
        part = value.get(field) or {}
        if not isinstance(part, dict):
            yield EntryProblem(document.place((field,)), field, "must be a mapping")
            continue
        for key, text in part.items():
            place, name = document.place((field, key)), f"{field}.{key}"
            if not (isinstance(key, str) and _KEY.fullmatch(key)):
                yield EntryProblem(place, name, "is no name of a file; allowed: a-z, A-Z, 0-9, -, _ and . only")
                continue
            try:
                yield key, base64.b64decode(text, validate=True) if encoded else text.encode()
            except (AttributeError, TypeError, ValueError):
                yield EntryProblem(place, name, f"must be {'base64' if encoded else 'text'}")
