"""Figures as documentation: a page of tables in docs/figures, kept beside the JSON that it was made of."""

import json
from pathlib import Path
from typing import Any, Final

from tests.bench.report import figure

FIGURES: Final = Path(__file__).parents[2] / "docs" / "figures"


def write_page(name: str, head: str, parts: list[dict[str, Any]]) -> None:
    """Write NAME.md and NAME.json; what is said by hand behind the figures, from the first heading on, stays."""
    file = FIGURES / f"{name}.md"
    _, found, said = (file.read_text() if file.exists() else "").partition("\n## ")
    file.write_text(_page(head, parts) + (found + said if found else ""))
    (FIGURES / f"{name}.json").write_text(json.dumps(parts, indent=2) + "\n")


def _page(head: str, parts: list[dict[str, Any]]) -> str:
    lines = [head, "| what | figure | value |", "|---|---|--:|"]
    for part in parts:
        lines += [f"| {row['name']} | {row['metric']} | {figure(row['value'])} {row['unit']} |" for row in part["rows"]]
    lines += ["", "| bar | measured | asked for | |", "|---|--:|--:|---|"]
    for part in parts:
        for bar in part["bars"]:
            kept = "kept" if bar["ok"] else "**missed**"
            lines.append(f"| {bar['name']} | {figure(bar['value'])} | {figure(bar['bar'])} | {kept} |")
    machines = {", ".join(f"{key} {value}" for key, value in part["machine"].items()) for part in parts}
    return "\n".join([*lines, "", *(f"On {machine}." for machine in sorted(machines)), ""])
