"""Format, lint, types and import rules: other people's tools, each finding of theirs as one line."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CODE = ("dataplane", "operator", "scripts", "tests")

_RULE_LINK = re.compile(r"^- *(?P<importer>[\w.]+) -> (?P<imported>[\w.]+) \(l\.(?P<line>\d+)")


def unformatted(root: Path) -> Iterator[str]:
    """Files that `ruff format` would change."""
    for line in _failure(root, "ruff", "format", "--check", "--quiet", "--output-format=concise", *_code(root)):
        yield line.replace("unformatted: File would be reformatted", "is not formatted; run scripts/check --fix")


def lint(root: Path) -> Iterator[str]:
    """Findings of `ruff check`."""
    yield from _failure(root, "ruff", "check", "--quiet", "--output-format=concise", *_code(root))


def types(root: Path) -> Iterator[str]:
    """Errors of `mypy --strict`, over the files that pyproject.toml names."""
    for line in _failure(root, "mypy", "--strict", "--no-error-summary", "--hide-error-context"):
        if ": note: " not in line:
            yield line


def imports(root: Path) -> Iterator[str]:
    """Imports that break a rule of .importlinter."""
    lines = list(_failure(root, "lint-imports", "--no-logo", "--cache-dir", ".cache/import-linter"))
    rule, found = "", []
    for before, line in zip(["", *lines], [*lines, ""], strict=True):
        link = _RULE_LINK.match(line)
        if link is not None:
            where = f"{_path(root, link['importer'])}:{link['line']}"
            found.append(f"{where}: {link['importer']} imports {link['imported']}, but {rule}")
        elif line and set(line) == {"-"}:
            rule = before
    # A rule that could not be read is told in the tool's own words.
    yield from dict.fromkeys(found) if found else lines


def fix(root: Path) -> None:
    """Let ruff mend what it can."""
    for command in (("check", "--fix-only", "--quiet"), ("format", "--quiet")):
        subprocess.run((str(Path(sys.executable).parent / "ruff"), *command, *_code(root)), cwd=root, check=True)


def _failure(root: Path, tool: str, *arguments: str) -> Iterator[str]:
    """What a tool that failed printed, without its empty lines; nothing when it was content."""
    paths = [str(root), str(root / "dataplane"), str(root / "operator")]
    # One line a finding: no colours, and no terminal to wrap at.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "1000", "NO_COLOR": "1"}
    command = (str(Path(sys.executable).parent / tool), *arguments)
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return
    lines = [line.strip() for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    yield from lines or [f"{tool} ended with status {run.returncode} and said nothing"]


def _code(root: Path) -> list[str]:
    return [folder for folder in CODE if (root / folder).is_dir()]


def _path(root: Path, module: str) -> str:
    """The file that a module is, as seen from the root."""
    for folder in ("dataplane", "operator"):
        stem = Path(folder, *module.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if (root / path).is_file():
                return str(path)
    return module
