"""Holds a value against a structural schema as the API server does: defaults first, then shapes, then rules.

The schema is the one that the CRDs are made of, so that nothing is allowed here that a cluster refuses. Every word that
can stand in it is known here; a test holds that against the CRDs.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voicefleet.cli.resources.rules import broken_rules
from voicefleet.cli.resources.yaml_source import Path
from voicefleet.net.near_miss import near_miss

Schema = Mapping[str, Any]

WORDS: Final = frozenset(
    {
        "type",
        "format",
        "description",
        "properties",
        "required",
        "default",
        "enum",
        "pattern",
        "items",
        "additionalProperties",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "x-kubernetes-validations",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    }
)
"""What a schema can say and is checked here (a description and a format need no check)."""
LONGEST_VALUE: Final = 60

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_ARTICLES: Final = {"object": "a mapping", "array": "a list", "integer": "a whole number", "string": "text"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a value."""

    path: Path
    message: str
    rule: bool = False
    """Whether the message is a rule's own sentence; else it goes on after the field's name."""

    @property
    def field(self) -> str:
        """The path as kubectl writes it."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")


def with_defaults(value: Any, schema: Schema) -> Any:
    """The value as the API server would keep it: what is missing and has a default is filled in."""
    if isinstance(value, dict) and "properties" in schema:
        filled = {}
        for name, inner in schema["properties"].items():
            given = value.get(name)
            if given is not None:
                filled[name] = with_defaults(given, inner)
            elif "default" in inner:
                filled[name] = with_defaults(copy.deepcopy(inner["default"]), inner)
        return {**value, **filled}
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(each, schema["items"]) for each in value]
    return value


def problems(value: Any, schema: Schema, old: Any = None, path: Path = ()) -> list[Problem]:
    """Everything that is wrong with a value that has its defaults; `old` is what it replaces."""
    # As in the API server: rules are about values of the right shape.
    return list(_shapes(value, schema, path)) or list(broken(value, schema, old, path))


def broken(value: Any, schema: Schema, old: Any, path: Path) -> Iterator[Problem]:
    """Rules that do not hold, here and further down."""
    rules = schema.get("x-kubernetes-validations", ())
    yield from (Problem(path, message, True) for message in broken_rules(rules, value, old))
    for name, inner, part in _children(value, schema):
        before = old.get(name) if isinstance(old, dict) else None
        yield from broken(part, inner, before, (*path, name))


def _children(value: Any, schema: Schema) -> Iterator[tuple[str | int, Schema, Any]]:
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for name, part in value.items():
            inner = schema.get("properties", {}).get(name, extra)
            if inner is not None and part is not None:
                yield name, inner, part
    elif isinstance(value, list):
        yield from ((index, schema["items"], part) for index, part in enumerate(value))


def _shapes(value: Any, schema: Schema, path: Path) -> Iterator[Problem]:
    if (wrong := _wrong_type(value, schema)) is not None:
        yield Problem(path, f"is {shown(value)}; allowed: {wrong}")
        return
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(schema["enum"])
        meant = near_miss(str(value), schema["enum"])
        yield Problem(path, f"is {shown(value)}; allowed: {allowed}" + (f" (did you mean {meant}?)" if meant else ""))
    yield from _bounds(value, schema, path)
    if isinstance(value, dict) and "properties" in schema:
        yield from _fields(value, schema, path)
    if isinstance(value, list):
        yield from _repeated(value, schema, path)
    for name, inner, part in _children(value, schema):
        yield from _shapes(part, inner, (*path, name))


def _fields(value: dict[str, Any], schema: Schema, path: Path) -> Iterator[Problem]:
    known = schema["properties"]
    for name in value:
        if name not in known and "additionalProperties" not in schema:
            meant = near_miss(name, known)
            hint = f"; did you mean {meant}?" if meant else f"; known here: {', '.join(sorted(known))}"
            yield Problem((*path, name), f"is an unknown field{hint}")
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield Problem((*path, name), "is missing")


def _repeated(value: list[Any], schema: Schema, path: Path) -> Iterator[Problem]:
    kind = schema.get("x-kubernetes-list-type")
    if kind is None:
        return
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: set[str] = set()
    for index, item in enumerate(value):
        identity = [item.get(key) for key in keys] if kind == "map" and isinstance(item, dict) else item
        text = json.dumps(identity, sort_keys=True, default=str)
        if text in seen:
            said = ", ".join(f"{key} {item.get(key)}" for key in keys) if kind == "map" else shown(item)
            yield Problem((*path, index), f"stands twice in the list: {said}")
        seen.add(text)


def _wrong_type(value: Any, schema: Schema) -> str | None:
    """What would be right, if the value is of another type."""
    if schema.get("x-kubernetes-int-or-string"):
        right = isinstance(value, str | int) and not isinstance(value, bool)
        return None if right else "a whole number or text"
    kind = schema.get("type")
    if kind is None:
        return None
    if isinstance(value, bool):
        right = kind == "boolean"
    elif kind == "integer" and isinstance(value, float):
        right = value.is_integer()
    else:
        right = isinstance(value, _TYPES[kind])
    return None if right else _ARTICLES.get(kind, f"a {kind}")


def _bounds(value: Any, schema: Schema, path: Path) -> Iterator[Problem]:
    def problem(allowed: str) -> Problem:
        return Problem(path, f"is {shown(value)}; allowed: {allowed}")

    if isinstance(value, str):
        length = len(value)
        if length < schema.get("minLength", 0):
            yield problem(f"at least {_count(schema['minLength'], 'character')}")
        elif length > schema.get("maxLength", length):
            yield problem(f"at most {_count(schema['maxLength'], 'character')}")
        elif "pattern" in schema and not re.search(schema["pattern"], value):
            yield problem(f"what matches {schema['pattern']}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
            yield problem(f"{'more than' if schema.get('exclusiveMinimum') else 'at least'} {low}")
        if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
            yield problem(f"{'less than' if schema.get('exclusiveMaximum') else 'at most'} {high}")
    elif isinstance(value, list | dict):
        word, thing = ("Items", "item") if isinstance(value, list) else ("Properties", "entry")
        if len(value) < schema.get(f"min{word}", 0):
            yield problem(f"at least {_count(schema[f'min{word}'], thing)}")
        if len(value) > schema.get(f"max{word}", len(value)):
            yield problem(f"at most {_count(schema[f'max{word}'], thing)}")


def shown(value: Any) -> str:
    """A value, short enough for a sentence."""
    match value:
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return f"a list of {len(value)}"
        case None:
            return "empty"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _count(number: int, thing: str) -> str:
    plural = thing if number == 1 else f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {plural}"
