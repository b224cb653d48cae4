"""Fuzz every target for a minute from the kept corpus, or the ones named, for as long as asked."""

import argparse
import importlib.util
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.campaign import Outcome
from tests.fuzz.targets import TARGETS

_SHOWN = 40
"""Lines of a failed target's log that are printed: the trace, and libFuzzer's verdict after it."""
_NOISE = re.compile(r"INFO|WARNING|stat::|MS: |0x|#\d|Base64|$")


def main() -> int:
    """Print a line for each target and the count of those that hold; 0 if all do."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"all, or some of: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="targets at a time (one a core)")
    parser.add_argument("--keep", action="store_true", help="add finds that reach new code to tests/fuzz/corpus")
    options = parser.parse_args()
    if unknown := sorted(set(options.targets) - set(TARGETS)):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if options.seconds < 1 or options.jobs < 1:
        parser.error("--seconds and --jobs are at least 1")
    if importlib.util.find_spec("atheris") is None:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        print(
            f"no atheris in this Python {python}: its wheel is for x86-64 and Python 3.11 to 3.14 (pip install atheris)"
        )
        return 2
    if not campaign.finds_the_canary():
        print("the fuzzer does not find a planted fault here, so its silence would mean nothing")
        return 1
    return _fuzz(options.targets or list(TARGETS), options.seconds, options.jobs, options.keep)


def _fuzz(targets: list[str], seconds: int, jobs: int, keep: bool) -> int:
    print(f"{'target':<20} {'executions':>12} {'a second':>9} {'coverage':>9} {'features':>9}", flush=True)
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(campaign.fuzz, target, seconds) for target in targets]):
            outcome = future.result()
            print(
                f"{outcome.target:<20} {outcome.executions:>12,} {outcome.per_second:>9,} "
                f"{outcome.coverage:>9,} {outcome.features:>9,}  {'ok' if outcome.ok else 'FAILED'}",
                flush=True,
            )
            if not outcome.ok:
                failed += 1
                _tell(outcome)
            elif keep:
                print(f"{'':<20} {campaign.keep(outcome.target)} new in the corpus", flush=True)
    print(f"{len(targets) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _tell(outcome: Outcome) -> None:
    lines = [line[:200] for line in outcome.log.splitlines() if not _NOISE.match(line)]
    print("\n".join(f"    {line}" for line in lines[-_SHOWN:]))
    if outcome.finding is not None:
        saved = os.path.relpath(outcome.finding, Path.cwd())
        print(f"    saved: {saved}; again: python -m tests.fuzz.target {outcome.target} {saved}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
