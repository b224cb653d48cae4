"""Makes docs/figures/agents.md and .json of what `scripts/bench agents... --json FILE` wrote.

`python -m tests.bench.agents_page FILE...`, one file for each part that was run. What is said by hand behind the
figures stays.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.bench.report import figure

FIGURES: Final = Path(__file__).parents[2] / "docs" / "figures"
_HEAD: Final = """\
# Calls with a model

What one transceiver worker holds on one core while every call talks to a model over the Realtime link, beside a bridge
of stock aiortc and `websockets` in the same run. The server is alone on a core; the callers, behind a relay, and the
model share another. Every caller talks and the model speaks all the time, which is more than people do. A number of
calls is *held* by the rule of [the transceiver](transceiver.md): less than 80% of the core, no frame lost, sending
clock within 2 ms (99th percentile). How long sound takes is measured in the server at half the calls that it holds:
from a packet's arrival to the model's socket, with decoding (and the bridge's jitter buffer), and from the model's
sending to the call's queue. Written by `python -m tests.bench.agents_page` from `scripts/bench agents` with `--json`
([the figures](agents.json)).
"""


def page(parts: list[dict[str, Any]]) -> str:
    """The figures as documentation."""
    lines = [_HEAD, "| what | figure | value |", "|---|---|--:|"]
    for part in parts:
        lines += [f"| {row['name']} | {row['metric']} | {figure(row['value'])} {row['unit']} |" for row in part["rows"]]
    lines += ["", "| bar | measured | asked for | |", "|---|--:|--:|---|"]
    for part in parts:
        for bar in part["bars"]:
            kept = "kept" if bar["ok"] else "**missed**"
            lines.append(f"| {bar['name']} | {figure(bar['value'])} | {figure(bar['bar'])} | {kept} |")
    machines = {", ".join(f"{key} {value}" for key, value in part["machine"].items()) for part in parts}
    return "\n".join([*lines, "", *(f"On {machine}." for machine in sorted(machines)), ""])


def main() -> None:
    """Write both."""
    parts = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    file = FIGURES / "agents.md"
    _, found, said = (file.read_text() if file.exists() else "").partition("\n## ")
    file.write_text(page(parts) + (found + said if found else ""))
    (FIGURES / "agents.json").write_text(json.dumps(parts, indent=2) + "\n")


if __name__ == "__main__":
    main()
