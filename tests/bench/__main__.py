"""`scripts/bench [NAME[.PART]] [--quick] [--json FILE]`: runs one bench or a part of it, or lists them."""

import argparse
import importlib
import json
import pkgutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from tests import bench
from tests.bench.report import Report, machine


class Bench(Protocol):
    """What a module of this folder offers."""

    TITLE: str

    def run(self, quick: bool) -> Report:
        """Measure; a quick run ends within 50 s."""


class InParts(Protocol):
    """What a module offers as well if its parts can be measured one at a time."""

    PARTS: dict[str, Callable[[bool], Report]]


def load(name: str) -> Bench:
    """The bench of that name."""
    return cast(Bench, importlib.import_module(f"{bench.__name__}.{name}"))


def names() -> list[str]:
    """The benches there are: modules with a title."""
    modules = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    return [name for name in modules if name != "report" and hasattr(load(name), "TITLE")]


def main() -> int:
    """Measure what the command line names; the status is 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure one part beside its yardstick.")
    parser.add_argument("name", nargs="?", help="without it: list the benches; NAME.PART where a bench has parts")
    parser.add_argument("--quick", action="store_true", help="end within 50 s, perhaps less exact")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the outcome there as well; what other parts wrote there stays"
    )
    arguments = parser.parse_args()
    known = names()
    if arguments.name is None:
        for name in known:
            print(f"{name:<16} {load(name).TITLE}")
        return 0
    name, _, part = arguments.name.partition(".")
    if name not in known:
        parser.error(f"there is no bench '{name}'; there are: {', '.join(known) or 'none yet'}")
    parts = cast(InParts, load(name)).PARTS if hasattr(load(name), "PARTS") else {}
    if part and part not in parts:
        parser.error(f"'{name}' has no part '{part}'; it has: {', '.join(parts) or 'none'}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # what the bench made is removed
    before = machine()
    report = (parts[part] if part else load(name).run)(arguments.quick)
    print(load(name).TITLE)
    print("on " + ", ".join(f"{key} {value}" for key, value in before.items()))
    print(report.text())
    if arguments.json is not None:
        if part and arguments.json.exists():
            report = report.beside(json.loads(arguments.json.read_text()))
        arguments.json.write_text(report.json(before))
    return 0 if report.ok else 1


sys.exit(main())
