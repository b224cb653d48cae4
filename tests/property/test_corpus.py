"""What fuzzing has found and kept holds on every machine, also where the fuzzer itself does not run."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"


@pytest.mark.parametrize("target", TARGETS)
def test_the_kept_corpus_of_a_decoder_holds(target: str) -> None:
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs, "a decoder without a corpus is fuzzed from nothing"
    for path in inputs:
        TARGETS[target](path.read_bytes())


def test_every_corpus_belongs_to_a_decoder() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
