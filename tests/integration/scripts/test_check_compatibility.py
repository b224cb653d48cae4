"""A custom resource that the last release took is taken by the next one."""

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.checks.compatibility import findings, narrowed
from voicefleet_operator.api import crds

Document = dict[str, Any]


def _pool() -> Document:
    document: Document = yaml.safe_load(crds.files()["crds/relaypools.yaml"])
    return document


def _spec(document: Document) -> Document:
    found: Document = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def _drop_a_field(spec: Document) -> None:
    del spec["properties"]["region"]


def _require_a_field(spec: Document) -> None:
    spec["properties"]["owner"] = {"type": "string"}
    spec["required"] = [*spec["required"], "owner"]


def _change_a_type(spec: Document) -> None:
    spec["properties"]["replicas"]["type"] = "string"


def _drop_a_value(spec: Document) -> None:
    spec["properties"]["datapath"]["enum"] = ["Auto", "Userspace"]


def _lower_a_bound(spec: Document) -> None:
    spec["properties"]["replicas"]["maximum"] = 10


def _add_a_rule(spec: Document) -> None:
    spec["x-kubernetes-validations"] = [*spec["x-kubernetes-validations"], {"rule": "self.replicas < 7"}]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_drop_a_field, "spec.region is gone"),
        (_require_a_field, "spec.owner is required"),
        (_change_a_type, "spec.replicas is no longer integer"),
        (_drop_a_value, "spec.datapath is no longer Kernel"),
        (_lower_a_bound, "spec.replicas has maximum 10"),
        (_add_a_rule, "spec has a new rule (self.replicas < 7)"),
    ],
)
def test_what_an_upgrade_would_refuse_is_named(change: Callable[[Document], None], told: str) -> None:
    before, now = _pool(), _pool()
    change(_spec(now))
    assert list(narrowed(before, now)) == [told]


def test_what_only_takes_more_is_no_finding() -> None:
    before, now = _pool(), copy.deepcopy(_pool())
    spec = _spec(now)
    spec["properties"]["notes"] = {"type": "string"}
    spec["properties"]["datapath"]["enum"].append("Xdp")
    spec["properties"]["replicas"]["maximum"] = 100_000
    assert list(narrowed(before, now)) == []


def _git(root: Path, *arguments: str) -> None:
    author = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(("git", *author, *arguments), cwd=root, check=True, capture_output=True)


def test_the_tree_is_held_against_the_last_release_and_a_person_may_judge_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "crds" / "relaypools.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(_pool()))
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "one")
    now = _pool()
    _drop_a_field(_spec(now))
    path.write_text(yaml.safe_dump(now))
    assert list(findings(tmp_path)) == [], "nothing has been released"
    _git(tmp_path, "tag", "v0.1.0")
    (found,) = findings(tmp_path)
    assert found.startswith("crds/relaypools.yaml: spec.region is gone, which v0.1.0 took")
    judged = tmp_path / "scripts" / "checks" / "compatible.txt"
    judged.parent.mkdir(parents=True)
    judged.write_text("spec.region is gone: nobody could ever set it\n")
    assert list(findings(tmp_path)) == []
