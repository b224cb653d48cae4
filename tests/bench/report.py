"""What a bench says in the end: its rows, its bars, and on which machine that was.

A bar compares ratios from one run wherever it can: absolute times wander by a factor of two on shared machines.
"""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure: `name` is what was measured, `metric` which figure of it, `unit` as a reader writes it."""

    name: str
    metric: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise about a figure; made by `at_most` or `at_least`, which decide whether it is kept."""

    name: str
    value: float
    bar: float
    ok: bool
    relation: str = "vs"

    @classmethod
    def at_most(cls, name: str, value: float, bar: float) -> Self:
        """A bar that a smaller value clears."""
        return cls(name, value, bar, value <= bar, "<=")

    @classmethod
    def at_least(cls, name: str, value: float, bar: float) -> Self:
        """A bar that a greater value clears."""
        return cls(name, value, bar, value >= bar, ">=")


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one bench; `notes` are lines for a reader and do not go into the JSON."""

    name: str
    rows: Sequence[Row]
    bars: Sequence[Bar] = ()
    notes: Sequence[str] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether every bar is kept."""
        return all(bar.ok for bar in self.bars)

    def beside(self, earlier: dict[str, Any]) -> "Report":
        """Together with what was written earlier (see `json`), where this one says nothing about it."""
        rows = [Row(**row) for row in earlier["rows"]]
        bars = [Bar(**bar) for bar in earlier["bars"]]
        mine = {(row.name, row.metric) for row in self.rows}, {bar.name for bar in self.bars}
        return Report(
            self.name,
            [*(row for row in rows if (row.name, row.metric) not in mine[0]), *self.rows],
            [*(bar for bar in bars if bar.name not in mine[1]), *self.bars],
            self.notes,
        )

    def text(self) -> str:
        """The table, the notes, then one line for each bar."""
        cells = [("what", "metric", "value", "unit")]
        cells += [(row.name, row.metric, figure(row.value), row.unit) for row in self.rows]
        verdicts = [
            f"bar {bar.name}: value {figure(bar.value)}, bar {bar.relation} {figure(bar.bar)}, "
            f"{'ok' if bar.ok else 'MISSED'}"
            for bar in self.bars
        ]
        return "\n".join([*_table(cells), *self.notes, *verdicts])

    def json(self, machine: dict[str, str | int | float]) -> str:
        """The same for a program: `bench`, `machine`, `rows`, `bars`."""
        document = {
            "bench": self.name,
            "machine": machine,
            "rows": [
                {"name": row.name, "metric": row.metric, "value": row.value, "unit": row.unit} for row in self.rows
            ],
            "bars": [{"name": bar.name, "value": bar.value, "bar": bar.bar, "ok": bar.ok} for bar in self.bars],
        }
        return json.dumps(document, indent=2, allow_nan=False) + "\n"


def figure(value: float) -> str:
    """A number with as many digits as a reader can use: four significant ones, none after the point above 1000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def machine() -> dict[str, str | int | float]:
    """The machine that the figures belong to, and how busy it was when asked."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _table(rows: Sequence[tuple[str, str, str, str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, metric, value, unit in rows:
        line = f"{name:<{widths[0]}}  {metric:<{widths[1]}}  {value:>{widths[2]}}  {unit}"
        yield line.rstrip()
