"""The structural schema of a model, as `apiextensions.k8s.io/v1` wants it: nothing open, nothing unbounded, no refs.

pydantic's own JSON schema has references, unions with null and 2020-12 words that the API server refuses, so the fields
are walked here. What has no word in JSON schema stands beside the type as a `Schema`, a `Rule` or an `Immutable`.
"""

import inspect
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from voicefleet_operator.api.parts import Part
from voicefleet_operator.api.spelling import Immutable, KeyedBy, Rule, Schema, Unique

Document = dict[str, Any]

_PLAIN: Mapping[type, Document] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int64"},
    float: {"type": "number"},
}


def schema(model: type[Part]) -> Document:
    """The schema of one mapping, with its fields' defaults and its rules."""
    properties: Document = {}
    required = []
    for name, field in model.model_fields.items():
        alias = field.alias or name
        properties[alias] = _field(field)
        if field.is_required():
            required.append(alias)
    document: Document = {"type": "object", "description": _text(model.__doc__), "properties": properties}
    if required:
        document["required"] = required
    _add_rules(document, model.rules)
    return document


def _field(field: FieldInfo) -> Document:
    document = _type(field.annotation, field.metadata)
    if field.description:
        document["description"] = _text(field.description)
    if not field.is_required() and field.default is not None:
        document["default"] = _default(field)
    return document


def _default(field: FieldInfo) -> Any:
    """The default as a user would spell it; of a mapping in full, since the API server holds its rules against that."""
    if isinstance(field.default, BaseModel):
        return field.default.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(field.default, tuple):
        assert field.annotation is not None
        return TypeAdapter[Any](field.annotation).dump_python(field.default, mode="json", by_alias=True)
    return field.default


def _type(annotation: Any, metadata: Iterable[Any] = ()) -> Document:
    marks = list(_flat(metadata))
    while get_origin(annotation) is Annotated:
        marks = [*_flat(annotation.__metadata__), *marks]
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, types.UnionType):
        some = [each for each in get_args(annotation) if each is not type(None)]
        if len(some) == 1:
            return _type(some[0], marks)
    given = next((mark for mark in marks if isinstance(mark, Schema)), None)
    document = {**given.document} if given is not None else _shape(annotation)
    for mark in marks:
        _constrain(document, mark)
    return document


def _shape(annotation: Any) -> Document:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    if inspect.isclass(annotation) and issubclass(annotation, Part):
        return schema(annotation)
    if annotation in _PLAIN:
        return {**_PLAIN[annotation]}
    raise TypeError(f"there is no schema for {annotation!r}")


def _constrain(document: Document, mark: Any) -> None:
    kind = document.get("type")
    size = {"array": "Items", "object": "Properties"}.get(str(kind), "Length")
    if isinstance(mark, MinLen):
        document[f"min{size}"] = mark.min_length
    elif isinstance(mark, MaxLen):
        document[f"max{size}"] = mark.max_length
    elif isinstance(mark, Ge):
        document["minimum"] = mark.ge
    elif isinstance(mark, Le):
        document["maximum"] = mark.le
    elif isinstance(mark, Gt):
        document.update(minimum=mark.gt, exclusiveMinimum=True)
    elif isinstance(mark, Lt):
        document.update(maximum=mark.lt, exclusiveMaximum=True)
    elif isinstance(mark, KeyedBy):
        document.update({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(mark.fields)})
    elif isinstance(mark, Unique):
        document["x-kubernetes-list-type"] = "set"
    elif isinstance(mark, Immutable):
        _add_rules(document, (Rule("self == oldSelf", mark.message),))
    elif pattern := getattr(mark, "pattern", None):
        document["pattern"] = pattern


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    """Constraints, also those that stand inside of a `Field(...)`."""
    for mark in metadata:
        if isinstance(mark, FieldInfo):
            yield from mark.metadata
        else:
            yield mark


def _add_rules(document: Document, rules: Iterable[Rule]) -> None:
    made = [{"rule": rule.expression, "message": rule.message} for rule in rules]
    if made:
        document["x-kubernetes-validations"] = [*document.get("x-kubernetes-validations", ()), *made]


def _text(text: str | None) -> str:
    return " ".join((text or "").split())
