"""Each alert fires when it shall and at no other time, by promtool on the rules as the chart renders them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

import pytest
import yaml

from charts import generate
from e2e import tools
from tests.chart.rendered import Json
from tests.chart.rendered import render

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

WHOSE = 'modeldeployment_namespace="payments",modeldeployment="fraud"'
FRAUD = {"modeldeployment_namespace": "payments", "modeldeployment": "fraud"}
OPERATOR = 'namespace="serin-system",pod="serin-1",instance="10.0.0.1:8080",job="pods"'
PODS = 'namespace="payments",serin_dev_modeldeployment="fraud",serin_dev_revision="fraud-v1-aaaaaaaa"'

# A day and a half of an operator and one model, both well.
LENGTH = 2160
HEALTHY = {
    f'serin_modeldeployment_phase{{{WHOSE},phase="Healthy",{OPERATOR}}}': f"1x{LENGTH}",
    f'serin_modeldeployment_condition{{{WHOSE},condition="Ready",status="True",reason="Healthy",{OPERATOR}}}': (
        f"1x{LENGTH}"
    ),
    f'serin_modeldeployment_condition{{{WHOSE},condition="Available",status="True",reason="Serving",{OPERATOR}}}': (
        f"1x{LENGTH}"
    ),
    f"serin_modeldeployment_candidate_weight{{{WHOSE},{OPERATOR}}}": f"0x{LENGTH}",
    f'up{{{PODS},instance="10.0.0.2:8082",job="pods"}}': f"1x{LENGTH}",
    f'workqueue_depth{{name="modeldeployment",{OPERATOR}}}': f"0x{LENGTH}",
    f"process_start_time_seconds{{{OPERATOR}}}": f"1700000000x{LENGTH}",
    f'controller_runtime_reconcile_total{{controller="modeldeployment",result="success",{OPERATOR}}}': f"0+6x{LENGTH}",
    f'controller_runtime_reconcile_total{{controller="modeldeployment",result="error",{OPERATOR}}}': f"0x{LENGTH}",
    f'controller_runtime_reconcile_errors_total{{controller="modeldeployment",{OPERATOR}}}': f"0x{LENGTH}",
    f'rest_client_requests_total{{method="GET",code="200",{OPERATOR}}}': f"0+60x{LENGTH}",
    f'serin_registry_up{{registry="default",{OPERATOR}}}': f"1x{LENGTH}",
    f'serin_prometheus_requests_total{{result="success",{OPERATOR}}}': f"0+6x{LENGTH}",
    f'serin_prometheus_requests_total{{result="error",{OPERATOR}}}': f"0x{LENGTH}",
}
CANDIDATE_WEIGHT = f"serin_modeldeployment_candidate_weight{{{WHOSE},{OPERATOR}}}"


@dataclass(frozen=True)
class Case:
    """A trouble that begins at minute 0: series that are other than they are while all is well."""

    alert: str | None
    series: dict[str, str] = field(default_factory=dict)
    """Part of a series' name to its values; one that is not among HEALTHY's is added."""
    silent: int = 0
    """The last minute at which nothing fires yet."""
    fires: int = 60
    labels: dict[str, str] = field(default_factory=dict)
    value: str = ""
    """As the annotations have it."""


def condition(name: str, status: str, reason: str) -> str:
    return (
        f'serin_modeldeployment_condition{{{WHOSE},condition="{name}",status="{status}",reason="{reason}",{OPERATOR}}}'
    )


def phase(name: str) -> str:
    return f'serin_modeldeployment_phase{{{WHOSE},phase="{name}",{OPERATOR}}}'


CASES = {
    "all is well": Case(None, fires=LENGTH),
    "no replica is ready": Case(
        "SerinStableUnavailable",
        {
            condition("Available", "True", "Serving"): "_",
            condition("Available", "False", "StableUnavailable"): "1x60",
            # Down, and still scraped: of a pod that runs but does not answer.
            f'up{{{PODS},instance="10.0.0.2:8082",job="pods"}}': "0x60",
        },
        silent=0,
        fires=2,
        labels=FRAUD,
    ),
    "the version in use is down, and a candidate answers its own part": Case(
        "SerinStableUnavailable",
        {
            condition("Available", "True", "Serving"): "_",
            condition("Available", "True", "StableUnavailable"): "1x60",
            CANDIDATE_WEIGHT: "10x60",
        },
        silent=0,
        fires=2,
        labels=FRAUD,
    ),
    "the version in use is down, and nobody misses it": Case(
        None,
        {
            condition("Available", "True", "Serving"): "_",
            condition("Available", "True", "StableUnavailable"): "1x60",
            CANDIDATE_WEIGHT: "100x60",
        },
    ),
    "the first revision is on its way": Case(
        None,
        {
            condition("Available", "True", "Serving"): "_",
            condition("Available", "False", "Deploying"): "1x60",
            f'up{{{PODS},instance="10.0.0.2:8082",job="pods"}}': "_",
        },
    ),
    "a candidate was taken back": Case(
        "SerinRolloutStalled",
        {condition("Stalled", "True", "RolledBack"): "1x60"},
        silent=4,
        fires=6,
        labels={**FRAUD, "reason": "RolledBack"},
    ),
    "stalled for a moment": Case(None, {condition("Stalled", "True", "RegistryRefused"): "1x4 _x30"}),
    "nobody approves": Case(
        "SerinRolloutWaits",
        {phase("Healthy"): "_", phase("AwaitingApproval"): f"1x{LENGTH}"},
        silent=23 * 60,
        fires=24 * 60 + 1,
        labels={**FRAUD, "phase": "AwaitingApproval"},
    ),
    "nobody approves, and the operator is started anew": Case(
        "SerinRolloutWaits",
        {
            phase("Healthy"): "_",
            phase("AwaitingApproval"): "1x700 stale",
            phase("AwaitingApproval").replace("10.0.0.1", "10.0.0.7"): f"_x711 1x{LENGTH - 711}",
        },
        silent=23 * 60,
        fires=24 * 60 + 1,
        labels={**FRAUD, "phase": "AwaitingApproval"},
    ),
    "a step was approved, and the next one waits": Case(
        None,
        {
            phase("Healthy"): "_",
            phase("AwaitingApproval"): f"1x700 stale _x4 1x{LENGTH - 706}",
            phase("Progressing"): "_x700 1x4 stale",
        },
        silent=24 * 60 + 1,
        fires=24 * 60 + 60,
    ),
    "a rollout goes on": Case(None, {phase("Healthy"): "_", phase("Progressing"): f"1x{LENGTH}"}, fires=LENGTH),
    "no pod of the model is scraped": Case(
        "SerinModelNotScraped",
        {
            f'up{{{PODS},instance="10.0.0.2:8082",job="pods"}}': "_",
            'up{namespace="other",serin_dev_modeldeployment="fraud",serin_dev_revision="x",job="pods"}': "1x60",
        },
        silent=14,
        fires=16,
        labels=FRAUD,
    ),
    "a pod is scraped by two jobs": Case(
        "SerinModelScrapedTwice",
        {f'up{{{PODS},instance="10.0.0.2:8082",job="services"}}': "1x60"},
        silent=14,
        fires=16,
        labels={"namespace": "payments", "serin_dev_modeldeployment": "fraud", "instance": "10.0.0.2:8082"},
    ),
    "two pods are scraped": Case(None, {f'up{{{PODS},instance="10.0.0.3:8082",job="pods"}}': "1x60"}),
    "the operator is gone": Case(
        "SerinOperatorDown",
        # All of its series end.
        dict.fromkeys([name for name in HEALTHY if OPERATOR in name], "_"),
        silent=4,
        fires=6,
        labels={"name": "modeldeployment"},
    ),
    "another program has a queue": Case(
        "SerinOperatorDown",
        {
            **dict.fromkeys([name for name in HEALTHY if OPERATOR in name], "_"),
            'workqueue_depth{name="deployment",job="others"}': "0x60",
        },
        fires=6,
        labels={"name": "modeldeployment"},
    ),
    "the operator crashes again and again": Case(
        "SerinOperatorRestarts",
        {"process_start_time_seconds": "1 1 1 1 1 1 1 1 1 2 2 3 3 3 4 4 5 5 5 5 5"},
        silent=9,
        fires=18,
        labels={"namespace": "serin-system"},
    ),
    "another program crashes again and again": Case(
        None, {'process_start_time_seconds{instance="10.0.0.9:1",job="pods"}': "0+1x60"}
    ),
    "nothing is taken from the queue": Case(
        "SerinNotReconciling",
        {
            "workqueue_depth": "3x60",
            'controller_runtime_reconcile_total{controller="modeldeployment",result="success"': "7x60",
        },
        silent=3,
        fires=16,
    ),
    "the queue is long and worked on": Case(None, {"workqueue_depth": "300x60"}),
    "nothing happens and nothing is to do": Case(
        None, {'controller_runtime_reconcile_total{controller="modeldeployment",result="success"': "7x60"}
    ),
    "half of all reconciles fail": Case(
        "SerinReconcileErrors",
        {
            'controller_runtime_reconcile_total{controller="modeldeployment",result="error"': "0+6x60",
            "controller_runtime_reconcile_errors_total": "0+6x60",
        },
        silent=9,
        fires=30,
        value="50%",
    ),
    "one reconcile in a hundred fails": Case(
        None,
        {
            'controller_runtime_reconcile_total{controller="modeldeployment",result="success"': "0+99x60",
            'controller_runtime_reconcile_total{controller="modeldeployment",result="error"': "0+1x60",
            "controller_runtime_reconcile_errors_total": "0+1x60",
        },
    ),
    "a permission is missing": Case(
        "SerinApiRequestsFail",
        {f'rest_client_requests_total{{method="PATCH",code="403",{OPERATOR}}}': "0+20x60"},
        silent=9,
        fires=30,
        value="25%",
    ),
    "conflicts": Case(None, {f'rest_client_requests_total{{method="PATCH",code="409",{OPERATOR}}}': "0+60x60"}),
    "requests of others fail": Case(
        None, {'rest_client_requests_total{method="PATCH",code="403",instance="10.0.0.9:1",job="pods"}': "0+60x60"}
    ),
    "Prometheus does not answer the operator": Case(
        "SerinMeasurementsFail",
        {
            'serin_prometheus_requests_total{result="success"': "5x60",
            'serin_prometheus_requests_total{result="error"': "0+6x60",
        },
        silent=9,
        fires=30,
        value="100%",
    ),
    "nothing is judged": Case(None, {'serin_prometheus_requests_total{result="success"': "5x60"}),
    "the registry does not answer": Case(
        "SerinRegistryDown", {"serin_registry_up": "0x60"}, silent=4, fires=6, labels={"registry": "default"}
    ),
}


@pytest.fixture(scope="module")
def groups() -> list[Json]:
    rule = render({"metrics.alerts.enabled": True}).one("PrometheusRule")
    found: list[Json] = rule["spec"]["groups"]
    return found


@pytest.fixture(scope="module")
def rules(groups: list[Json]) -> dict[str, Json]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(*arguments: str) -> str:
    done = subprocess.run([str(tools.binary("promtool")), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def series(case: Case) -> list[Json]:
    values, added = dict(HEALTHY), dict(case.series)
    for name in HEALTHY:
        for part in case.series:
            if name.startswith(part):
                values[name] = added.pop(part)
    return [{"series": name, "values": one} for name, one in {**values, **added}.items()]


def expected(rule: Json, case: Case) -> Json:
    """The alert with everything filled in. A label that a text names and the alert has not fails here."""

    def filled(text: str) -> str:
        text = text.replace("{{ $value | humanizePercentage }}", case.value or "?")
        return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: case.labels[found[1]], text)

    texts = {key: filled(text) for key, text in rule["annotations"].items()}
    labels = {key: filled(text) for key, text in rule["labels"].items()}
    return {"exp_labels": {**case.labels, **labels}, "exp_annotations": texts}


@pytest.mark.parametrize("what", CASES)
def test_alert_fires_then_and_only_then(groups: list[Json], rules: dict[str, Json], tmp_path: Path, what: str) -> None:
    case = CASES[what]
    looked_at = []
    for name, rule in rules.items():
        alerts = [expected(rule, case)] if name == case.alert else []
        looked_at.append({"eval_time": f"{case.fires}m", "alertname": name, "exp_alerts": alerts})
        looked_at.append({"eval_time": f"{case.silent}m", "alertname": name, "exp_alerts": []})
    test = {"name": what, "interval": "1m", "input_series": series(case), "alert_rule_test": looked_at}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}))
    promtool("test", "rules", str(file))


def test_every_alert_has_a_case(rules: dict[str, Json]) -> None:
    assert {case.alert for case in CASES.values()} - {None} == rules.keys()


def test_prometheus_finds_nothing_wrong_with_the_rules(groups: list[Json], tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(file))


def test_the_file_is_one_for_prometheus_itself() -> None:
    """For those who use no Prometheus operator."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(generate.CHART / "rules" / "serin.yaml"))
