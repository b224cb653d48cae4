"""Panels of a Grafana dashboard, on a grid of three columns, and the variables that all dashboards have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from scripts.monitoring.known_metrics import checked

SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDTH: Final = 8
_HEIGHT: Final = 7


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: what it shows, in which unit, and its lines as (expression, legend)."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]
    says: str = ""
    stacked: bool = False


def dashboard(uid: str, title: str, rows: Sequence[tuple[str, Sequence[Panel]]], variable: str) -> dict[str, Any]:
    """The document that Grafana reads; `variable` is the metric that namespaces are taken from."""
    panels: list[dict[str, Any]] = []
    top = 0
    for name, content in rows:
        panels.append(
            {
                "type": "row",
                "id": len(panels) + 1,
                "title": name,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": top, "w": 24, "h": 1},
            }
        )
        top += 1
        for number, panel in enumerate(content):
            place = {"x": number % 3 * _WIDTH, "y": top + number // 3 * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append(_graph(panel, len(panels) + 1, place, uid))
        top += (len(content) + 2) // 3 * _HEIGHT
    return {
        "uid": uid,
        "title": title,
        "tags": ["voicefleet"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "timezone": "",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables(checked(variable, uid))},
        "annotations": {"list": []},
        "panels": panels,
    }


def _variables(metric: str) -> list[dict[str, Any]]:
    return [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0},
        {
            "name": "namespace",
            "label": "Namespace",
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": f"label_values({metric}, namespace)", "refId": "namespace"},
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        },
    ]


def _graph(panel: Panel, number: int, place: dict[str, int], uid: str) -> dict[str, Any]:
    custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
    if panel.stacked:
        custom |= {"fillOpacity": 40, "stacking": {"mode": "normal", "group": "A"}}
    return {
        "type": "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": checked(expression, f"{uid}: {panel.title}"),
                "legendFormat": legend,
            }
            for index, (expression, legend) in enumerate(panel.lines)
        ],
    }
