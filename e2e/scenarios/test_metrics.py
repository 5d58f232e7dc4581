"""What Prometheus has of models and operator: found by itself, told apart by revision, and enough for every panel."""

import http.client
import json
import math
import time
from collections.abc import Iterator

import pytest
import yaml

from charts import dashboards
from charts import generate
from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import BROKEN
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until
from e2e.stack import monitoring
from e2e.stack.kubectl import Object
from e2e.traffic import by_version
from serin.analysis.runtimes import SERVERS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

# A few scrapes, on a machine that has much else to do.
_SCRAPED_SECONDS = 60.0
_WRONG_SHAPE = {"inputs": [{"name": "input-0", "shape": [1, 3], "datatype": "FP64", "data": [1.0, 2.0, 3.0]}]}


@pytest.mark.starting(alias=GOOD, steps=[(50, "10m")])
def test_every_panel_shows_a_rollout(ping: Deployment, room: Room) -> None:
    with ping.traffic(20) as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        ping.step(1, since=moved)
        wait_until("a failure is seen", lambda: _fail(ping) and _highest(room, "Errors") > 0, _SCRAPED_SECONDS)
        wait_until("every panel shows something", lambda: not _empty(room), _SCRAPED_SECONDS)
    assert _empty(room) == []
    assert _told_apart(room) == _labelled(ping)
    assert traffic.failures == []
    # What the users got is what the model servers counted.
    answered = by_version(traffic.answers())
    assert set(answered) == {"v1", "v2"}
    requests = SERVERS["MLServer"].requests
    counted = f'sum by (serin_dev_version) ({requests.name}{{namespace="{room.namespace}",{requests.matchers}}})'

    def all_counted() -> bool:
        found = {one["metric"]["serin_dev_version"]: float(one["value"][1]) for one in _ask(room, counted)}
        return all(found.get(version, 0) >= number for version, number in answered.items())

    wait_until("all requests are counted", all_counted, _SCRAPED_SECONDS)


@pytest.mark.starting(alias=GOOD)
def test_alerts_tell_a_rejected_version_and_nothing_else(ping: Deployment, room: Room) -> None:
    wait_until("its pod is scraped", lambda: _told_apart(room) == _labelled(ping), _SCRAPED_SECONDS)
    wait_until("its state is scraped", lambda: _pending(room) == {}, _SCRAPED_SECONDS)
    moved = time.time()
    ping.move_alias(BROKEN)
    ping.rolled_back(since=moved)
    wait_until("the alert is pending", lambda: _pending(room), _SCRAPED_SECONDS)
    (alert,) = _pending(room).items()
    assert alert == ("SerinRolloutStalled", "RolledBack")


def _fail(ping: Deployment) -> bool:
    """One request that the model cannot answer."""
    connection = http.client.HTTPConnection(ping.endpoint.gateway, timeout=15)
    connection.request("POST", ping.endpoint.path, json.dumps(_WRONG_SHAPE), ping.endpoint.headers)
    status = connection.getresponse().status
    connection.close()
    assert status in (400, 500), f"a wrong shape was answered with {status}"
    return True


def _told_apart(room: Room) -> list[tuple[str, str, str, str]]:
    """Of each target in the namespace: pod, ModelDeployment, revision and version."""
    names = ("pod", "serin_dev_modeldeployment", "serin_dev_revision", "serin_dev_version")
    found = _ask(room, f'up{{namespace="{room.namespace}"}} == 1')
    return sorted(tuple(one["metric"].get(name, "") for name in names) for one in found)


def _labelled(ping: Deployment) -> list[tuple[str, str, str, str]]:
    """The same as the pods themselves have it."""
    names = ("serin.dev/modeldeployment", "serin.dev/revision", "serin.dev/version")
    found = [pod["metadata"] for pod in ping.pods()]
    return sorted((one["name"], *(one["labels"][name] for name in names)) for one in found)


def _queries(room: Room) -> Iterator[tuple[str, str]]:
    """Title and query of every panel, with the variables filled in as Grafana would."""
    values = {"__rate_interval": "5m", "namespace": room.namespace, "modeldeployment": "ping", "slower": "0.25"}
    for dashboard in dashboards.dashboards().values():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                query = target["expr"]
                for name, value in values.items():
                    query = query.replace(f"${name}", value)
                yield panel["title"], query


def _empty(room: Room) -> list[tuple[str, str]]:
    """The queries that give no number."""
    return [(title, query) for title, query in _queries(room) if not _numbers(_ask(room, query))]


def _highest(room: Room, panel: str) -> float:
    found = [number for title, query in _queries(room) if title == panel for number in _numbers(_ask(room, query))]
    return max(found, default=0.0)


def _numbers(result: list[Object]) -> list[float]:
    return [number for number in (float(one["value"][1]) for one in result) if math.isfinite(number)]


def _pending(room: Room) -> dict[str, str]:
    """The alerts whose expression is true of the namespace, or of the operator as a whole; with the reason."""
    found = {}
    groups = yaml.safe_load((generate.CHART / "rules" / "serin.yaml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        for one in _ask(room, rule["expr"]):
            where = one["metric"].get("modeldeployment_namespace") or one["metric"].get("namespace")
            # Other scenarios' troubles are not this one's: they stop the operator and the registry.
            if where == room.namespace or rule["alert"] == "SerinOperatorDown":
                found[rule["alert"]] = one["metric"].get("reason", "")
    return found


def _ask(room: Room, query: str) -> list[Object]:
    return monitoring.query(room.world.kubectl, query)
