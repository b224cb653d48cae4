"""The custom resources take what those of the last release took, so that an upgrade refuses nobody's file.

The last release is the newest tag `vN.N.N` that is an ancestor. Checked is what a schema accepts: a field that is gone,
a narrower type or bound, a value that is no longer allowed, a field that has become required, a version that is no
longer served. CEL rules are compared by their text: a new one may refuse what was good, or not, which only a person can
judge; so it has to be named in `compatible.txt`, with a reason.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = "crds"
JUDGED: Final = "scripts/checks/compatible.txt"
Schema = dict[str, Any]
_AT_LEAST: Final = ("minimum", "minLength", "minItems", "minProperties")
_AT_MOST: Final = ("maximum", "maxLength", "maxItems", "maxProperties")


def findings(root: Path) -> Iterator[str]:
    """What the definitions of the tree refuse and those of the last release did not."""
    tag = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*").strip()
    if not tag:
        return  # nothing has been released yet, or this is no checkout
    judged = (root / JUDGED).read_text().splitlines() if (root / JUDGED).is_file() else []
    for path in _git(root, "ls-tree", "--name-only", tag, f"{FOLDER}/").split():
        if not path.endswith(".yaml"):
            continue
        if not (root / path).is_file():
            yield f"{path}: the kind was in {tag}"
            continue
        before = yaml.safe_load(_git(root, "show", f"{tag}:{path}"))
        for narrower in narrowed(before, yaml.safe_load((root / path).read_text())):
            if not any(line.startswith(f"{narrower}: ") for line in judged):
                yield f"{path}: {narrower}, which {tag} took; or name it in {JUDGED} with a reason"


def narrowed(before: Schema, now: Schema) -> Iterator[str]:
    """Differences between two definitions of a kind that make a file invalid which was valid."""
    versions = {each["name"]: each for each in now["spec"]["versions"] if each["served"]}
    for version in before["spec"]["versions"]:
        name = version["name"]
        if not version["served"]:
            continue
        if name not in versions:
            yield f"{name} is no longer served"
            continue
        yield from _schema(
            version["schema"]["openAPIV3Schema"]["properties"].get("spec", {}),
            versions[name]["schema"]["openAPIV3Schema"]["properties"].get("spec", {}),
            "spec",
        )


def _schema(before: Schema, now: Schema, path: str) -> Iterator[str]:
    if before.get("type") != now.get("type") and not now.get("x-kubernetes-preserve-unknown-fields"):
        yield f"{path} is no longer {before.get('type', 'anything')}"
        return
    yield from _bounds(before, now, path)
    for rule in now.get("x-kubernetes-validations", ()):
        if rule["rule"] not in {each["rule"] for each in before.get("x-kubernetes-validations", ())}:
            yield f"{path} has a new rule ({rule['rule']})"
    had, has = before.get("properties", {}), now.get("properties", {})
    for name in sorted(set(now.get("required", ())) - set(before.get("required", ()))):
        if "default" not in has.get(name, {}):
            yield f"{path}.{name} is required"
    for name in sorted(had):
        if name not in has:
            yield f"{path}.{name} is gone"
        else:
            yield from _schema(had[name], has[name], f"{path}.{name}")
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(before.get(key), dict) and isinstance(now.get(key), dict):
            yield from _schema(before[key], now[key], f"{path}{suffix}")


def _bounds(before: Schema, now: Schema, path: str) -> Iterator[str]:
    if "enum" in now:
        for value in before.get("enum", ["anything"]):
            if value not in now["enum"]:
                yield f"{path} is no longer {value}"
    if "pattern" in now and now["pattern"] != before.get("pattern"):
        yield f"{path} has another pattern"
    for names, sign in ((_AT_LEAST, 1), (_AT_MOST, -1)):
        for name in names:
            if name in now and (name not in before or sign * now[name] > sign * before[name]):
                yield f"{path} has {name} {now[name]}"
    if before.get("nullable") and not now.get("nullable"):
        yield f"{path} is no longer null"


def _git(root: Path, *arguments: str) -> str:
    ran = subprocess.run(("git", *arguments), cwd=root, capture_output=True, text=True, check=False)
    return ran.stdout if ran.returncode == 0 else ""
