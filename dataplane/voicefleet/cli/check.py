"""`voicefleet check FILE`: everything that a cluster would refuse, with line and column."""

import sys
from pathlib import Path

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.output import say, say_json
from voicefleet.cli.resources.fleet_file import Finding, FleetFile, parse, read_file


def check(path: Path, *, as_json: bool) -> None:
    """Say what is wrong with a file; raises `Failure` if anything is."""
    text = sys.stdin.read() if str(path) == "-" else read_file(path)
    file = parse(text)
    if as_json:
        say_json({"file": str(path), "good": not file.errors, "findings": [_described(each) for each in file.findings]})
    else:
        _say(path, file)
    if file.errors:
        count = len(file.errors)
        raise Failure(
            f"{path} has {count} error{'s' if count > 1 else ''}",
            "a cluster would refuse it as it stands",
            Exit.INVALID,
        )


def _say(path: Path, file: FleetFile) -> None:
    for each in file.findings:
        kind = "warning: " if each.warning else ""
        say(f"{path}:{each.place.line}:{each.place.column}: {kind}{each.sentence()}")
    if not file.errors:
        say(f"{path}: {len(file.objects)} objects, no errors")


def _described(finding: Finding) -> dict[str, object]:
    return {
        "line": finding.place.line,
        "column": finding.place.column,
        "object": finding.about,
        "field": finding.field.rstrip(":"),
        "message": finding.message,
        "severity": "warning" if finding.warning else "error",
    }
