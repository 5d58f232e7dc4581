"""The metrics: under names that dashboards know, and gone when the object is."""

from __future__ import annotations

import asyncio
from datetime import UTC
from datetime import datetime

import pytest
from prometheus_client import generate_latest

from serin.api.reasons import Reason
from serin.api.status import Condition
from serin.api.status import ConditionType
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.registries import Registries
from serin.controller.telemetry import Telemetry
from tests.unit.controller.fake_api import FakeApi
from tests.unit.controller.virtual import VirtualTime
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling

FRAUD, SPAM = Key("payments", "fraud"), Key("payments", "spam")


@pytest.fixture
def event_loop_policy() -> VirtualTime:
    return VirtualTime()


def series(telemetry: Telemetry, prefix: str) -> dict[str, float]:
    lines = generate_latest(telemetry.registry).decode().splitlines()
    found = [line.rsplit(" ", 1) for line in lines if line.startswith(prefix)]
    return {name: float(value) for name, value in found}


def whose(name: str) -> str:
    return f'modeldeployment="{name}",modeldeployment_namespace="payments"'


def test_where_a_deployment_is() -> None:
    telemetry, scene = Telemetry(), rolling({10: "5m"})
    telemetry.decided(FRAUD, healthy().status)
    telemetry.decided(SPAM, healthy().status)
    scene.run(60)
    telemetry.decided(FRAUD, scene.status)
    assert series(telemetry, "serin_modeldeployment_phase") == {
        f'serin_modeldeployment_phase{{{whose("fraud")},phase="Progressing"}}': 1,
        f'serin_modeldeployment_phase{{{whose("spam")},phase="Healthy"}}': 1,
    }
    weight = f"serin_modeldeployment_candidate_weight{{{whose('fraud')}}}"
    assert series(telemetry, "serin_modeldeployment_candidate_weight")[weight] == 10


def test_the_weights_are_those_of_the_gateway() -> None:
    telemetry, scene = Telemetry(), rolling({10: "5m"})
    scene.run(60)
    telemetry.decided(FRAUD, scene.status)
    shares = {share.version: share for share in scene.status.traffic}
    assert series(telemetry, "serin_modeldeployment_traffic_weight") == {
        f"serin_modeldeployment_traffic_weight{{{whose('fraud')},"
        f'revision="{shares[version].revision}",version="{version}"}}': weight
        for version, weight in (("v1", 90), ("v2", 10))
    }
    scene.run(400)
    telemetry.decided(FRAUD, scene.status)
    assert list(series(telemetry, "serin_modeldeployment_traffic_weight").values()) == [100]


def test_conditions_with_their_reasons() -> None:
    telemetry, scene = Telemetry(), rolling({10: "5m"})
    scene.run(60)

    def told() -> set[str]:
        telemetry.decided(FRAUD, scene.status)
        found = series(telemetry, "serin_modeldeployment_condition")
        assert set(found.values()) == {1}
        return {name.removeprefix("serin_modeldeployment_condition{condition=").split(",modeld")[0] for name in found}

    assert told() == {'"Available"', '"Ready"'}
    assert 'reason="Progressing",status="False"' in "".join(series(telemetry, "serin_modeldeployment_condition"))
    scene.status = scene.status.model_copy(
        update={"conditions": (*scene.status.conditions, condition(ConditionType.STALLED, Reason.ROLLED_BACK))}
    )
    assert told() == {'"Available"', '"Ready"', '"Stalled"'}
    scene.status = scene.status.model_copy(update={"conditions": ()})
    assert series(telemetry, "serin_modeldeployment_condition") != {}
    telemetry.decided(FRAUD, scene.status)
    assert series(telemetry, "serin_modeldeployment_condition") == {}


def condition(of: ConditionType, reason: Reason) -> Condition:
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    return Condition(type=of, status="True", reason=reason, observed_generation=1, last_transition_time=moment)


def test_the_series_of_a_deployment_end_with_it() -> None:
    telemetry = Telemetry()
    telemetry.decided(FRAUD, healthy().status)
    telemetry.gone(FRAUD)
    telemetry.gone(FRAUD)
    assert series(telemetry, "serin_modeldeployment") == {}
    telemetry.decided(FRAUD, healthy().status)
    # Phase, candidate's weight, Ready and Available, one revision's weight.
    assert len(series(telemetry, "serin_modeldeployment")) == 5


def test_no_label_is_one_that_prometheus_gives_the_pod() -> None:
    """It would be renamed to exported_… where the pod's own label is there too."""
    telemetry, scene = Telemetry(), rolling({10: "5m"})
    scene.run(400)
    telemetry.decided(FRAUD, scene.status)
    telemetry.ended(FRAUD, scene.status.history[0])
    labels = {label for family in telemetry.registry.collect() for one in family.samples for label in one.labels}
    assert {"modeldeployment", "outcome"} <= labels
    assert not labels & {"namespace", "pod", "container", "job", "instance", "endpoint", "service"}


def test_rollouts_that_ended() -> None:
    telemetry, scene = Telemetry(), rolling({10: "5m"})
    scene.run(400)
    telemetry.ended(FRAUD, scene.status.history[0])
    assert series(telemetry, "serin_rollouts_total") == {
        'serin_rollouts_total{modeldeployment_namespace="payments",outcome="Promoted",reason="Promoted"}': 1
    }
    assert series(telemetry, "serin_rollout_duration_seconds_sum") == {
        'serin_rollout_duration_seconds_sum{outcome="Promoted"}': 310
    }


def test_of_a_namespace_that_is_gone_no_rollout_is_counted() -> None:
    """Namespaces may be made for each change that is tried, and their series would stay for ever."""
    telemetry, scene = Telemetry(), rolling({10: "5m"})
    scene.run(400)
    registries = Registries("serin-system", FakeApi().client, Queue(), telemetry, lambda: START)
    for number in range(3):
        telemetry.ended(Key(f"preview-{number}", "fraud"), scene.status.history[0])
    for number in (0, 2, 7):
        registries.take_namespace("DELETED", {"metadata": {"name": f"preview-{number}"}})
    assert list(series(telemetry, "serin_rollouts_total")) == [
        'serin_rollouts_total{modeldeployment_namespace="preview-1",outcome="Promoted",reason="Promoted"}'
    ]


def test_registries() -> None:
    telemetry = Telemetry()
    telemetry.registry_polled("a", up=False, followed=3)
    assert series(telemetry, "serin_registry") == {
        'serin_registry_up{registry="a"}': 0,
        'serin_registry_models_followed{registry="a"}': 3,
    }
    telemetry.registry_polled("a", up=True, followed=4)
    assert series(telemetry, "serin_registry_up") == {'serin_registry_up{registry="a"}': 1}
    telemetry.registry_gone("a")
    telemetry.registry_gone("a")
    assert series(telemetry, "serin_registry") == {}


def test_when_registries_were_polled_is_read_when_it_is_asked_for() -> None:
    telemetry = Telemetry()
    polled: dict[str, datetime] = {}
    telemetry.watch_registries(lambda: polled)
    assert series(telemetry, "serin_registry") == {}
    polled["a"] = datetime(2026, 11, 20, tzinfo=UTC)
    assert list(series(telemetry, "serin_registry_last").values()) == [polled["a"].timestamp()]
    polled.clear()
    assert series(telemetry, "serin_registry") == {}


async def test_the_queue_under_client_gos_names() -> None:
    telemetry, queue = Telemetry(), Queue()
    now = asyncio.get_running_loop().time
    telemetry.watch_queue(queue, 4, lambda: now() + 10)
    queue.add(FRAUD)
    queue.add(SPAM)
    queue.add(SPAM)
    await queue.get()
    queue.failed(FRAUD)
    found = {name.split("{")[0]: value for name, value in series(telemetry, "workqueue_").items()}
    assert found["workqueue_depth"] == 1
    assert (found["workqueue_adds_total"], found["workqueue_retries_total"]) == (2, 1)
    for name in ("unfinished_work_seconds", "longest_running_processor_seconds"):
        assert 10 <= found[f"workqueue_{name}"] < 11
    active = series(telemetry, "controller_runtime_active_workers")
    assert list(active.values()) == [1]
    assert list(series(telemetry, "controller_runtime_max_concurrent_reconciles").values()) == [4]


def test_the_first_error_is_a_step_from_zero() -> None:
    """Else a rate, which needs two samples, would not see it."""
    telemetry = Telemetry()
    before = series(telemetry, "controller_runtime_reconcile")
    errors = 'controller_runtime_reconcile_errors_total{controller="modeldeployment"}'
    of_result = 'controller_runtime_reconcile_total{controller="modeldeployment",result="error"}'
    assert (before[errors], before[of_result]) == (0, 0)


def test_requests_and_reconciles() -> None:
    telemetry = Telemetry()
    telemetry.request("GET", 200, 0.1)
    telemetry.request("GET", 0, 5)
    telemetry.reconciled("success", 0.1, 0.2)
    telemetry.reconciled("error", 0.1, 0.2)
    assert series(telemetry, "rest_client_requests_total") == {
        'rest_client_requests_total{code="200",method="GET"}': 1,
        'rest_client_requests_total{code="<error>",method="GET"}': 1,
    }
    assert list(series(telemetry, "controller_runtime_reconcile_errors_total").values()) == [1]
    assert sum(series(telemetry, "controller_runtime_reconcile_total").values()) == 2
