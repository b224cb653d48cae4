"""What users can write is described, and shown in one example that leaves nothing out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from voicefleet_operator.api.kinds import KINDS
from voicefleet_operator.api.schema import schema

EXAMPLE: Final = Path(__file__).parents[3] / "docs" / "examples" / "every-field.yaml"


@pytest.mark.parametrize("kind", KINDS)
def test_one_example_names_every_field(kind: str) -> None:
    documents = yaml.safe_load_all(EXAMPLE.read_text())
    specs = [each["spec"] for each in documents if each["kind"] == kind]
    missing = [path for path, _ in _fields(schema(KINDS[kind].spec)) if not any(_has(spec, path) for spec in specs)]
    assert not missing


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described(kind: str) -> None:
    assert [path for path, field in _fields(schema(KINDS[kind].spec)) if not field.get("description")] == []


def _fields(document: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All fields, those with others below them too."""
    for name, field in document.get("properties", {}).items():
        path = f"{above}.{name}".lstrip(".")
        yield path, field
        yield from _fields(field.get("items", field), path)


def _has(spec: Any, path: str) -> bool:
    head, _, rest = path.partition(".")
    if isinstance(spec, list):
        return any(_has(each, path) for each in spec)
    if not isinstance(spec, dict) or head not in spec:
        return False
    return not rest or _has(spec[head], rest)
