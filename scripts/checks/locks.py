"""The lock files say what pyproject.toml asks for, checked without a network.

A lock's header holds a digest of the dependency tables that it was made from. Beside the digest each direct requirement
is looked up in the lock for every Python and processor that voicefleet supports, so that a lock edited by hand is found
as well as a forgotten `scripts/lock`.
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

RUNTIME = "requirements.lock"
DEVELOPMENT = "requirements-dev.lock"
BUILD = "requirements-build.lock"
PIPECAT = "requirements-pipecat.lock"
EXPLAINED = "docs/dependencies.md"

_HEADER = """\
# {title}: exact versions with their hashes, the same on every Python and machine.
# Written by scripts/lock from pyproject.toml; do not edit.
# dependencies: sha256:{digest}
"""
_TITLES = {
    RUNTIME: "What voicefleet runs on",
    BUILD: "What voicefleet is installed with from its source",
    PIPECAT: "What an environment has whose Pipecat pipelines serve calls",
    DEVELOPMENT: "What voicefleet runs on and what it is developed with",
}
_DIGEST = re.compile(r"^# dependencies: sha256:(\w+)$", re.MULTILINE)
_PIN = re.compile(r"^(?P<requirement>[A-Za-z0-9][^\\\n]*==[^\\\n]*)", re.MULTILINE)
_ENVIRONMENTS = tuple(
    {
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.9",
        "extra": "",
    }
    for machine in ("x86_64", "aarch64")
    for python in ("3.11", "3.12", "3.13", "3.14")
)


@dataclass(frozen=True, slots=True)
class Pin:
    """One locked version and the line that it stands on."""

    requirement: Requirement
    line: int
    hashes: int

    @property
    def name(self) -> str:
        """The name as the index compares it."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one version that it allows."""
        return next(iter(self.requirement.specifier)).version


def findings(root: Path) -> Iterator[str]:
    """Where pyproject.toml, the locks and the table of dependencies disagree."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    extras = project["project"].get("optional-dependencies", {}).get("traces", [])
    runtime = [Requirement(text) for text in [*project["project"]["dependencies"], *extras]]
    building = [
        Requirement(text) for text in [*project["build-system"]["requires"], *project["dependency-groups"]["build"]]
    ]
    development = [Requirement(text) for text in project["dependency-groups"]["dev"]]
    pipecat = [Requirement(text) for text in project["dependency-groups"]["pipecat"]]
    digest = dependency_digest(project)
    pins: dict[str, list[Pin]] = {}
    wanted = {RUNTIME: runtime, BUILD: building, PIPECAT: pipecat, DEVELOPMENT: runtime + building + development}
    for lock, direct in wanted.items():
        if not (root / lock).is_file():
            yield f"{lock}: is missing; run scripts/lock"
            continue
        text = (root / lock).read_text()
        pins[lock] = read_pins(text)
        yield from _stale_header(lock, text, digest)
        yield from _unlocked(lock, pins[lock], direct)
        yield from _unsafe_lines(lock, text, pins[lock])
    for lock in (RUNTIME, BUILD):
        yield from _different_versions(lock, pins.get(lock, []), pins.get(DEVELOPMENT, []))
    yield from _unexplained(root, runtime + building + development + pipecat)


def dependency_digest(project: dict[str, Any]) -> str:
    """A digest of everything in pyproject.toml that decides what is locked."""
    tables = [
        project["project"]["requires-python"],
        sorted(project["project"]["dependencies"]),
        project["project"].get("optional-dependencies", {}),
        project["dependency-groups"],
        sorted(project["build-system"]["requires"]),
    ]
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def read_pins(lock: str) -> list[Pin]:
    """The versions that a lock file names."""
    starts = list(_PIN.finditer(lock))
    ends = [match.start() for match in starts[1:]] + [len(lock)]
    return [
        Pin(
            requirement=Requirement(match["requirement"].strip()),
            line=lock.count("\n", 0, match.start()) + 1,
            hashes=lock.count("--hash=sha256:", match.start(), end),
        )
        for match, end in zip(starts, ends, strict=True)
    ]


def write_headers(root: Path) -> None:
    """Put the header with the digest of pyproject.toml on each lock."""
    digest = dependency_digest(tomllib.loads((root / "pyproject.toml").read_text()))
    for lock, title in _TITLES.items():
        body = (root / lock).read_text()
        while body.startswith("#"):
            body = body.partition("\n")[2]
        (root / lock).write_text(_HEADER.format(title=title, digest=digest) + body)


def _stale_header(lock: str, text: str, digest: str) -> Iterator[str]:
    written = _DIGEST.search(text)
    if written is None:
        yield f"{lock}:1: does not say what it was made from; run scripts/lock"
    elif written[1] != digest:
        line = text.count("\n", 0, written.start()) + 1
        yield f"{lock}:{line}: the dependencies in pyproject.toml have changed since it was written; run scripts/lock"


def _unlocked(lock: str, pins: list[Pin], direct: list[Requirement]) -> Iterator[str]:
    for requirement in direct:
        named = [pin for pin in pins if pin.name == canonicalize_name(requirement.name)]
        found = {_unlocked_in(environment, lock, requirement, named) for environment in _ENVIRONMENTS}
        yield from sorted(finding for finding in found if finding)


def _unlocked_in(environment: dict[str, str], lock: str, requirement: Requirement, named: list[Pin]) -> str | None:
    if requirement.marker is not None and not requirement.marker.evaluate(environment):
        return None
    there = [pin for pin in named if pin.requirement.marker is None or pin.requirement.marker.evaluate(environment)]
    if not there:
        return f"{lock}: {requirement} of pyproject.toml is not locked; run scripts/lock"
    for pin in there:
        if not requirement.specifier.contains(pin.version, prereleases=True):
            return f"{lock}:{pin.line}: {pin.name} {pin.version} is not {requirement} as pyproject.toml asks"
    return None


def _unsafe_lines(lock: str, text: str, pins: list[Pin]) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        option = line.lstrip().startswith("-") and not line.lstrip().startswith("--hash=sha256:")
        if option or "://" in line or "file:" in line:
            yield f"{lock}:{number}: names an index, an address or a file of one machine: {line.strip()}"
    for pin in pins:
        if not pin.hashes:
            yield f"{lock}:{pin.line}: {pin.name} has no hash"


def _different_versions(lock: str, pins: list[Pin], development: list[Pin]) -> Iterator[str]:
    wanted = {(pin.name, pin.version) for pin in development}
    for pin in pins:
        if wanted and (pin.name, pin.version) not in wanted:
            yield f"{lock}:{pin.line}: {pin.name} {pin.version} is not the version in {DEVELOPMENT}"


def _unexplained(root: Path, direct: list[Requirement]) -> Iterator[str]:
    explained = (root / EXPLAINED).read_text() if (root / EXPLAINED).is_file() else ""
    for name in sorted({canonicalize_name(requirement.name) for requirement in direct}):
        if f"| `{name}` |" not in explained:
            yield f"{EXPLAINED}: has no row that says why `{name}` is a dependency"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write-headers"]:
        write_headers(Path.cwd())
    else:
        sys.exit("\n".join(findings(Path.cwd())) or None)
