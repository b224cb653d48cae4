"""Draws what `scripts/bench operator --json FILE` wrote, as SVG and PNG: `python -m tests.bench.operator.plot FILE`.

The SVG is written here; the PNG is Chromium's picture of it.
"""

import math
from html import escape
from typing import Any, Final, NamedTuple

from tests.bench.picture import draw

_WIDTH: Final = 1100
_HEIGHT: Final = 760
_PANEL: Final = (440, 230)
_COLOUR: Final = "#0b6e4f"
_BAR: Final = "#d1495b"


class _Panel(NamedTuple):
    metric: str
    title: str
    bar: float
    """The promise; it is about 500 pools and shards."""


_PANELS: Final = (
    _Panel("from nothing to Ready", "seconds from nothing to Ready", 60.0),
    _Panel("memory", "memory of the operator, MiB", 250.0),
    _Panel("one changed field", "seconds until one changed field is applied", 1.0),
    _Panel("processor while idle", "cores of the operator while nothing happens", 0.0),
)


def drawing(outcome: dict[str, Any]) -> str:
    """The figure as SVG: four panels, each with its curve and its bar."""
    values = {
        (int(row["name"].split()[0].replace(",", "")), row["metric"]): float(row["value"])
        for row in outcome["rows"]
        if row["name"].endswith("pools and shards")
    }
    sizes = sorted({size for size, _ in values})
    told = ", ".join(f"{key} {value}" for key, value in outcome["machine"].items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 34, "The operator by the number of pools and shards, beside its API server and etcd", 19),
        *(_panel(number, panel, values, sizes) for number, panel in enumerate(_PANELS)),
        _text(_WIDTH / 2, _HEIGHT - 16, f"{told}. Red: the bar at 500.", 12),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(number: int, panel: _Panel, values: dict[tuple[int, str], float], sizes: list[int]) -> str:
    width, height = _PANEL
    left, top = 70 + number % 2 * (width + 90), 100 + number // 2 * (height + 90)
    found = {size: values[size, panel.metric] for size in sizes if (size, panel.metric) in values}
    most = 1.15 * max(*found.values(), panel.bar, 1e-9)
    least, span = math.log(sizes[0]), max(math.log(sizes[-1]) - math.log(sizes[0]), 1e-9)

    def x(size: float) -> float:
        return left + (math.log(size) - least) / span * width

    def y(value: float) -> float:
        return top + height - value / most * height

    points = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in found.items())
    parts = [
        _text(left + width / 2, top - 16, panel.title, 15),
        f'<path d="M{left} {top}v{height}h{width}" fill="none" stroke="black"/>',
        f'<polyline points="{points}" fill="none" stroke="{_COLOUR}" stroke-width="2.5"/>',
    ]
    for size, value in found.items():
        parts.append(f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="4" fill="{_COLOUR}"/>')
        parts.append(_text(x(size), y(value) - 10, f"{value:.3g}", 12))
        parts.append(_text(x(size), top + height + 18, f"{size:,}", 12))
    if panel.bar and sizes[-1] >= 500:
        parts.append(f'<path d="M{x(500) - 30:.1f} {y(panel.bar):.1f}h60" stroke="{_BAR}" stroke-width="3"/>')
    return "\n".join(parts)


def _text(x: float, y: float, text: str, size: int) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle">{escape(text)}</text>'


if __name__ == "__main__":
    draw(drawing, _WIDTH, _HEIGHT)
