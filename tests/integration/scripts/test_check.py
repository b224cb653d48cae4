"""`scripts/check` says where and what, for each kind of thing that can be wrong."""

import pytest

from tests.support.project_copy import ProjectCopy

CHECKS = "scripts.checks"


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("dataplane/voicefleet/wire/broken.py", "import asyncio", "wire does no I/O and reads no clock"),
        ("dataplane/voicefleet/wire/broken.py", "import time", "wire does no I/O and reads no clock"),
        ("dataplane/voicefleet/wire/broken.py", "from socket import socket", "wire does no I/O and reads no clock"),
        ("dataplane/voicefleet/core/broken.py", "import threading", "core does no I/O and reads no clock"),
        ("dataplane/voicefleet/core/broken.py", "import aiohttp", "core does no I/O and reads no clock"),
        ("dataplane/voicefleet/core/broken.py", "import voicefleet.net", "arrows of the data plane point down"),
        ("dataplane/voicefleet/net/broken.py", "import voicefleet.cli", "arrows of the data plane point down"),
        (
            "dataplane/voicefleet/services/relay/broken.py",
            "import voicefleet.services.signaling",
            "services never import each other",
        ),
        (
            "dataplane/voicefleet/net/broken.py",
            "import voicefleet_operator",
            "the data plane never imports the operator",
        ),
        (
            "operator/voicefleet_operator/api/broken.py",
            "import voicefleet.core",
            "the operator uses only the contract and the wire formats of the data plane",
        ),
        ("operator/voicefleet_operator/model/broken.py", "import kopf", "kopf stays in handlers and __main__"),
        ("operator/voicefleet_operator/model/broken.py", "import kubernetes", "the Kubernetes client stays in kube"),
        (
            "operator/voicefleet_operator/model/broken.py",
            "import socket",
            "the operator's model does no I/O and reads no clock",
        ),
    ],
)
def test_an_import_against_the_rules_is_named_with_its_line(
    project: ProjectCopy, file: str, line: str, rule: str
) -> None:
    package = file.rpartition("/")[0]
    if not (project.root / package / "__init__.py").exists():
        project.write(f"{package}/__init__.py", "")
    project.write(file, f'"""Breaks a rule."""\n\n{line}\n')
    importer = file.partition("/")[2].removesuffix(".py").replace("/", ".")
    imported = line.split()[1]

    ran = project.run(CHECKS, "imports")

    assert f"imports: {file}:3: {importer} imports {imported}, but {rule}" in ran.lines
    assert ran.status == 1


def test_a_layer_that_no_rule_knows_is_refused(project: ProjectCopy) -> None:
    project.write("dataplane/voicefleet/helpers.py", '"""Belongs to no layer."""\n')
    ran = project.run(CHECKS, "imports")
    assert ran.status == 1
    assert any("voicefleet.helpers" in line for line in ran.lines)


def test_a_wrong_or_missing_type_is_named_with_its_line(project: ProjectCopy) -> None:
    project.write("dataplane/voicefleet/core/broken.py", "def length(text: str) -> int:\n    return text\n")
    project.write("operator/voicefleet_operator/broken.py", "def length(text):\n    return len(text)\n")
    ran = project.run(CHECKS, "types")
    for expected in (
        "types: dataplane/voicefleet/core/broken.py:2: error: Incompatible return value type (got ",
        "types: operator/voicefleet_operator/broken.py:1: error: Function is missing a type annotation",
    ):
        assert [line for line in ran.lines if line.startswith(expected)], ran.lines
    assert ran.status == 1


def test_an_unformatted_file_is_named_with_its_line_and_can_be_mended(project: ProjectCopy) -> None:
    project.write("dataplane/voicefleet/core/broken.py", '"""Bad form."""\n\nx = {  "a":1 }\n')
    ran = project.run(CHECKS, "format")
    line = "format: dataplane/voicefleet/core/broken.py:3:6: is not formatted; run scripts/check --fix"
    assert line in ran.lines
    assert ran.status == 1

    project.run(CHECKS, "--fix", "format")

    assert (project.root / "dataplane/voicefleet/core/broken.py").read_text().endswith('x = {"a": 1}\n')


def test_lint_is_named_with_its_line(project: ProjectCopy) -> None:
    project.write("dataplane/voicefleet/core/broken.py", '"""Uses what is not there."""\n\nprint(missing)\n')
    ran = project.run(CHECKS, "lint")
    assert "lint: dataplane/voicefleet/core/broken.py:3:7: F821 Undefined name `missing`" in ran.lines
    assert ran.status == 1


def test_a_package_that_would_hide_the_standard_library_is_told_before_python_fails(project: ProjectCopy) -> None:
    project.write("operator/__init__.py", "")
    ran = project.execute("scripts/check")
    assert ran.lines == [
        "scripts/check: operator/__init__.py: must not exist: "
        "it makes a package that hides the standard library's operator"
    ]
    assert ran.status == 1


def test_all_checks_run_even_when_the_first_finds_something(project: ProjectCopy) -> None:
    project.write("dataplane/voicefleet/wire/broken.py", '"""Breaks two rules."""\n\nimport asyncio\n')
    project.replace("requirements.lock", "aiohttp==", "aiohttp==0.")
    ran = project.run(CHECKS, "imports", "lint", "locks")
    assert {line.partition(":")[0] for line in ran.lines} >= {"imports", "lint", "locks"}
    assert ran.status == 1


def test_a_page_that_links_nowhere_or_shows_a_fleet_that_no_cluster_takes_is_named(project: ProjectCopy) -> None:
    project.replace("docs/index.md", "(architecture.md)", "(artichoke.md)")
    line = project.replace("docs/how-to/data-residency.md", "    defaultRegion: eu-central", "    defualtRegion: here")
    ran = project.run(CHECKS, "docs")
    assert ran.status == 1
    assert any(each.startswith("docs: docs: ") and "artichoke.md" in each for each in ran.lines), ran.lines
    wrong = f"docs: docs/how-to/data-residency.md:{line}: "
    assert any(each.startswith(wrong) and "defualtRegion" in each for each in ran.lines), ran.lines


def test_a_project_without_findings_passes(project: ProjectCopy) -> None:
    ran = project.run(CHECKS, "locks", "generated")
    assert ran.lines[-1].startswith("locks, generated: no findings in ")
    assert ran.status == 0


def test_a_check_that_does_not_exist_is_refused_with_those_that_do(project: ProjectCopy) -> None:
    ran = project.run(CHECKS, "spelling")
    every = "types, imports, lint, format, generated, locks, crds, docs"
    assert f"there is no check 'spelling'; there are: {every}" in ran.lines[-1]
    assert ran.status == 2
