"""The documentation: it builds as a site, no link leads nowhere, and every fleet in it is one that a cluster takes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from voicefleet.cli.resources.fleet_file import parse

_YAML = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_WARNING = re.compile(r"^(WARNING|ERROR) +-  *(?P<text>.*)")


def findings(root: Path) -> Iterator[str]:
    """What is wrong with README.md and docs/."""
    yield from _site(root)
    pages = [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]
    for page in pages:
        yield from _fleets(page, page.relative_to(root))


def _site(root: Path) -> Iterator[str]:
    if not (root / "mkdocs.yml").is_file():
        return
    command = (str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--clean")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    found = [match["text"] for line in lines if (match := _WARNING.match(line))]
    if run.returncode != 0 and not found:
        found = lines[-1:] or [f"mkdocs ended with status {run.returncode} and said nothing"]
    yield from (f"docs: {text}" for text in found)


def _fleets(page: Path, name: Path) -> Iterator[str]:
    text = page.read_text()
    for block in _YAML.finditer(text):
        if "apiVersion: voicefleet.dev" not in block[1]:
            continue
        above = text.count("\n", 0, block.start(1))
        for each in parse(block[1]).errors:
            yield f"{name}:{above + each.place.line}: {each.sentence()}"
