"""A fleet's file is checked as a cluster would check it, and every problem has its line, column and near miss."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.kubernetes.bad_resources import CHANGED, GOOD, REFUSED, document, merged
from voicefleet.cli.local.desired import SMALLEST
from voicefleet.cli.resources.fleet_file import FleetFile, parse
from voicefleet.cli.resources.schema_check import WORDS
from voicefleet_operator.api.crds import definition
from voicefleet_operator.api.kinds import KINDS

FLEET = "apiVersion: voicefleet.dev/v1alpha1\nkind: VoiceFleet\nmetadata: {name: demo}\n"


def said(file: FleetFile) -> list[str]:
    return [f"{each.place.line}:{each.place.column} {each.sentence()}" for each in file.errors]


@pytest.mark.parametrize(("kind", "change", "field"), [row[1:4] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_the_api_server_refuses_is_refused_here(kind: str, change: dict[str, Any], field: str) -> None:
    file = parse(document(kind, merged(GOOD[kind], change)))
    assert file.errors
    # A rule's sentence stands at the object that it is about, and a repeated entry at itself or its list.
    assert any(each.field.rstrip(":").endswith(field) for each in file.errors), said(file)


@pytest.mark.parametrize(
    ("kind", "change", "words"), [(row[1], row[2], row[4]) for row in CHANGED], ids=[row[0] for row in CHANGED]
)
def test_what_cannot_change_in_a_cluster_cannot_change_here(kind: str, change: dict[str, Any], words: str) -> None:
    before = {(kind, "bad"): json.loads(document(kind, GOOD[kind]))}
    text = document(kind, merged(GOOD[kind], change))
    assert not parse(text).errors
    (error,) = parse(text, before).errors
    assert words in error.message


@pytest.mark.parametrize("path", sorted(Path("docs/examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_good(path: Path) -> None:
    """One for several clusters, whose parts have namespaces of their own, part by part."""
    parts = defaultdict[str, list[Any]](list)
    for each in yaml.safe_load_all(path.read_text()):
        parts[each["metadata"].get("namespace", "")].append(each)
    for part in parts.values():
        file = parse(path.read_text() if len(parts) == 1 else yaml.safe_dump_all(part))
        assert not file.findings
        assert len(file.objects) == len(part)


def test_what_runs_without_a_file_is_good() -> None:
    assert not parse(SMALLEST).findings


@pytest.mark.parametrize("name", ["1st", "a" * 41, "dotted.name"])
@pytest.mark.parametrize("kind", GOOD)
def test_a_name_that_no_service_could_have_is_refused(kind: str, name: str) -> None:
    refused = bool(parse(document(kind, GOOD[kind], name)).errors)
    assert refused == (kind != "ScalingPolicy")  # nothing is named after that


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1 there is no object in the file"),
        (FLEET + "spec: {a: b: c}", "4:12 is not YAML: while parsing a flow mapping expected ',' or '}'"),
        (FLEET + "spec:\n\tlogLevel: info", "5:1 is not YAML: while scanning for the next token found character '\\t'"),
        (FLEET + "spec:\n  logLevel: info\n  logLevel: debug", '6:3 is not YAML: key "logLevel" is already set'),
        (FLEET + "spec:\n  singaling: {}", "5:3 VoiceFleet demo spec.singaling is an unknown field; did you mean sig"),
        (FLEET + "spec:\n  xyz: {}", "5:3 VoiceFleet demo spec.xyz is an unknown field; known here: agent, geo"),
        (
            FLEET + "spec:\n  agent:\n    type: echo",
            '6:5 VoiceFleet demo spec.agent.type is "echo"; allowed: Echo, Rea',
        ),
        (FLEET + "spec:\n  hopNetworks:\n  - 10.0.0.0/8\n  - x", "7:5 VoiceFleet demo spec.hopNetworks[1]: must be a"),
        (FLEET + "spce: {}", "4:1 VoiceFleet demo spce is an unknown field; did you mean spec?"),
        (FLEET.replace("VoiceFleet", "VoicFleet"), "2:1 kind is VoicFleet; did you mean VoiceFleet?"),
        (FLEET.replace("v1alpha1", "v2"), "1:1 VoiceFleet apiVersion is voicefleet.dev/v2; it is voicefleet.dev/v1al"),
        (FLEET.replace("{name: demo}", "{}"), "3:1 VoiceFleet metadata.name is missing"),
        ("- 1", "1:1 an object must be a mapping"),
        ("just words", "1:1 an object must be a mapping"),
    ],
)
def test_a_problem_is_told_with_its_place_and_what_was_probably_meant(text: str, expected: str) -> None:
    assert said(parse(text))[0].startswith(expected)


def test_an_object_that_names_what_is_not_in_the_file_is_a_warning() -> None:
    (warning,) = parse(document("RelayPool", GOOD["RelayPool"], "edge")).findings
    assert warning.warning and "no VoiceFleet of that name is in the file" in warning.message


def test_a_mapping_that_is_referred_to_again_and_again_is_refused_before_it_fills_the_memory() -> None:
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (error,) = parse("\n".join(laughs)).errors
    assert "aliases make it too large" in error.message


def test_secrets_of_the_file_are_read_and_bad_ones_have_a_place() -> None:
    head = "apiVersion: v1\nkind: Secret\nmetadata: {name: model}\n"
    assert parse(head + "stringData: {key: abc}").secrets == {"model": {"key": b"abc"}}
    assert parse(head + "data: {key: YWJj}").secrets == {"model": {"key": b"abc"}}
    assert "4:8 Secret model data.key must be base64" in said(parse(head + "data: {key: '?'}"))
    assert "4:14 Secret model stringData.key must be text" in said(parse(head + "stringData: {key: 1}"))


def test_config_maps_of_the_file_are_read_and_bad_ones_have_a_place() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: code}\n"
    assert parse(head + "data: {a.py: x = 1}\nbinaryData: {b: AAE=}").config_maps == {
        "code": {"a.py": b"x = 1", "b": b"\0\1"}
    }
    assert "4:14 ConfigMap code binaryData.b must be base64" in said(parse(head + "binaryData: {b: '?'}"))
    for key in ("../up", "..", ".", "a/b", "''"):
        (error,) = said(parse(head + f"data: {{{key}: x}}"))
        assert "is no name of a file" in error
    (error,) = said(parse(head.replace("code", "../code") + "data: {a: x}"))
    assert "metadata.name is '../code'" in error


def test_every_word_of_the_schemas_is_checked_here() -> None:
    for kind in KINDS.values():
        (version,) = definition(kind)["spec"]["versions"]
        assert set(_words(version["schema"]["openAPIV3Schema"])) <= WORDS


@given(st.text(max_size=200))
def test_no_text_is_more_than_wrong(text: str) -> None:
    parse(text)


def _words(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema
    for inner in schema.get("properties", {}).values():
        yield from _words(inner)
    for word in ("items", "additionalProperties"):
        if word in schema:
            yield from _words(schema[word])
