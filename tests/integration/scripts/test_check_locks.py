"""The locks, pyproject.toml and the table of dependencies cannot drift apart unseen."""

import pytest

from tests.support.project_copy import ProjectCopy

LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")


def locks(project: ProjectCopy) -> list[str]:
    ran = project.run("scripts.checks", "locks")
    assert ran.status == 1
    return [line.removeprefix("locks: ") for line in ran.lines]


def test_a_changed_requirement_makes_all_locks_stale(project: ProjectCopy) -> None:
    project.replace("pyproject.toml", '"pydantic>=2.12"', '"pydantic>=2.13"')
    found = locks(project)
    for lock in LOCKS:
        assert (
            f"{lock}:3: the dependencies in pyproject.toml have changed since it was written; run scripts/lock" in found
        )


def test_a_locked_version_that_is_not_what_was_asked_for_is_named(project: ProjectCopy) -> None:
    line = project.replace("requirements.lock", "pydantic==2", "pydantic==1")
    found = locks(project)
    assert [each for each in found if each.startswith(f"requirements.lock:{line}: pydantic 1") and ">=2.12" in each], (
        found
    )


def test_a_dependency_that_is_not_locked_is_named(project: ProjectCopy) -> None:
    project.replace("pyproject.toml", '    "redis', '    "nothing-of-this-name>=1.0",\n    "redis')
    found = locks(project)
    for lock in ("requirements.lock", "requirements-dev.lock"):
        assert f"{lock}: nothing-of-this-name>=1.0 of pyproject.toml is not locked; run scripts/lock" in found
    assert "docs/dependencies.md: has no row that says why `nothing-of-this-name` is a dependency" in found


def test_a_version_locked_for_some_pythons_only_is_named(project: ProjectCopy) -> None:
    line = project.replace("requirements.lock", "aiohttp==", "aiohttp==3.14.5 ; python_version < '3.13' \\\n#")
    assert line
    assert "requirements.lock: aiohttp>=3.14 of pyproject.toml is not locked; run scripts/lock" in locks(project)


def test_two_locks_with_different_versions_are_told(project: ProjectCopy) -> None:
    line = project.replace("requirements.lock", "yarl==", "yarl==9.")
    found = locks(project)
    assert [each for each in found if each.startswith(f"requirements.lock:{line}: yarl 9.")], found


@pytest.mark.parametrize("text", ["--index-url https://packages.example/simple\n", "--find-links /opt/wheels\n"])
def test_a_lock_names_no_index(project: ProjectCopy, text: str) -> None:
    line = project.replace("requirements.lock", "aiohttp==", text + "aiohttp==")
    expected = f"requirements.lock:{line}: names an index, an address or a file of one machine: {text.strip()}"
    assert expected in locks(project)


def test_a_pin_without_a_hash_is_named(project: ProjectCopy) -> None:
    line = project.replace("requirements.lock", "aiortc==", "no-hash==1.0\naiortc==")
    assert f"requirements.lock:{line}: no-hash has no hash" in locks(project)


def test_a_lock_that_is_not_there_is_told(project: ProjectCopy) -> None:
    (project.root / "requirements.lock").unlink()
    assert "requirements.lock: is missing; run scripts/lock" in locks(project)
