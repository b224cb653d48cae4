"""What a settings model asks for, field by field: where each is read from and, in words, what it allows."""

import enum
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticUndefined

from voicefleet.contract import Env
from voicefleet.net.setting_types import Allowed

_SEQUENCES = (tuple, list, frozenset, set)


@dataclass(frozen=True)
class Setting:
    """One leaf of a settings model."""

    path: tuple[str, ...]
    annotation: Any
    description: str
    default: Any
    """PydanticUndefined if the setting must be given."""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return Env.PREFIX + "__".join(self.path).upper()

    @property
    def in_file(self) -> str:
        """How the YAML file spells it."""
        return ".".join(to_camel(name) for name in self.path)

    @property
    def required(self) -> bool:
        """Whether there is no default."""
        return self.default is PydanticUndefined

    @cached_property
    def secret(self) -> bool:
        """Whether its value must never be shown."""
        return any(plain(part) in (SecretStr, SecretBytes) for part in _options(self.annotation))

    @cached_property
    def item(self) -> Any:
        """The type of a list's items; None for what is not a list."""
        for part in _options(self.annotation):
            if get_origin(plain(part)) in _SEQUENCES:
                return get_args(plain(part))[0]
        return None

    @cached_property
    def deep(self) -> bool:
        """Whether the environment holds it as JSON: a mapping, a choice of models, or a list of either."""
        parts = [plain(option) for option in _options(self.annotation if self.item is None else self.item)]
        return any(get_origin(part) is dict or part is dict or is_model(part) for part in parts)


def settings_of(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Setting]:
    """The leaves of a model, models nested in it walked through."""
    for name, info in model.model_fields.items():
        nested = nested_model(info.annotation)
        if nested is not None:
            yield from settings_of(nested, (*above, name))
            continue
        annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        default = info.get_default(call_default_factory=True, validated_data={})
        yield Setting((*above, name), annotation, " ".join((info.description or "").split()), default)


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, if it holds exactly one, or that one or None."""
    parts = [plain(part) for part in _options(annotation)]
    return parts[0] if len(parts) == 1 and is_model(parts[0]) else None


def allowed(annotation: Any) -> str:
    """What a type allows, in words."""
    options = _options(annotation)
    if len(options) > 1:
        return " or ".join(dict.fromkeys(allowed(option) for option in options))
    metadata = annotation_metadata(options[0])
    marker = next((item for item in metadata if isinstance(item, Allowed)), None)
    if marker is not None:
        return marker.text + _bounds(metadata, marker.unit)
    return _allowed_plain(plain(options[0]), metadata)


def annotation_metadata(annotation: Any) -> tuple[Any, ...]:
    """What stands beside the type in `Annotated`."""
    return annotation.__metadata__ if get_origin(annotation) is Annotated else ()


def plain(annotation: Any) -> Any:
    """The type without what stands beside it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def is_model(part: Any) -> bool:
    """Whether a type is a pydantic model."""
    return isinstance(part, type) and issubclass(part, BaseModel)


def _options(annotation: Any) -> list[Any]:
    """The members of a union, None left out; anything else alone."""
    inner = plain(annotation)
    markers = annotation_metadata(annotation)
    if get_origin(inner) in (Union, types.UnionType) and not any(isinstance(item, Allowed) for item in markers):
        return [option for part in get_args(inner) if part is not type(None) for option in _options(part)]
    return [annotation]


def _allowed_plain(kind: Any, metadata: tuple[Any, ...]) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return _one_of(str(value) for value in get_args(kind))
    if origin in _SEQUENCES:
        return f"a list of which each is {allowed(get_args(kind)[0])}{_lengths(metadata, 'items')}"
    if origin is dict or kind is dict:
        return "a mapping"
    if is_model(kind):
        return f"a mapping of {', '.join(to_camel(name) for name in kind.model_fields)}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _one_of(str(member.value) for member in kind)
    names: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
    names |= {SecretStr: "a secret", SecretBytes: "a secret", str: "text"}
    pattern = next((item.pattern for item in metadata if getattr(item, "pattern", None)), None)
    shape = f" of the form {pattern}" if pattern else ""
    return names.get(kind, "") + shape + _lengths(metadata, "characters") + _bounds(metadata)


def _one_of(values: Iterable[str]) -> str:
    return "one of " + ", ".join(values)


def _bounds(metadata: tuple[Any, ...], unit: str = "") -> str:
    limit = {name: getattr(item, name) for item in metadata for name in ("ge", "gt", "le", "lt") if hasattr(item, name)}
    limit = {name: value for name, value in limit.items() if value is not None}
    low = (
        f"at least {limit['ge']:g}{unit}"
        if "ge" in limit
        else f"more than {limit['gt']:g}{unit}"
        if "gt" in limit
        else ""
    )
    high = (
        f"at most {limit['le']:g}{unit}"
        if "le" in limit
        else f"less than {limit['lt']:g}{unit}"
        if "lt" in limit
        else ""
    )
    return "".join(f", {bound}" for bound in (low, high) if bound)


def _lengths(metadata: tuple[Any, ...], of: str) -> str:
    low = next((item.min_length for item in metadata if getattr(item, "min_length", None)), None)
    high = next((item.max_length for item in metadata if getattr(item, "max_length", None)), None)
    return "".join(
        f", {word} {value} {of}" for word, value in (("at least", low), ("at most", high)) if value is not None
    )
