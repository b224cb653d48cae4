"""Files in the repository that a program wrote: they are as it would write them now.

pyproject.toml names them, in the table `[tool.voicefleet.generated]`: a file, or a folder that holds nothing else, and
the function that makes it as `module:function`. The function takes nothing and returns its files as `{path: text}`, the
paths as seen from the root. `scripts/check --fix` writes them.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

_ASK = """
import importlib, json, sys
module, _, function = sys.argv[1].partition(":")
json.dump(getattr(importlib.import_module(module), function)(), sys.stdout)
"""


def findings(root: Path) -> Iterator[str]:
    """Generated files that are missing, edited, or no longer made by anything."""
    for place, maker in _generated(root).items():
        made = _ask(root, maker)
        if isinstance(made, str):
            yield f"{place}: {maker} failed: {made}"
            continue
        for path, text in made.items():
            if not (root / path).is_file():
                yield f"{path}: is missing; {maker} makes it: run scripts/check --fix"
            elif (root / path).read_text() != text:
                yield f"{path}: is not what {maker} makes; run scripts/check --fix"
        for path in _files(root, place):
            if path not in made:
                yield f"{path}: {maker} no longer makes it; remove it"


def fix(root: Path) -> None:
    """Write every generated file anew."""
    for place, maker in _generated(root).items():
        made = _ask(root, maker)
        if isinstance(made, str):
            sys.exit(f"{place}: {maker} failed: {made}")
        for path, text in made.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)


def _generated(root: Path) -> dict[str, str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    generated: dict[str, str] = project["tool"].get("voicefleet", {}).get("generated", {})
    return generated


def _ask(root: Path, maker: str) -> dict[str, str] | str:
    """What the function makes from the tree at `root`, or the last line of why it could not."""
    paths = [str(root), str(root / "dataplane"), str(root / "operator")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = (sys.executable, "-c", _ASK, maker)
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return run.stderr.strip().rpartition("\n")[2]
    made: dict[str, str] = json.loads(run.stdout)
    return made


def _files(root: Path, place: str) -> list[str]:
    if not (root / place).is_dir():
        return []
    return sorted(str(path.relative_to(root)) for path in (root / place).rglob("*") if path.is_file())
