"""A fleet's file: its objects, typed, or everything that is wrong with them, each with line and column."""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any, Final

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.resources.entries import EntryProblem, holds_entries, read_entries
from voicefleet.cli.resources.schema_check import Problem, problems, with_defaults
from voicefleet.cli.resources.yaml_source import Document, Place, YamlError, documents
from voicefleet.net.near_miss import near_miss
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import API_VERSION, KINDS
from voicefleet_operator.api.parts import Part

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
LONGEST_NAME: Final = 253
Entries = Mapping[str, bytes]
"""Files by name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a file."""

    place: Place
    about: str
    """Kind and name of the object, where that is known."""
    field: str
    message: str
    warning: bool = False
    """Not refused by a cluster, but probably not meant."""

    def sentence(self) -> str:
        """Without its place."""
        subject = " ".join(filter(None, (self.about, self.field)))
        return f"{subject} {self.message}" if subject else self.message


@dataclass(frozen=True, slots=True)
class Object:
    """One object of a fleet."""

    kind: str
    name: str
    spec: Part
    document: dict[str, Any]
    """As it was written."""
    place: Place

    @property
    def title(self) -> str:
        """How a person calls it."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class FleetFile:
    """What a file says, and what is wrong with it."""

    objects: tuple[Object, ...]
    findings: tuple[Finding, ...]
    secrets: Mapping[str, Entries]
    """Secrets that stand in the same file, by name; only local mode reads them."""
    config_maps: Mapping[str, Entries]
    """ConfigMaps, likewise."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What a cluster would refuse."""
        return tuple(each for each in self.findings if not each.warning)


Old = Mapping[tuple[str, str], dict[str, Any]]
"""Documents that are there already, by kind and name: some fields must not change."""
NOTHING: Final[Old] = {}


def read_file(path: FilePath) -> str:
    """The text of a file, or of standard input if it is -, or the reason why there is none."""
    try:
        return sys.stdin.buffer.read().decode() if str(path) == "-" else path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Failure(f"{path} does not exist", "give the fleet's file with -f", Exit.INVALID) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Failure(f"{path} cannot be read: {reason}", "give the fleet's file with -f", Exit.INVALID) from None


def parse(text: str, old: Old = NOTHING) -> FleetFile:
    """Read and check a file as the API server would check its objects."""
    try:
        read = documents(text)
    except YamlError as error:
        return FleetFile((), (Finding(error.place, "", "", f"is not YAML: {error.reason}"),), {}, {})
    objects: list[Object] = []
    findings: list[Finding] = []
    entries: dict[str, dict[str, Entries]] = {"Secret": {}, "ConfigMap": {}}
    for document in _flattened(read):
        if holds_entries(document.value):
            _read_entries(document, entries[document.value["kind"]], findings)
            continue
        good = _object(document, old, findings)
        if good is not None:
            objects.append(good)
    if not read:
        findings.append(Finding(Place(1, 1), "", "", "there is no object in the file"))
    findings += _references(objects)
    ordered = tuple(sorted(findings, key=lambda each: each.place))
    return FleetFile(tuple(objects), ordered, entries["Secret"], entries["ConfigMap"])


def _flattened(read: list[Document]) -> Iterator[Document]:
    """A List is as good as several documents."""
    for document in read:
        value = document.value
        if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
            for index, item in enumerate(value["items"]):
                at = ("items", index)
                places = {path[2:]: place for path, place in document.places.items() if path[:2] == at}
                yield Document(item, places)
        else:
            yield document


def _read_entries(document: Document, maps: dict[str, Entries], findings: list[Finding]) -> None:
    kind, metadata = document.value["kind"], document.value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not _is_name(name):
        findings.append(_bad_name(document, kind, name))
        return
    entries: dict[str, bytes] = {}
    for each in read_entries(document):
        if isinstance(each, EntryProblem):
            findings.append(Finding(each.place, f"{kind} {name}", each.field, each.message))
        else:
            entries[each[0]] = each[1]
    maps[str(name)] = entries


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and len(name) <= LONGEST_NAME


def _bad_name(document: Document, kind: str, name: Any) -> Finding:
    said = "is missing" if name is None else f"is {name!r}; allowed: a-z, 0-9, - and . only"
    return Finding(document.place(("metadata", "name")), kind, "metadata.name", said)


def _object(document: Document, old: Old, findings: list[Finding]) -> Object | None:
    value, start = document.value, document.place(())
    if not isinstance(value, dict):
        findings.append(Finding(start, "", "", "an object must be a mapping with apiVersion, kind, metadata and spec"))
        return None
    kind, version = value.get("kind"), value.get("apiVersion")
    if version != API_VERSION or not isinstance(kind, str) or kind not in KINDS:
        findings.append(_foreign(document, kind, version))
        return None
    metadata = value.get("metadata")
    name = str(metadata.get("name")) if isinstance(metadata, dict) and "name" in metadata else None
    if name is None or not _is_name(name):
        findings.append(_bad_name(document, kind, name))
        return None
    schema = _schema(kind)
    filled = with_defaults({name: part for name, part in value.items() if name != "status"}, schema)
    before = old.get((kind, name))
    wrong = problems(filled, schema, with_defaults(before, schema) if before is not None else None)
    title = f"{kind} {name}"
    findings += [Finding(document.place(each.path), title, _field(each), each.message) for each in wrong]
    if wrong:
        return None
    spec = KINDS[kind].spec.model_validate(filled.get("spec", {}))
    return Object(kind, name, spec, value, start)


def _field(problem: Problem) -> str:
    if not problem.rule:
        return problem.field
    return "" if not problem.path else f"{problem.field}:"


def _foreign(document: Document, kind: Any, version: Any) -> Finding:
    ours = [*KINDS]
    if version == API_VERSION or (kind in KINDS and not isinstance(version, str)):
        if kind in KINDS:
            return Finding(document.place(("apiVersion",)), str(kind), "apiVersion", f"is missing; it is {API_VERSION}")
        meant = near_miss(str(kind), ours)
        hint = f"did you mean {meant}?" if meant else f"known: {', '.join(ours)}"
        return Finding(document.place(("kind",)), "", "kind", f"is {kind}; {hint}" if kind else f"is missing; {hint}")
    if kind in KINDS:
        return Finding(document.place(("apiVersion",)), str(kind), "apiVersion", f"is {version}; it is {API_VERSION}")
    said = f"{kind or 'an object'} of {version or 'no apiVersion'} is not voicefleet's and is not checked"
    return Finding(document.place(()), "", "", said, warning=bool(kind and version))


def _references(objects: list[Object]) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for each in objects:
        key = (each.kind, each.name)
        if key in seen:
            yield Finding(each.place, each.title, "", "stands twice in the file")
        seen.add(key)
    for each in objects:
        for kind, name, field in _names(each):
            if (kind, name) not in seen:
                yield Finding(
                    each.place, each.title, field, f"is {name}, and no {kind} of that name is in the file", warning=True
                )


def _names(each: Object) -> Iterator[tuple[str, str, str]]:
    """Objects that an object names."""
    fleet = getattr(each.spec, "fleet_ref", None)
    if fleet is not None:
        yield "VoiceFleet", fleet, "spec.fleetRef"
    target = getattr(each.spec, "target_ref", None)
    if target is not None:
        yield target.kind, target.name, "spec.targetRef.name"


@cache
def _schema(kind: str) -> dict[str, Any]:
    """The schema of a kind as the CRD has it, without the status, which users do not write."""
    (version,) = definition(KINDS[kind])["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    properties = {name: inner for name, inner in schema["properties"].items() if name != "status"}
    return {**schema, "properties": properties}
