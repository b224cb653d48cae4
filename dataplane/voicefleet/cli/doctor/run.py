"""Examines a fleet on this machine, behind a URL or in a cluster, and says each finding with its mend."""

import asyncio
import time
from importlib.metadata import version
from typing import Final

from voicefleet.cli.cluster_api import ClusterFleet
from voicefleet.cli.doctor import cluster_checks, fleet_checks, machine_checks, path_checks
from voicefleet.cli.doctor.finding import Finding, State, bad, unknown
from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.output import say, say_json
from voicefleet.cli.reach import choose
from voicefleet.cli.target import Target

_MARKS: Final = {State.GOOD: "  ok ", State.BAD: "! bad", State.UNKNOWN: "?    "}


def doctor(target: Target, *, kernel: bool, as_json: bool) -> None:
    """Say all findings; raises `Failure` if one is bad."""
    findings = asyncio.run(_examine(target))
    if kernel:
        findings.append(machine_checks.kernel_tier())
    if as_json:
        say_json(
            [{"about": each.about, "state": each.state, "what": each.what, "mend": each.mend} for each in findings]
        )
    else:
        for each in findings:
            say(f"{_MARKS[each.state]}  {each.about}: {each.what}" + (f"\n       -> {each.mend}" if each.mend else ""))
    wrong = sum(each.state is State.BAD for each in findings)
    if wrong:
        raise Failure(f"{wrong} finding{'s' if wrong > 1 else ''}", "each has its mend beside it", Exit.FAILED)


async def _examine(target: Target) -> list[Finding]:
    findings: list[Finding] = []
    async with choose(target) as fleet:
        if isinstance(fleet, ClusterFleet):
            findings += [each async for each in cluster_checks.examine(fleet.cluster, fleet.namespace)]
        try:
            asked_at = time.time()
            view = await fleet.ask("GET", "/v1/fleet")
            answered_at = time.time()
        except Failure as failure:
            if not isinstance(fleet, ClusterFleet) and failure.exit is Exit.FORBIDDEN:
                raise
            return [*findings, bad("signaling", failure.what, failure.next_step or "see its log")]
        findings += fleet_checks.examine(view, version("voicefleet"), asked_at, answered_at)
        try:
            ring = await fleet.ring()
        except Failure as failure:
            return [*findings, unknown("relay paths", failure.what)]
        findings += [each async for each in path_checks.examine(view, ring, time.time())]
    return findings
