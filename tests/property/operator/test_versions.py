"""An object that is converted to another version and back is the same object, whichever fields it has."""

import copy
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
import yaml

from voicefleet_operator.api.kinds import API_VERSION, KINDS
from voicefleet_operator.api.versions import ALPHA, BETA, KEPT, MOVES, NEW, NotConvertible, converted

Document = dict[str, Any]
EXAMPLE: Final = Path(__file__).parents[3] / "docs" / "examples" / "every-field.yaml"
ROUNDS: Final = 2000


def _every_field() -> list[Document]:
    """One object of each kind that names all fields."""
    documents = [each for each in yaml.safe_load_all(EXAMPLE.read_text()) if each["kind"] in KINDS]
    assert {each["kind"] for each in documents} == set(KINDS)
    return documents


def _some_of(value: Any, random: Random) -> Any:
    """Some of the fields, at each depth."""
    if not isinstance(value, dict):
        return value
    kept = {key: _some_of(each, random) for key, each in value.items() if random.random() < 0.6}
    # An empty object where there was none before would mean nothing else; no version tells them apart.
    return {key: each for key, each in kept.items() if each != {}}


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_is_the_same_object(kind: str) -> None:
    whole = next(each for each in _every_field() if each["kind"] == kind)
    for seed in range(ROUNDS):
        random = Random(seed)
        before = {**whole, "spec": _some_of(whole["spec"], random), "status": {"observedGeneration": seed}}
        untouched = copy.deepcopy(before)
        newer = converted(before, BETA)
        assert newer["apiVersion"].endswith(BETA) and newer["status"] == before["status"]
        assert before == untouched, "the object that was given has changed"
        assert converted(newer, ALPHA) == before, f"seed {seed}"


@pytest.mark.parametrize("kind", KINDS)
def test_what_only_the_newer_version_has_survives_the_older_one(kind: str) -> None:
    whole = next(each for each in _every_field() if each["kind"] == kind)
    for seed in range(ROUNDS):
        random = Random(seed)
        newer = converted({**whole, "spec": _some_of(whole["spec"], random)}, BETA)
        for path in NEW.get(kind, ()):
            if random.random() < 0.5:
                _put(newer["spec"], path, "10%")
        if random.random() < 0.5:
            newer["metadata"] = {**newer["metadata"], "annotations": {"theirs": "stays"}}
        older = converted(newer, ALPHA)
        assert converted(older, BETA) == newer, f"seed {seed}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_version_that_is_served_reads_what_comes_from_the_next_one(kind: str) -> None:
    """No field is left under a name that it does not know."""
    whole = next(each for each in _every_field() if each["kind"] == kind)
    back = converted(converted(whole, BETA), ALPHA)
    assert KINDS[kind].spec.model_validate(back["spec"]) == KINDS[kind].spec.model_validate(whole["spec"])


def test_every_kind_has_its_moves_and_each_is_a_field() -> None:
    assert set(MOVES) == set(KINDS)
    for document in _every_field():
        for move in MOVES[document["kind"]]:
            assert move.alpha[0] in document["spec"], f"{document['kind']} has no {move.alpha}"


def test_what_nobody_knows_is_refused_by_its_name() -> None:
    shard = {"apiVersion": API_VERSION, "kind": "TransceiverShard", "metadata": {"name": "main"}, "spec": {}}
    assert KEPT not in str(converted(shard, BETA))
    for document, version in ((shard, "v2"), ({**shard, "kind": "Ring"}, BETA), ({**shard, "apiVersion": "v1"}, BETA)):
        with pytest.raises(NotConvertible, match=version):
            converted(document, version)


def _put(spec: Document, path: tuple[str, ...], value: object) -> None:
    for key in path[:-1]:
        spec = spec.setdefault(key, {})
    spec[path[-1]] = value
