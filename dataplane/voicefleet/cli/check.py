"""`voicefleet check FILE`: what a cluster would refuse, with line and column, and what it would change there."""

import asyncio
from pathlib import Path

from voicefleet.cli.cluster_api import explained
from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.output import say, say_json
from voicefleet.cli.planned_changes import Planned, planned
from voicefleet.cli.reach import in_cluster
from voicefleet.cli.resources.fleet_file import Finding, FleetFile, parse, read_file
from voicefleet.cli.target import Target
from voicefleet_operator.kube.errors import KubernetesError


def check(target: Target, path: Path, *, as_json: bool) -> None:
    """Say what is wrong with a file, and what it would change if a cluster is named; `Failure` if it is refused."""
    file = parse(read_file(path))
    asks = (target.in_cluster or target.plugin) and not file.errors
    plans = asyncio.run(_planned(target, file)) if asks else []
    if as_json:
        said = {"file": str(path), "good": not file.errors, "findings": [_described(each) for each in file.findings]}
        say_json(said | ({"changes": [_plan(each) for each in plans]} if asks else {}))
    else:
        _say(path, file)
        for each in plans:
            say("\n".join(each.lines()))
    if file.errors:
        count = len(file.errors)
        raise Failure(
            f"{path} has {count} error{'s' if count > 1 else ''}",
            "a cluster would refuse it as it stands",
            Exit.INVALID,
        )


async def _planned(target: Target, file: FleetFile) -> list[Planned]:
    async with in_cluster(target) as fleet:
        try:
            return [await planned(fleet.cluster, fleet.namespace, each) for each in file.objects]
        except KubernetesError as error:
            raise explained(error) from None


def _say(path: Path, file: FleetFile) -> None:
    for each in file.findings:
        kind = "warning: " if each.warning else ""
        say(f"{path}:{each.place.line}:{each.place.column}: {kind}{each.sentence()}")
    if not file.errors:
        count = len(file.objects)
        say(f"{path}: {count} object{'' if count == 1 else 's'}, no errors")


def _described(finding: Finding) -> dict[str, object]:
    return {
        "line": finding.place.line,
        "column": finding.place.column,
        "object": finding.about,
        "field": finding.field.rstrip(":"),
        "message": finding.message,
        "severity": "warning" if finding.warning else "error",
    }


def _plan(plan: Planned) -> dict[str, object]:
    changes = [{"field": each.field, "old": each.old, "new": each.new} for each in plan.changes]
    return {"object": plan.about, "created": plan.created, "changes": changes}
