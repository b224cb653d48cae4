"""Runs tiers one after the other, and says in the end what ran, what did not, and how it would.

Nothing is left out silently: a tier that cannot run here and a test whose part of the system is missing are named with
the command that would make them possible. Under `--all` both are failures.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.support import machine
from tests.support.tiers import TIERS, Runner, Tier

TESTS: Final = Path(__file__).parents[1]
REPORTS: Final = Path(".cache/test")
FUZZ_SECONDS: Final = int(os.environ.get("VF_FUZZ_SECONDS", "60"))
_CLOSING: Final = re.compile(r"(\d+) passed, (\d+) failed")
_NOTHING_COLLECTED: Final = 5
"""pytest's status when a filter left no test."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one tier went; `obstacle` is why it did not run, `left_out` why single tests of it did not."""

    tier: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asked for."""

    tiers: tuple[Tier, ...]
    named: bool
    everything: bool
    fuzz_seconds: int
    further: tuple[str, ...]
    """What followed `--`: for pytest, or for the fuzzer where no other tier was named."""


def main(arguments: Sequence[str]) -> int:
    """Run what the command line names; the status is 1 when a test failed or something asked for could not run."""
    request = parse(arguments)
    if request.everything:
        os.environ["VF_TEST_ALL"] = "1"
        machine.install(part for tier in request.tiers if has_tests(tier) for part in tier.needs + tier.uses)
    try:
        outcomes = [run(tier, request) for tier in request.tiers]
    except KeyboardInterrupt:
        return 130
    print("\n".join(summary(outcomes)), flush=True)
    return 0 if succeeded(outcomes, strict=request.named or request.everything) else 1


def parse(arguments: Sequence[str]) -> Request:
    """Read the command line."""
    names = [tier.name for tier in TIERS]
    own, further = list(arguments), []
    if "--" in own:
        cut = own.index("--")
        own, further = own[:cut], own[cut + 1 :]
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        usage="%(prog)s [TIER ...] [--all] [--cluster] [--seconds S] [-- PYTEST ARGUMENTS]",
        description="Run the tests that can run on this machine, and say how to run the others.",
        epilog="tiers: " + "; ".join(f"{tier.name}: {tier.purpose}" for tier in TIERS),
    )
    parser.add_argument("tier", nargs="*", help="without any: all that can run here")
    parser.add_argument("--all", action="store_true", help="install system parts (root, apt); every tier must run")
    parser.add_argument("--cluster", action="store_true", help="test with pods in the cluster of $KUBECONFIG")
    parser.add_argument("--seconds", type=int, default=FUZZ_SECONDS, help="for each target of the fuzz tier")
    chosen = parser.parse_args(own)
    if chosen.cluster:
        if not os.environ.get("KUBECONFIG"):
            parser.error("--cluster takes the cluster of $KUBECONFIG, which is not set")
        # Only the tests with pods; the others have an API server of their own, with which they do as they like.
        os.environ["VF_CLUSTER"] = os.environ["KUBECONFIG"]
        chosen.tier, further = ["cluster"], ["--ignore-glob=*/tests/cluster/test_*.py", *further]
    for name in chosen.tier:
        if name not in names:
            parser.error(f"there is no tier '{name}'; there are: {', '.join(names)}")
    tiers = tuple(tier for tier in TIERS if not chosen.tier or tier.name in chosen.tier)
    return Request(tiers, bool(chosen.tier), chosen.all, chosen.seconds, tuple(further))


def run(tier: Tier, request: Request) -> Outcome:
    """Run one tier, or find out why it cannot be run here."""
    if not has_tests(tier):
        return Outcome(tier.name, obstacle="no tests yet")
    for part in tier.needs:
        lack = machine.lacks(part)
        if lack is not None:
            return Outcome(tier.name, obstacle=f"needs {part.name}: {lack}; {machine.remedy(part)}")
    print(f"=== {tier.name}: {tier.purpose}", flush=True)
    if tier.runner is Runner.FUZZER:
        return _fuzz(tier, request.fuzz_seconds, request.further if request.tiers == (tier,) else ())
    together = _pytest(tier, tier.name, request.further)
    for folder in tier.alone:
        together = _and(together, _pytest(tier, f"{tier.name}/{folder}", request.further))
    return together


def has_tests(tier: Tier) -> bool:
    """Whether somebody has written tests of this tier."""
    folder = TESTS / tier.name
    if tier.runner is Runner.FUZZER:
        return (folder / "__main__.py").exists()
    return any(folder.rglob("test_*.py"))


def succeeded(outcomes: Sequence[Outcome], *, strict: bool) -> bool:
    """Whether nothing failed; where tiers were asked for, also that nothing of them was missing."""
    wanted = [outcome for outcome in outcomes if outcome.obstacle not in (None, "no tests yet")]
    return not any(outcome.failed for outcome in outcomes) and not (strict and wanted)


def summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The table of tiers, what was left out, and the line that counts."""
    yield "=== summary"
    for outcome in outcomes:
        if outcome.obstacle is not None:
            yield f"{outcome.tier:<12} not run: {outcome.obstacle}"
            continue
        counts = _counts(outcome.passed, outcome.failed, outcome.skipped)
        yield f"{outcome.tier:<12} {counts} in {outcome.seconds:.0f} s"
        yield from (f"{'':<12} left out: {reason}" for reason in outcome.left_out)
    yield _counts(
        sum(outcome.passed for outcome in outcomes),
        sum(outcome.failed for outcome in outcomes),
        sum(outcome.skipped for outcome in outcomes),
    )


def _counts(passed: int, failed: int, skipped: int) -> str:
    return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def _and(one: Outcome, other: Outcome) -> Outcome:
    """Two parts of a tier as one."""
    return Outcome(
        one.tier,
        one.passed + other.passed,
        one.failed + other.failed,
        one.skipped + other.skipped,
        one.seconds + other.seconds,
        one.left_out + other.left_out,
    )


def _pytest(tier: Tier, part: str, arguments: Sequence[str]) -> Outcome:
    """Run a tier's folder without those that are to run alone, or one of these."""
    report = REPORTS / f"{part.replace('/', '-')}.xml"
    report.unlink(missing_ok=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    whole = part == tier.name
    command = (
        sys.executable,
        "-m",
        "pytest",
        str(TESTS / part),
        "-q",
        *(_spread(tier.runner) if whole else ()),
        *(f"--ignore={TESTS / part / folder}" for folder in tier.alone if whole),
        f"--junitxml={report}",
        *arguments,
    )
    start = time.monotonic()
    status = subprocess.run(command, check=False).returncode
    outcome = _read(tier, report, status, time.monotonic() - start)
    if tier.alone:
        print(f"--- {part}: {outcome.seconds:.0f} s", flush=True)
    return outcome


def _spread(runner: Runner) -> tuple[str, ...]:
    cores = len(os.sched_getaffinity(0))
    if runner is Runner.EACH_CORE:
        return ("-n", str(cores), "--dist", "worksteal")
    if runner is Runner.WAITING:
        return ("-n", str(2 * cores), "--dist", "loadgroup")
    return ()


def _read(tier: Tier, report: Path, status: int, seconds: float) -> Outcome:
    """The outcome as pytest's report has it; a run that broke down counts as one failure."""
    if not report.exists():
        return Outcome(tier.name, failed=1, seconds=seconds)
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    tests = failed = skipped = 0
    reasons: dict[str, int] = {}
    for suite in suites:
        tests += int(suite.get("tests", "0"))
        failed += int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
        skipped += int(suite.get("skipped", "0"))
        for element in suite.iter("skipped"):
            reason = element.get("message") or "no reason given"
            reasons[reason] = reasons.get(reason, 0) + 1
    left_out = tuple(f"{count} x {reason}" for reason, count in sorted(reasons.items()))
    passed = max(0, tests - failed - skipped)
    if status not in (0, _NOTHING_COLLECTED):
        failed = max(failed, 1)
    return Outcome(tier.name, passed, failed, skipped, seconds, left_out)


def _fuzz(tier: Tier, seconds: int, arguments: Sequence[str]) -> Outcome:
    """Run every target for that long; each counts as one test."""
    command = (sys.executable, "-m", "tests.fuzz", "--seconds", str(seconds), *arguments)
    start = time.monotonic()
    closing = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as fuzzer:
        assert fuzzer.stdout is not None
        for line in fuzzer.stdout:
            print(line, end="", flush=True)
            closing = _CLOSING.fullmatch(line.strip()) or closing
    passed, failed = (int(closing[1]), int(closing[2])) if closing else (0, 0)
    if fuzzer.returncode != 0:
        failed = max(failed, 1)
    return Outcome(tier.name, passed, failed, seconds=time.monotonic() - start)
