"""Dashboards as Grafana has them in JSON. Knows nothing of what they show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24
HEIGHT = 8


@dataclass(frozen=True)
class Panel:
    """One panel."""

    title: str
    description: str
    queries: tuple[tuple[str, str], ...]
    """PromQL and legend."""
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    most: float | None = None


def text(dashboard: Json) -> str:
    """As the file has it."""
    return json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"


def dashboard(uid: str, title: str, panels: Sequence[Panel], variables: Sequence[Json]) -> Json:
    """A dashboard of one source of data, which people choose, as they do the variables."""
    source = {"name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": ["serin"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "graphTooltip": 1,
        "templating": {"list": [source, *variables]},
        "panels": list(_placed(panels)),
    }


def _placed(panels: Sequence[Panel]) -> Iterator[Json]:
    """From left to right, in rows of equal height."""
    x, y = 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y = 0, y + HEIGHT
        yield _panel(number, panel, {"h": HEIGHT, "w": panel.width, "x": x, "y": y})
        x += panel.width


def _panel(number: int, panel: Panel, place: Json) -> Json:
    custom: Json = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 30} if panel.stacked else {}
    defaults: Json = {"unit": panel.unit, "custom": custom}
    if panel.kind == "timeseries":
        defaults["min"] = 0
    if panel.most is not None:
        defaults["max"] = panel.most
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for index, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }


def choice(name: str, label: str, query: str) -> Json:
    """A variable whose values Prometheus knows."""
    asked = {"query": query, "refId": name}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": asked,
        "refresh": 2,
        "sort": 1,
    }


def options(name: str, label: str, values: Sequence[str], first: str) -> Json:
    """A variable with these values."""
    return {
        "name": name,
        "label": label,
        "type": "custom",
        "query": ",".join(values),
        "current": {"text": first, "value": first, "selected": True},
        "options": [{"text": one, "value": one, "selected": one == first} for one in values],
    }
