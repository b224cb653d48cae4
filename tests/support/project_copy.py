"""A copy of the project that a test may break, to see that a script of it notices."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]
_PARTS: Final = (
    ".importlinter",
    "pyproject.toml",
    "requirements.lock",
    "requirements-build.lock",
    "requirements-dev.lock",
    "requirements-pipecat.lock",
    "docs",
    "mkdocs.yml",
    "README.md",
    "crds",
    "deploy",
    "helm",
    "rbac",
    "dataplane",
    "operator",
    "scripts",
    "tests/__init__.py",
    "tests/__main__.py",
    "tests/conftest.py",
    "tests/bench/__init__.py",
    "tests/bench/__main__.py",
    "tests/bench/report.py",
    "tests/support/__init__.py",
    "tests/support/machine.py",
    "tests/support/runner.py",
    "tests/support/tiers.py",
)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended and what it printed."""

    status: int
    lines: list[str]


@dataclass(frozen=True, slots=True)
class ProjectCopy:
    """The code, the scripts and their tests' machinery, without the tests themselves."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> "ProjectCopy":
        """Copy the project to an empty folder."""
        for part in _PARTS:
            source, target = PROJECT / part, root / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        return cls(root)

    def write(self, path: str, text: str) -> None:
        """Put a file into the copy."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def replace(self, path: str, old: str, new: str) -> int:
        """Change one place of a file; returns the line that it is on."""
        text = (self.root / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (self.root / path).write_text(text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    def run(self, module: str, *arguments: str, **environment: str) -> Ran:
        """Run `python -m module` in the copy, with the code of the copy."""
        paths = [str(self.root), str(self.root / "dataplane"), str(self.root / "operator")]
        return self.execute(sys.executable, "-m", module, *arguments, PYTHONPATH=os.pathsep.join(paths), **environment)

    def execute(self, *command: str, **environment: str) -> Ran:
        """Run a command in the copy; how the tests around it were asked for does not reach it."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("VF_", "PYTEST_"))}
        ran = subprocess.run(
            command, cwd=self.root, env=ours | environment, capture_output=True, text=True, check=False
        )
        return Ran(ran.returncode, (ran.stdout + ran.stderr).splitlines())
