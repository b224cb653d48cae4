"""`scripts/test` leaves nothing out silently."""

import pytest

from tests.support.project_copy import ProjectCopy, Ran

IN_ONE_PROCESS = ("--", "-n0")
THREE_TESTS = """\
import pytest

from tests.support.tiers import Part

ORGAN = Part("an organ", "music", ("pipe-organ",), commands=("no-such-command-as-pipe-organ",))


def test_passes():
    pass


@pytest.mark.needs(ORGAN)
def test_plays():
    raise AssertionError("ran without its organ")


def test_knows_its_tier(request):
    assert request.node.get_closest_marker("unit") is not None
    assert request.node.get_closest_marker("timeout").args[0] > 0
"""


def lacking(project: ProjectCopy) -> None:
    """Make the cluster tier need something that no machine has."""
    with (project.root / "tests/support/tiers.py").open("a") as tiers:
        tiers.write(
            "\nfrom dataclasses import replace\n"
            "ORGAN = Part('an organ', 'music', ('pipe-organ',), ('no-such-command',))\n"
            "TIERS = tuple(replace(tier, needs=(ORGAN,) if tier.name == 'cluster' else ()) for tier in TIERS)\n"
        )
    project.write("tests/cluster/test_one.py", "def test_never_runs():\n    raise AssertionError\n")


def summary(ran: Ran) -> list[str]:
    return ran.lines[ran.lines.index("=== summary") + 1 :]


def test_a_test_whose_part_is_missing_is_left_out_with_the_command_that_brings_it(project: ProjectCopy) -> None:
    project.write("tests/unit/test_three.py", THREE_TESTS)
    ran = project.run("tests", "unit", *IN_ONE_PROCESS)
    tier, left_out, closing = summary(ran)
    assert tier.startswith("unit         2 passed, 0 failed, 1 skipped in ")
    assert "left out: 1 x needs an organ: no no-such-command-as-pipe-organ; " in left_out
    assert "scripts/test --all" in left_out
    assert closing == "2 passed, 0 failed, 1 skipped"
    assert ran.status == 0


def test_a_test_whose_part_is_missing_fails_when_everything_was_asked_for(project: ProjectCopy) -> None:
    project.write("tests/unit/test_three.py", THREE_TESTS)
    ran = project.run("tests", "unit", *IN_ONE_PROCESS, VF_TEST_ALL="1")
    assert summary(ran)[-1] == "2 passed, 1 failed"
    assert ran.status == 1


def test_a_failing_test_fails_the_run(project: ProjectCopy) -> None:
    project.write("tests/unit/test_one.py", "def test_one():\n    assert 1 == 2\n")
    ran = project.run("tests", "unit", *IN_ONE_PROCESS)
    assert summary(ran)[-1] == "0 passed, 1 failed"
    assert ran.status == 1


def test_a_file_that_cannot_be_imported_fails_the_run(project: ProjectCopy) -> None:
    project.write("tests/unit/test_one.py", "import no_such_module\n")
    ran = project.run("tests", "unit", *IN_ONE_PROCESS)
    assert summary(ran)[-1] == "0 passed, 1 failed"
    assert ran.status == 1


def test_a_test_that_hangs_fails_and_the_others_are_run(project: ProjectCopy) -> None:
    project.write(
        "tests/unit/test_two.py",
        "import threading\nimport pytest\n\n\n@pytest.mark.timeout(0.2)\ndef test_hangs():\n"
        "    threading.Event().wait()\n\n\ndef test_passes():\n    pass\n",
    )
    ran = project.run("tests", "unit", *IN_ONE_PROCESS)
    assert summary(ran)[-1] == "1 passed, 1 failed"


def test_a_tier_that_cannot_run_is_named_and_fails_only_when_it_was_asked_for(project: ProjectCopy) -> None:
    lacking(project)
    project.write("tests/unit/test_one.py", "def test_one():\n    pass\n")

    plain = project.run("tests")
    assert "cluster      not run: needs an organ: no no-such-command; " in "\n".join(summary(plain))
    assert "chaos        not run: no tests yet" in summary(plain)
    assert summary(plain)[-1] == "1 passed, 0 failed"
    assert plain.status == 0

    named = project.run("tests", "cluster")
    assert named.status == 1
    assert summary(named)[-1] == "0 passed, 0 failed"


def test_what_follows_two_dashes_goes_to_pytest(project: ProjectCopy) -> None:
    project.write("tests/unit/test_two.py", "def test_one():\n    pass\n\n\ndef test_other():\n    assert False\n")
    ran = project.run("tests", "unit", *IN_ONE_PROCESS, "-k", "test_one")
    assert summary(ran)[-1] == "1 passed, 0 failed"
    assert ran.status == 0


def test_an_unknown_tier_is_refused_with_those_there_are(project: ProjectCopy) -> None:
    ran = project.run("tests", "smoke")
    assert "there is no tier 'smoke'; there are: unit, property, integration, browser, cluster" in ran.lines[-1]
    assert ran.status == 2


@pytest.mark.parametrize(
    ("text", "status", "closing"),
    [
        ("a ok\n2 passed, 0 failed", 0, "2 passed, 0 failed"),
        ("a FAILED\n1 passed, 1 failed", 1, "1 passed, 1 failed"),
        ("broke down", 1, "0 passed, 1 failed"),
    ],
)
def test_each_fuzz_target_counts_as_one_test(project: ProjectCopy, text: str, status: int, closing: str) -> None:
    project.write("tests/fuzz/__init__.py", "")
    project.write(
        "tests/fuzz/__main__.py",
        f"import sys\nassert sys.argv[1:] == ['--seconds', '7', 'a'], sys.argv\nprint({text!r})\nsys.exit({status})\n",
    )
    project.replace("tests/support/tiers.py", 'or_module="atheris"', 'or_module="json"')
    ran = project.run("tests", "fuzz", "--seconds", "7", "--", "a")
    assert summary(ran)[-1] == closing
    assert text.splitlines()[0] in ran.lines
    assert ran.status == status
