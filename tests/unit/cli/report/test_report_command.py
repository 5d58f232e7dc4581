"""``serin report`` against an API server: which rollout, whose Prometheus, and where the page goes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from serin.api.kinds import CONFIG_MAP
from serin.api.kinds import EVENT
from serin.api.kinds import ROLLOUT_POLICY
from serin.cli import times
from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.conftest import Run
from tests.unit.cli.report import simulated
from tests.unit.cli.report.simulated import World

Json = dict[str, Any]
WORLD = cache(simulated.rolled_back)
PROXY = "GET /api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query_range"
WHY = "error rate 2.8 % against 1.2 % of v12 after 1,343 requests"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    world = WORLD()
    monkeypatch.setattr(times, "now", lambda: world.moment(world.ended + 100))


def settings(url: str | None, namespace: str = "serin-system", **more: str) -> Json:
    metadata = {"name": "serin", "namespace": namespace, "labels": {"app.kubernetes.io/name": "serin"}}
    return {"metadata": metadata, "data": {"settings.yaml": yaml.safe_dump({"prometheus_url": url, **more})}}


def rolled_back(api: ApiServer) -> World:
    world = WORLD()
    api.put(world.status())
    api.put(settings("http://prometheus.monitoring.svc:9090"), CONFIG_MAP)
    api.prometheus = lambda path, query: world.get(path, query)
    return world


@pytest.mark.parametrize("word", ["json", "yaml", "text"])
def test_a_form_of_output_is_no_file(api: ApiServer, serin: Run, word: str) -> None:
    """Everywhere else -o json asks for JSON."""
    told = serin("report", "fraud", "-o", word)
    assert told.exit_code == 2
    assert (
        f"it names the file of a page; serin history -o json has figures for machines. For a file of that name: "
        f"./{word}" in told.stderr
    )
    assert (api.requests, list(Path().glob(word))) == ([], [])


def test_the_operators_prometheus_is_asked_through_the_api_server(api: ApiServer, serin: Run) -> None:
    world = rolled_back(api)
    note = {"eventTime": simulated.stamp(world.moment(60)), "type": "Normal", "reason": "Deploying", "note": "started!"}
    metadata = {"name": "fraud.1", "namespace": "payments"}
    api.put({"metadata": metadata, "regarding": {"uid": "uid-1"}, **note}, EVENT)
    api.put({"metadata": {**metadata, "name": "2"}, "regarding": {"uid": "other"}, **note, "note": "no!"}, EVENT)
    told = serin("report", "fraud")
    assert told.exit_code == 0, told.output
    assert told.stdout == f"fraud-v13.html: v13 was taken back after 20m at 5 % of the requests: {WHY}.\n"
    content = Path("fraud-v13.html").read_text()
    assert PROXY in api.requests
    assert "started!" in content
    assert "no!" not in content
    assert "What is missing here" not in content
    assert {"fieldSelector": "regarding.kind=ModelDeployment,regarding.name=fraud"} in api.queries


def test_a_prometheus_that_is_named_is_asked_straight(api: ApiServer, serin: Run) -> None:
    rolled_back(api)
    told = serin(
        "report", "fraud", "-o", "page.html", "--prometheus", api.url.replace("//", "//jane:secret@") + "/prom"
    )
    assert told.exit_code == 0, told.output
    assert PROXY not in api.requests
    assert "POST /prom/api/v1/query_range" in api.requests
    content = Path("page.html").read_text()
    assert f"{api.url}/prom" in content
    assert "secret" not in content


@pytest.mark.parametrize("named", [False, True])
def test_of_several_clusters_the_operators_own_is_asked_about(api: ApiServer, serin: Run, *, named: bool) -> None:
    world, asked = rolled_back(api), list[str]()
    api.put(settings("http://thanos.monitoring.svc:9090", prometheus_matchers='cluster="eu"'), CONFIG_MAP)

    def prometheus(path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        asked.append(query["query"])
        return world.get(path, query)

    api.prometheus = prometheus
    told = serin("report", "fraud", *(("--prometheus", f"{api.url}/prom") if named else ()))
    assert told.exit_code == 0, told.output
    assert len(asked) > 1
    for query in asked:
        assert query.count('cluster="eu"') == query.count('namespace="payments"') > 0


def test_what_may_not_be_read_is_on_the_page_and_told(api: ApiServer, serin: Run) -> None:
    rolled_back(api)
    api.refuse("GET /api/v1/configmaps", 403, "configmaps is forbidden")
    api.refuse("GET /api/v1/namespaces/serin-system/configmaps", 403, "configmaps is forbidden")
    api.refuse("GET /apis/events.k8s.io", 403, "events is forbidden")
    told = serin("report", "fraud")
    assert told.exit_code == 0
    assert "the operator's settings cannot be read (you may not: configmaps is forbidden)" in told.stderr
    assert "--prometheus, such as http://localhost:9090" in told.stderr
    assert "Events cannot be read: you may not list them." in told.stderr
    assert "What is missing here" in Path("fraud-v13.html").read_text()


def test_a_proxy_that_is_refused_is_a_gap(api: ApiServer, serin: Run) -> None:
    rolled_back(api)
    api.refuse(PROXY, 403, "services/proxy is forbidden")
    told = serin("report", "fraud")
    assert told.exit_code == 0
    gap = "Service prometheus:9090 in namespace monitoring does not answer through the API server (you may not: "
    assert gap in told.stderr


def test_a_past_rollout_by_its_number(api: ApiServer, serin: Run) -> None:
    rolled_back(api)
    told = serin("report", "fraud", "--rollout", "2", "-o", "-")
    assert "v12, the first version, was promoted after 1h5m." in told.stdout
    refused = serin("report", "fraud", "--rollout", "3")
    assert refused.exit_code == 1
    assert "there is no rollout 3 that ended: 2 of fraud have" in refused.stderr
    assert "serin history fraud -n payments" in refused.stderr


def test_the_checks_of_a_policy(api: ApiServer, serin: Run) -> None:
    world = rolled_back(api)
    body = world.status()
    body["spec"]["rollout"] = {"policy": "cautious"}
    api.put(body)
    policy = {"metadata": {"name": "cautious", "namespace": "serin-system"}, "spec": {"analysis": world.analysis}}
    api.put(policy, ROLLOUT_POLICY)
    serin("report", "fraud")
    content = Path("fraud-v13.html").read_text()
    assert "as RolloutPolicy cautious has them now" in content
    assert "Evidence against v13" in content


def test_a_rollout_that_runs_is_the_one_that_is_meant(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    told = serin("report", "fraud")
    assert told.exit_code == 0, told.output
    assert "v13 gets 25 % of the requests, v12 the rest, and waits for the hold to end at 22:20:05 UTC." in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("fraud", "--prometheus", "prometheus:9090"),
            2,
            "the URL of --prometheus is none: it must begin with http://",
        ),
        (("fraud", "--prometheus", "http://p:x"), 2, "the URL of --prometheus is none: "),
        (("fraud", "--rollout", "0"), 2, "--rollout"),
        (("fraud", "-o", "no/such/folder/page.html"), 1, "no/such/folder/page.html cannot be written"),
        (("froud",), 3, "Did you mean fraud?"),
    ],
)
def test_what_cannot_be(api: ApiServer, serin: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    api.put(objects.rejected())
    told = serin("report", *arguments)
    assert told.exit_code == code
    assert words in told.stderr


@pytest.mark.parametrize("ended", ["0001-01-01T00:00:00Z", "0001-01-02T00:00:00+12:00", "9999-12-31T23:59:59Z"])
def test_an_end_that_is_no_moment(api: ApiServer, serin: Run, ended: str) -> None:
    """The first of year 1 is Go's word for none, and there is no month before it to look at."""
    body = objects.rejected()
    body["status"]["history"][0] |= {"startedAt": ended, "endedAt": ended}
    api.put(body)
    told = serin("report", "fraud")
    assert (told.exit_code, told.stdout) == (1, "")
    assert "the history of fraud does not say when that rollout started and ended" in " ".join(told.stderr.split())
    for command in ("status", "history", "why"):
        assert "bug" not in serin(command, "fraud").stderr


def test_nothing_has_been_rolled_out_yet(api: ApiServer, serin: Run) -> None:
    api.put(objects.deployment())
    told = serin("report", "fraud")
    assert told.exit_code == 1
    assert "there is no rollout 1 that ended: none of fraud has" in told.stderr
