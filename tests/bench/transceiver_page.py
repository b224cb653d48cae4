"""Makes docs/figures/transceiver.md, .json and .svg of what `scripts/bench transceiver... --json FILE` wrote.

`python -m tests.bench.transceiver_page FILE...`, one file for each part that was run.
"""

import json
import sys
from html import escape
from pathlib import Path
from typing import Final

from tests.bench.page import FIGURES, write_page
from tests.bench.report import figure
from tests.bench.transceiver import ECHO, INTERPRETED, PCM, PION, STOCK

CALLS: Final = "calls held on a core"
_SHOWN: Final = ((ECHO, "#0b6e4f"), (INTERPRETED, "#2a9d6f"), (PION, "#ff7f0e"), (PCM, "#1f77b4"), (STOCK, "#7f7f7f"))
_HEAD: Final = """\
# Calls on a core

What one transceiver worker holds on one core, beside a plain Pion echo server and stock aiortc's echo: the server is
alone on a core, the callers (a Go program with a spinning thread) on another. A number of calls is *held* if the server
takes less than 80% of its core, no frame is lost either way, and, of ours, the 99th percentile of the sending clock's
error is at most 2 ms; Pion and aiortc need only keep what they are given. Our callers come behind a relay: hop
datagrams, bundled as a relay bundles what comes within 0.1 ms. Our packet path is compiled, as in the image, unless it
says "not compiled"; servers in Python run on Debian 12's Python, as in the image. Written by
`python -m tests.bench.transceiver_page` from `scripts/bench transceiver.passthrough`, `.codecs` and `.living` with
`--json` ([the figures](transceiver.json)).

![Calls on a core](transceiver.svg)
"""


def drawing(values: dict[tuple[str, str], float]) -> str:
    """Bars of calls."""
    found = [(name, colour, values[name, CALLS]) for name, colour in _SHOWN if (name, CALLS) in values]
    most = max(value for _, _, value in found) or 1.0
    height = 46 * len(found) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif">',
        f'<rect width="760" height="{height}" fill="white"/>',
    ]
    for number, (name, colour, value) in enumerate(found):
        top = 14 + 46 * number
        wide = 460 * value / most
        parts += [
            f'<text x="195" y="{top + 21}" font-size="14" text-anchor="end">{escape(name)}</text>',
            f'<rect x="205" y="{top}" width="{wide:.1f}" height="32" fill="{colour}"/>',
            f'<text x="{212 + wide:.1f}" y="{top + 21}" font-size="14">{figure(value)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Write the page, its figures and the drawing."""
    parts = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    values = {(row["name"], row["metric"]): row["value"] for part in parts for row in part["rows"]}
    write_page("transceiver", _HEAD, parts)
    (FIGURES / "transceiver.svg").write_text(drawing(values))


if __name__ == "__main__":
    main()
