"""How commands speak: lines and tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from voicefleet.cli.failure import Failure


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


def say_json(value: Any) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str), flush=True)


def say_failure(failure: Failure, *, as_json: bool) -> None:
    """Why a command failed."""
    if as_json:
        error = {"message": failure.what, "nextStep": failure.next_step, "exit": int(failure.exit)}
        print(json.dumps({"error": error}, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"voicefleet: {failure.sentence()}", file=sys.stderr)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Any:
    """A table for people, to be shown by `show`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        numeric = bool(rows) and all(isinstance(row[columns.index(column)], int | float) for row in rows)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*("-" if cell is None or cell == "" else str(cell) for cell in row))
    return made


def show(*things: Any) -> None:
    """Print tables; in a pipe as wide as they are, without colour."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for thing in things:
        console.print(thing)


class Screen:
    """What a live view shows."""

    def __init__(self, live: Any) -> None:
        self._live = live

    def update(self, *things: Any) -> None:
        """Show these instead of what was there."""
        from rich.console import Group

        self._live.update(Group(*things), refresh=True)


@contextmanager
def live() -> Iterator[Screen]:
    """A view that is drawn anew in its place, until the context ends."""
    from rich.live import Live

    with Live(auto_refresh=False) as made:
        yield Screen(made)


@contextmanager
def progress(what: str, total: float, *, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar on a terminal; its function is told how far it is, and something to say beside."""
    if quiet or not sys.stderr.isatty():
        yield lambda _done, _beside: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[beside]}"),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=total, beside="")
        yield lambda done, beside: bar.update(task, completed=done, beside=beside)
