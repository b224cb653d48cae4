"""Draws docs/figures/steering.svg: `python -m tests.bench.steering.plot FILE`, which `scripts/bench --json` wrote."""

import json
import math
import sys
from pathlib import Path
from typing import Any, Final

SVG: Final = Path(__file__).parents[3] / "docs" / "figures" / "steering.svg"
_STAGES: Final = ("without learning", "round 1", "round 2", "round 3", "a pool lost", "the pool back")
_SHARES: Final = (
    ("well placed", "all clients", "#0b6e4f"),
    ("on the very nearest", "of them on the very nearest", "#8fbcae"),
    ("misplaced ones well placed", "clients whom the database misplaces", "#d1495b"),
)
_WIDTH: Final = 1000
_HEIGHT: Final = 640
_LEFT: Final = 90
_STEP: Final = (_WIDTH - 2 * _LEFT) / (len(_STAGES) - 1)
_MOST_MS: Final = 300.0
_LEAST_MS: Final = 0.1


def drawing(outcome: dict[str, Any]) -> str:
    """The figure as SVG: shares above, the p99 detour below (logarithmic), stage by stage."""
    values = {(row["name"], row["metric"]): float(row["value"]) for row in outcome["rows"]}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 30, "100,000 clients, 30 relay pools, a tenth of the networks misplaced by the database", 18),
    ]
    for number, (metric, label, colour) in enumerate(_SHARES):
        points = [(_x(at), _share(values[stage, metric])) for at, stage in enumerate(_STAGES)]
        parts += [_line(points, colour), _text(130 + number * 290, 60, label, 13, colour, "start")]
        if number != 1:
            parts += [
                _text(x, y + (-10 if number == 0 else 20), f"{values[stage, metric]:.1f}%", 12, colour)
                for (x, y), stage in zip(points, _STAGES, strict=True)
            ]
    for share in (0, 50, 100):
        parts.append(_rule(_share(share), f"{share}%"))
    points = [(_x(at), _detour(values[stage, "p99 detour"])) for at, stage in enumerate(_STAGES)]
    parts.append(_line(points, "#1f4e79"))
    parts.append(
        _text(_LEFT, 395, "p99 detour, milliseconds of round trip beyond the nearest pool's", 13, "#1f4e79", "start")
    )
    for (x, y), stage in zip(points, _STAGES, strict=True):
        parts.append(_text(x, y - 10, f"{values[stage, 'p99 detour']:.3g}", 12, "#1f4e79"))
    for milliseconds in (0.1, 1, 10, 100):
        parts.append(_rule(_detour(milliseconds), f"{milliseconds:g}"))
    parts.append(f'<path d="M{_LEFT} {_detour(20)}H{_WIDTH - _LEFT}" stroke="#d1495b" stroke-dasharray="6 4"/>')
    parts.append(_text(_WIDTH - _LEFT + 8, _detour(20) + 4, "20 ms", 12, "#d1495b", "start"))
    parts += [_text(_x(at), 605, stage, 13) for at, stage in enumerate(_STAGES)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(at: int) -> float:
    return _LEFT + at * _STEP


def _share(percent: float) -> float:
    return 360 - 270 * percent / 100


def _detour(milliseconds: float) -> float:
    shown = min(_MOST_MS, max(_LEAST_MS, milliseconds))
    return 580 - 160 * math.log(shown / _LEAST_MS) / math.log(_MOST_MS / _LEAST_MS)


def _line(points: list[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _rule(y: float, label: str) -> str:
    text = _text(_LEFT - 12, y + 4, label, 11, "#666", "end")
    return f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _LEFT}" stroke="#ddd"/>{text}'


def _text(x: float, y: float, text: str, size: int, colour: str = "#222", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{text}</text>'


if __name__ == "__main__":
    SVG.write_text(drawing(json.loads(Path(sys.argv[1]).read_text())))
