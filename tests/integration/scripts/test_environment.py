"""The scripts make their environment once, and say in one line what the system lacks for it.

A stand-in for Python writes down how it is called, so nothing is installed here.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.project_copy import ProjectCopy

COMMANDS = ("bash", "cat", "cut", "dirname", "flock", "id", "mkdir", "rm", "sha256sum", "sleep", "tail")
RECORDER = '#!/bin/bash\n[[ "$*" == *install* ]] && sleep 0.2\necho "$*" >>{calls}\n'


def install_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A folder with the commands of a system that has no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in COMMANDS:
        there = shutil.which(command)
        assert there is not None
        (folder / command).symlink_to(there)
    return folder


@pytest.fixture
def recorded(project: ProjectCopy, tmp_path: Path) -> Path:
    """What the environment's Python was called with, one line a call."""
    calls = tmp_path / "calls"
    calls.touch()
    install_program(project.root / ".venv/bin/python", RECORDER.format(calls=calls))
    return calls


def installations(calls: Path) -> int:
    return calls.read_text().count("--require-hashes -r requirements-dev.lock")


@pytest.mark.parametrize("script", ["up", "test", "check", "bench"])
def test_a_system_without_python_is_told_what_to_install(project: ProjectCopy, system: Path, script: str) -> None:
    ran = project.execute("bash", f"scripts/{script}", PATH=str(system))
    assert ran.lines == [
        f"scripts/{script}: Python 3.11 or newer is missing: "
        "as root, apt-get install python3 python3-venv ca-certificates"
    ]
    assert ran.status == 1


def test_a_python_that_is_too_old_is_passed_over_for_one_that_is_not(project: ProjectCopy, system: Path) -> None:
    install_program(system / "python3", "#!/bin/bash\nexit 1\n")
    install_program(
        system / "python3.12",
        "#!/bin/bash\ncase $2 in *ensurepip*) exit 1 ;; *print*) echo python3.12-venv ;; esac\n",
    )
    ran = project.execute("bash", "scripts/test", PATH=str(system))
    assert ran.lines == [
        f"scripts/test: {system}/python3.12 cannot make virtual environments: as root, apt-get install python3.12-venv"
    ]


def test_the_second_run_installs_nothing(project: ProjectCopy, recorded: Path) -> None:
    for _ in range(2):
        assert project.execute("scripts/check").status == 0
    assert installations(recorded) == 1
    assert recorded.read_text().splitlines()[-2:] == ["-m scripts.checks"] * 2


def test_somebody_who_only_starts_it_gets_no_development_tools(project: ProjectCopy, recorded: Path) -> None:
    install_program(project.root / ".venv/bin/voicefleet", "#!/bin/bash\n")
    for _ in range(2):
        assert project.execute("scripts/up").status == 0
    assert recorded.read_text().count("--require-hashes -r requirements.lock -r requirements-build.lock") == 1
    assert installations(recorded) == 0
    project.execute("scripts/check")
    project.execute("scripts/up")
    assert installations(recorded) == 1 and recorded.read_text().count("--require-hashes") == 2


@pytest.mark.parametrize("file", ["pyproject.toml", "requirements-dev.lock"])
def test_a_changed_lock_or_project_is_installed_anew(project: ProjectCopy, recorded: Path, file: str) -> None:
    project.execute("scripts/check")
    project.write(file, (project.root / file).read_text() + "# changed\n")
    project.execute("scripts/check")
    assert installations(recorded) == 2


def test_scripts_that_start_at_once_install_once(project: ProjectCopy, recorded: Path) -> None:
    running = [subprocess.Popen(("scripts/check",), cwd=project.root, stderr=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert installations(recorded) == 1


def test_an_installation_that_broke_off_is_taken_up_again(project: ProjectCopy, recorded: Path) -> None:
    python = project.root / ".venv/bin/python"
    works = python.read_text()
    install_program(python, works + '[[ "$*" != *--require-hashes* ]]\n')
    broken = project.execute("scripts/check")
    assert broken.lines[-1] == "scripts/check: could not install what requirements-dev.lock names (see above)"
    assert broken.status == 1
    install_program(python, works)
    assert project.execute("scripts/check").status == 0
    assert installations(recorded) == 2


def test_an_environment_that_was_moved_is_made_anew(project: ProjectCopy, recorded: Path, system: Path) -> None:
    project.execute("scripts/check")
    moved = ProjectCopy(project.root.rename(project.root.with_name("moved")))
    ran = moved.execute("bash", "scripts/check", PATH=str(system))
    assert ran.lines[0].startswith("scripts/check: Python 3.11 or newer is missing")


def test_arguments_go_on_to_the_program(project: ProjectCopy, recorded: Path) -> None:
    project.execute("scripts/test", "unit", "--", "-k", "token")
    project.execute("scripts/bench", "wire", "--quick")
    install_program(project.root / ".venv/bin/voicefleet", f'#!/bin/bash\necho "$PWD $*" >>{recorded}\n')
    project.execute("bash", "-c", "cd docs && ../scripts/up -f fleet.yaml")
    assert recorded.read_text().splitlines()[-3:] == [
        "-m tests unit -- -k token",
        "-m tests.bench wire --quick",
        f"{project.root}/docs up -f fleet.yaml",
    ]
