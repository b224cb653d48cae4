"""YAML as kubectl reads it, and where everything stands in it, so that a problem can name line and column.

YAML 1.1 without what kubectl does not know either: times and numbers to the base of sixty are text, and a key that
stands twice is refused.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

LARGEST: Final = 1 << 20
"""Octets of a file: what an API server takes."""
MOST_NODES: Final = 100_000
"""Counted as often as they are referred to, so that aliases of aliases end here and not in the memory."""

Path = tuple[str | int, ...]


class Place(NamedTuple):
    """Line and column, both counted from one."""

    line: int
    column: int


class YamlError(ValueError):
    """Text that is no YAML; says where."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file."""

    value: Any
    places: dict[Path, Place]
    """Where each value stands; of what stands in a mapping, its key."""

    def place(self, path: Path) -> Place:
        """Where the value is, or else what it is missing from."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


def documents(text: str) -> list[Document]:
    """All documents that hold something."""
    if len(text.encode()) > LARGEST:
        raise YamlError(Place(1, 1), f"the file is larger than {LARGEST >> 20} MiB")
    try:
        read = [_Reader().document(node) for node in yaml.compose_all(text, Loader=_Loader)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(_place(mark), " ".join(filter(None, (error.context, error.problem)))) from None
    except yaml.YAMLError as error:
        raise YamlError(Place(1, 1), str(error).partition("\n")[0]) from None
    except RecursionError:
        raise YamlError(Place(1, 1), "it is nested too deeply") from None
    return [each for each in read if each.value is not None]


class _Loader(yaml.SafeLoader):
    """Without times."""


_UNKNOWN: Final = {"tag:yaml.org,2002:timestamp"}
_SIXTIES: Final = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNKNOWN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Reader:
    def __init__(self) -> None:
        self._places: dict[Path, Place] = {}
        self._nodes = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def document(self, node: Node) -> Document:
        self._places[()] = _place(node.start_mark)
        return Document(self._value(node, ()), self._places)

    def _value(self, node: Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise YamlError(_place(node.start_mark), "aliases make it too large")
        match node:
            case MappingNode():
                return self._mapping(node, path)
            case SequenceNode():
                return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node)

    def _item(self, node: Node, path: Path) -> Any:
        self._places[path] = _place(node.start_mark)
        return self._value(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                raise YamlError(place, "a key must be a word")
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise YamlError(place, "merging with << is not allowed")
            key = str(key_node.value)
            if key in result:
                raise YamlError(place, f'key "{key}" is already set in this mapping')
            self._places[*path, key] = place
            result[key] = self._value(value_node, (*path, key))
        return result

    def _scalar(self, node: Node) -> Any:
        if _SIXTIES.fullmatch(str(node.value)):
            return str(node.value)
        try:
            value = self._scalars.construct_object(node)
        except ValueError as error:
            raise YamlError(_place(node.start_mark), str(error)) from None
        if not isinstance(value, str | int | float | bool | None):
            raise YamlError(_place(node.start_mark), f"{node.tag} is not allowed")
        return value


def _place(mark: Any) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
