"""The dashboards and alerts name what there is: metrics of the operator and of the model servers, and nothing else."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC
from datetime import datetime

import pytest
import yaml

from charts import dashboards
from charts import generate
from charts import grafana
from serin.analysis.runtimes import SERVERS
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.controller.queue import Queue
from serin.controller.telemetry import Telemetry
from tests.chart.rendered import Json
from tests.chart.rendered import render

WORDS = {"and", "or", "unless"}
DASHBOARDS = dashboards.dashboards()
RULES: list[Json] = [
    rule
    for group in yaml.safe_load((generate.CHART / "rules" / "serin.yaml").read_text())["groups"]
    for rule in group["rules"]
]
QUERIES = {
    **{
        f"{name}: {panel['title']} {target['refId']}": target["expr"]
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
        for target in panel["targets"]
    },
    **{rule["alert"]: rule["expr"] for rule in RULES},
}


def known() -> set[str]:
    """Names of all series that the operator or a model server shows, and Prometheus' own."""
    telemetry = Telemetry()
    telemetry.watch_queue(Queue(), 4, time.monotonic)
    telemetry.watch_registries(lambda: {"default": datetime(2026, 11, 20, tzinfo=UTC)})
    names = {"up"}
    for family in telemetry.registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    for server in SERVERS.values():
        names |= {server.requests.name, server.part.name, f"{server.durations}_bucket", f"{server.durations}_count"}
    return names


def metrics(query: str) -> set[str]:
    """Names of the series that a query asks for."""
    query = re.sub(r'"[^"]*"', '""', query)
    query = re.sub(r"\b(by|on) \([^)]*\)|\{[^}]*\}|\[[^]]*\]", " ", query)
    return set(re.findall(r"\b[a-z_]{2,}\b(?!\s*\()", query)) - WORDS


def test_names_are_found_in_a_query() -> None:
    query = 'sum by (le) (rate(a_total{b="c"}[5m]) and on (job) label_replace(d_e, "f", "", "", "")) or histogram(g_h)'
    assert metrics(query) == {"a_total", "d_e", "g_h"}


@pytest.mark.parametrize("where", QUERIES)
def test_metrics_of_the_query_exist(where: str) -> None:
    asked = metrics(QUERIES[where])
    assert asked
    assert asked <= known()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_file_is_the_dashboard(name: str) -> None:
    assert (generate.DASHBOARDS / name).read_text() == grafana.text(DASHBOARDS[name]), "run: make generate"


def test_there_are_no_other_files() -> None:
    assert {file.name for file in generate.DASHBOARDS.iterdir()} == set(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_config_map_holds_what_grafana_reads(name: str) -> None:
    """Untouched by Helm, whose braces are Grafana's too."""
    data = render({"metrics.dashboards.enabled": True}).all("ConfigMap")
    held = next(one for one in data if one["metadata"]["name"] == "serin-dashboards")["data"]
    assert json.loads(held[f"serin-{name}"]) == DASHBOARDS[name]


def test_dashboards_and_panels_are_told_apart() -> None:
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    for dashboard in DASHBOARDS.values():
        panels = dashboard["panels"]
        assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
        assert len(set(places)) == len(panels)
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= grafana.WIDTH for panel in panels)


def test_every_variable_of_a_query_is_one_of_its_dashboard() -> None:
    for dashboard in DASHBOARDS.values():
        declared = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval"}
        used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard)))
        assert used <= declared
        assert declared - {"__rate_interval"} <= used


def test_page_lists_all_metrics_of_the_operators_own() -> None:
    text = (generate.ROOT / "docs" / "how-to" / "monitor.md").read_text()
    listed = set(re.findall(r"^\| `(serin_\w+)` \|", text, re.MULTILINE))
    own = {name for name in known() if name.startswith("serin_")}
    histograms = {name.removesuffix("_bucket") for name in own if name.endswith("_bucket")}
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    assert listed == own - parts | histograms


def test_every_alert_has_a_section_in_the_runbook() -> None:
    """Where its runbook_url leads."""
    text = (generate.ROOT / "docs" / "how-to" / "alerts.md").read_text()
    sections = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert sections == [rule["alert"] for rule in RULES]


def test_alerts_say_how_bad_what_and_where_to_look() -> None:
    rendered = render({"metrics.alerts.enabled": True}).one("PrometheusRule")
    for group in rendered["spec"]["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
            assert rule["annotations"]["runbook_url"] == f"docs/how-to/alerts.md#{rule['alert'].lower()}"


def test_alerts_name_reasons_phases_and_conditions_that_exist() -> None:
    words = {"reason": Reason, "phase": Phase, "condition": ConditionType}
    found = [
        (label, value)
        for rule in RULES
        for label, values in re.findall(r'\b(reason|phase|condition)=~?"([^"]*)"', rule["expr"])
        for value in values.split("|")
    ]
    assert {label for label, _ in found} == words.keys()
    for label, value in found:
        assert value in list(words[label]), value
