"""Draws what `scripts/bench relay --json FILE` wrote, as SVG and PNG: `python -m tests.bench.relay.plot FILE`.

The SVG is written here; the PNG is Chromium's picture of it.
"""

import math
from html import escape
from typing import Any, Final

from tests.bench.picture import draw

_ORDER: Final = ("kernel", "userspace", "given", "coturn", "stock asyncio")
_COLOURS: Final = dict(zip(_ORDER, ("#0b6e4f", "#1f77b4", "#9467bd", "#ff7f0e", "#7f7f7f"), strict=True))
_PANELS: Final = (
    ("processor time at 50,000/s", "processor time, µs a packet, at 50,000 packets/s"),
    ("packets with <= 0.1% lost", "packets/s, at most 0.1% lost"),
    ("added latency at 50,000/s, p50", "added latency, p50, µs, at 50,000 packets/s"),
    ("added latency at 50,000/s, p99", "added latency, p99, µs, at 50,000 packets/s"),
)
_WIDTH: Final = 1100
_HEIGHT: Final = 800
_PANEL: Final = (490, 250)


def drawing(outcome: dict[str, Any]) -> str:
    """The figure as SVG: four panels of bars, logarithmic, each bar with its number."""
    values = {(row["name"], row["metric"]): row["value"] for row in outcome["rows"]}
    stages = sorted(
        {int(name.split(", ")[1].split()[0].replace(",", "")) for name, _ in values if name.endswith("flows")}
    )
    told = ", ".join(f"{key} {value}" for key, value in outcome["machine"].items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 32, "Forwarding a call's packets: 172 octets, half each way, one core", 19),
        *(
            _legend(number, name)
            for number, name in enumerate(_ORDER)
            if any(key[0].startswith(name) for key in values)
        ),
        *(_panel(number, title, metric, values, stages) for number, (metric, title) in enumerate(_PANELS)),
        _text(_WIDTH / 2, _HEIGHT - 32, f"{told}. Medians of loads in turns; logarithmic.", 12),
        _text(_WIDTH / 2, _HEIGHT - 14, "No bar: not measured, or 0.1% was lost at every rate tried.", 12),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(number: int, title: str, metric: str, values: dict[tuple[str, str], float], stages: list[int]) -> str:
    width, height = _PANEL
    left, top = 40 + number % 2 * (width + 40), 110 + number // 2 * (height + 70)
    found = {
        (at, name): value
        for at, flows in enumerate(stages)
        for name in _ORDER
        if (value := values.get((f"{name}, {flows:,} flows", metric)))
    }
    lowest, highest = min(found.values(), default=1.0) / 2, max(found.values(), default=1.0)
    group = width / len(stages)
    bar = group * 0.85 / len(_ORDER)
    parts = [_text(left + width / 2, top - 14, title, 14)]
    for (at, name), value in found.items():
        tall = height * 0.9 * math.log(value / lowest) / math.log(highest / lowest)
        x = left + at * group + group * 0.07 + _ORDER.index(name) * bar
        parts.append(
            f'<rect x="{x:.1f}" y="{top + height - tall:.1f}" width="{bar * 0.92:.1f}" height="{tall:.1f}" '
            f'fill="{_COLOURS[name]}"/>' + _text(x + bar * 0.46, top + height - tall - 4, _short(value), 9)
        )
    for at, flows in enumerate(stages):
        label = f"{flows:,} flow" + ("s" if flows > 1 else "")
        parts.append(_text(left + (at + 0.5) * group, top + height + 17, label, 12))
    parts.append(f'<path d="M{left} {top + height}h{width}" stroke="black"/>')
    return "\n".join(parts)


def _legend(number: int, name: str) -> str:
    x = 190 + number * 155
    return f'<rect x="{x}" y="52" width="14" height="14" fill="{_COLOURS[name]}"/>' + _text(
        x + 20, 64, name, 13, "start"
    )


def _text(x: float, y: float, text: str, size: int, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'


def _short(value: float) -> str:
    return f"{value / 1000:.0f}k" if value >= 10_000 else f"{value:.0f}" if value >= 100 else f"{value:.2g}"


if __name__ == "__main__":
    draw(drawing, _WIDTH, _HEIGHT)
