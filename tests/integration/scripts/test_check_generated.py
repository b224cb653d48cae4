"""A file that a program wrote is as the program would write it now."""

import pytest

from tests.support.project_copy import ProjectCopy

MAKER = """\
def files():
    return {"made/one.txt": "one\\n", "made/two.txt": "two\\n"}
"""


@pytest.fixture
def generating(project: ProjectCopy) -> ProjectCopy:
    project.write("scripts/maker.py", MAKER)
    pyproject = project.root / "pyproject.toml"
    before, table, _ = pyproject.read_text().partition("[tool.voicefleet.generated]\n")
    pyproject.write_text(f'{before}{table}made = "scripts.maker:files"\n')
    return project


def test_a_generated_file_that_was_edited_or_forgotten_is_named(generating: ProjectCopy) -> None:
    generating.write("made/one.txt", "1\n")
    ran = generating.run("scripts.checks", "generated")
    assert ran.lines[:2] == [
        "generated: made/one.txt: is not what scripts.maker:files makes; run scripts/check --fix",
        "generated: made/two.txt: is missing; scripts.maker:files makes it: run scripts/check --fix",
    ]
    assert ran.status == 1


def test_a_file_that_is_no_longer_made_is_named(generating: ProjectCopy) -> None:
    generating.run("scripts.checks", "--fix", "generated")
    generating.write("made/three.txt", "three\n")
    ran = generating.run("scripts.checks", "generated")
    assert ran.lines[0] == "generated: made/three.txt: scripts.maker:files no longer makes it; remove it"
    assert ran.status == 1


def test_generated_files_are_written_by_one_command(generating: ProjectCopy) -> None:
    generating.run("scripts.checks", "--fix", "generated")
    assert (generating.root / "made/two.txt").read_text() == "two\n"
    assert generating.run("scripts.checks", "generated").status == 0


def test_a_generator_that_fails_is_told_with_its_error(generating: ProjectCopy) -> None:
    generating.write("scripts/maker.py", 'def files():\n    raise ValueError("no schema")\n')
    ran = generating.run("scripts.checks", "generated")
    assert ran.lines[0] == "generated: made: scripts.maker:files failed: ValueError: no schema"
    assert ran.status == 1
