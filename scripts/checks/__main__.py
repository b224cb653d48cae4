"""`scripts/check [--fix] [NAME...]`: runs the checks, or those named, and prints one line for each finding.

All run, whatever the others found; the status is 1 when there is any finding.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from scripts.checks import compatibility, generated, locks, pages, tools

CHECKS: Final[dict[str, Callable[[Path], Iterable[str]]]] = {
    "types": tools.types,
    "imports": tools.imports,
    "lint": tools.lint,
    "format": tools.unformatted,
    "generated": generated.findings,
    "locks": locks.findings,
    "crds": compatibility.findings,
    "docs": pages.findings,
}


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(
        prog="scripts/check", description="Find what is wrong without running the product."
    )
    parser.add_argument("name", nargs="*", help=f"of {', '.join(CHECKS)}; without any: all")
    parser.add_argument("--fix", action="store_true", help="first mend format, lint and generated files")
    arguments = parser.parse_args()
    unknown = set(arguments.name) - set(CHECKS)
    if unknown:
        parser.error(f"there is no check '{min(unknown)}'; there are: {', '.join(CHECKS)}")
    root = Path.cwd()
    if arguments.fix:
        tools.fix(root)
        generated.fix(root)
    names = arguments.name or list(CHECKS)
    start = time.monotonic()
    # The tools are processes of their own, so threads are enough to keep the cores busy.
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda name: list(CHECKS[name](root)), names))
    for name, found in zip(names, outcomes, strict=True):
        for line in found:
            print(f"{name}: {line}")
    count = sum(map(len, outcomes))
    print(f"{', '.join(names)}: {count or 'no'} finding{'s' * (count != 1)} in {time.monotonic() - start:.1f} s")
    return 1 if count else 0


sys.exit(main())
