"""ModelDeployments that admission refuses or accepts: the API server and ``serin render`` must agree on each.

Each is a merge patch over the smallest one.
"""

from __future__ import annotations

from typing import Any

from tests.unit.api.test_api_gates import ACCEPTED as ACCEPTED_GATES
from tests.unit.api.test_api_gates import REFUSED as REFUSED_GATES
from tests.unit.api.test_api_gates import REFUSED_BY_SCHEMA

Json = dict[str, Any]

DEPLOYMENT: Json = {"metadata": {"name": "fraud"}, "spec": {"model": {"name": "fraud-detector", "version": 13}}}


def serving(**fields: Any) -> Json:
    return {"spec": {"serving": fields}}


def env(*variables: Json) -> Json:
    return serving(env=list(variables))


def rollout(**fields: Any) -> Json:
    return {"spec": {"rollout": fields}}


def slower_than(threshold: str) -> Json:
    check = {"name": "slow", "measure": "SlowerThan", "threshold": threshold, "notWorseThanStable": {}}
    return rollout(analysis={"checks": [check]})


def matching(headers: Json) -> Json:
    return rollout(steps=[{"weight": 5, "hold": "1m", "match": {"headers": headers}}])


def steps(*weights: int) -> Json:
    return rollout(steps=[{"weight": weight, "hold": "1m"} for weight in weights])


def gateways(*changes: Json) -> Json:
    """References that are alike but for these changes."""
    return {"spec": {"traffic": {"gateways": [{"name": "public", "namespace": "gateways", **one} for one in changes]}}}


TWICE: dict[str, list[Json]] = {
    "alike": [{}],
    "once with a section": [{"sectionName": "https"}],
    "far apart": [{"namespace": "other"}, {"name": "private"}, {}],
}

# What is wrong, and the words of the refusal: the field, and where a rule of ours speaks, the remedy.
REFUSED_DEPLOYMENTS: dict[str, tuple[Json, tuple[str, ...]]] = {
    "version and alias": (
        {"spec": {"model": {"alias": "champion"}}},
        ("spec.model", "exactly one of spec.model.version and spec.model.alias must be set"),
    ),
    "neither version nor alias": (
        {"spec": {"model": {"version": None}}},
        ("exactly one of spec.model.version and spec.model.alias must be set",),
    ),
    "no model": ({"spec": {"model": None}}, ("spec.model", "Required value")),
    "no model name": ({"spec": {"model": {"name": None}}}, ("spec.model.name", "Required value")),
    "slash in the model name": ({"spec": {"model": {"name": "a/b"}}}, ("spec.model.name", "should match")),
    "version zero": ({"spec": {"model": {"version": 0}}}, ("spec.model.version", "greater than or equal to 1")),
    "version in words": ({"spec": {"model": {"version": "latest"}}}, ("spec.model.version", "must be of type integer")),
    "version in quotes": ({"spec": {"model": {"version": "13"}}}, ("spec.model.version", "must be of type integer")),
    "version that is true": ({"spec": {"model": {"version": True}}}, ("spec.model.version", "must be of type integer")),
    "alias with a space": (
        {"spec": {"model": {"version": None, "alias": "the champion"}}},
        ("spec.model.alias", "should match"),
    ),
    "alias with a slash": (
        {"spec": {"model": {"version": None, "alias": "a/b"}}},
        ("spec.model.alias", "should match"),
    ),
    "alias with a newline": (
        {"spec": {"model": {"version": None, "alias": "champion\n"}}},
        ("spec.model.alias", "should match"),
    ),
    "registry that is no name": (
        {"spec": {"model": {"registry": "Default!"}}},
        ("spec.model.registry", "should match"),
    ),
    "weight above 100": (steps(101), ("spec.rollout.steps[0].weight", "less than or equal to 100")),
    "weight below 0": (steps(-1), ("spec.rollout.steps[0].weight", "greater than or equal to 0")),
    "weight in parts of a percent": (
        rollout(steps=[{"weight": 0.5, "hold": "1m"}]),
        ("spec.rollout.steps[0].weight", "must be of type integer"),
    ),
    "falling weights": (steps(50, 10), ("spec.rollout", "weights of spec.rollout.steps must not fall")),
    "falling again": (steps(1, 50, 10), ("weights of spec.rollout.steps must not fall from one step to the next",)),
    "step without a hold": (
        rollout(steps=[{"weight": 5}]),
        ("spec.rollout.steps[0]", "hold of spec.rollout.steps must be set, or approval: true"),
    ),
    "mirror of nothing": (
        rollout(steps=[{"weight": 5, "hold": "1m", "mirror": 0}]),
        ("spec.rollout.steps[0].mirror", "greater than or equal to 1"),
    ),
    "match without a header": (
        rollout(steps=[{"weight": 5, "hold": "1m", "match": {"headers": {}}}]),
        ("spec.rollout.steps[0].match.headers", "at least 1 properties"),
    ),
    "match of no header": (matching({"x cohort": "beta"}), ("match.headers of spec.rollout.steps must be names",)),
    "match of a header twice": (
        matching({"x-cohort": "beta", "X-Cohort": "beta"}),
        ("must name each header once, whatever its case",),
    ),
    "match of the operator's own header": (
        matching({"X-Serin-Revision": "stable"}),
        ("match.headers of spec.rollout.steps must not be x-serin-revision",),
    ),
    "policy beside steps": (
        rollout(policy="cautious", steps=[{"weight": 5, "hold": "1m"}]),
        ("spec.rollout", "spec.rollout.policy must stand alone", "belongs into the RolloutPolicy"),
    ),
    "policy beside a bake time": (rollout(policy="cautious", bake="1h"), ("spec.rollout.policy must stand alone",)),
    "policy beside a default": (rollout(policy="cautious", bake="0s"), ("spec.rollout.policy must stand alone",)),
    "analysis of nothing": (
        rollout(analysis={"minRequests": 1000}),
        ("spec.rollout.analysis needs spec.rollout.analysis.checks: without one nothing is judged",),
    ),
    "analysis of an empty list": (
        rollout(analysis={"checks": []}, onFailure="Freeze"),
        ("spec.rollout.analysis needs spec.rollout.analysis.checks",),
    ),
    "failure of no check": (
        rollout(onFailure="Rollback"),
        ("spec.rollout.onFailure says what happens when a check fails: set spec.rollout.analysis",),
    ),
    "bake of two years": (rollout(bake="17520h"), ("spec.rollout.bake must be at most 8760h",)),
    "deadline of nothing": (rollout(deadline="0s"), ("spec.rollout.deadline must be above 0s",)),
    "end of no deadline": (
        rollout(onInconclusive="Rollback"),
        ("spec.rollout.onInconclusive says what happens at the deadline: set spec.rollout.deadline",),
    ),
    "unknown end of a deadline": (
        rollout(deadline="1h", onInconclusive="Hope"),
        ("spec.rollout.onInconclusive", 'supported values: "Hold", "Rollback", "Promote"'),
    ),
    "too many steps": (steps(*range(21)), ("spec.rollout.steps", "must have at most 20 items")),
    "hold without a unit": (
        rollout(steps=[{"weight": 5, "hold": "5"}]),
        ("spec.rollout.steps[0].hold", "should match"),
    ),
    "hold that is a number": (
        rollout(steps=[{"weight": 5, "hold": 300}]),
        ("spec.rollout.steps[0].hold", "must be of type string"),
    ),
    "hold of two years": (
        rollout(steps=[{"weight": 5, "hold": "17520h"}]),
        ("spec.rollout.steps[0]", "spec.rollout.steps[].hold must be at most 8760h"),
    ),
    "negative duration": (rollout(keepPrevious="-5m"), ("spec.rollout.keepPrevious", "should match")),
    "keepPrevious of two years": (rollout(keepPrevious="17520h"), ("spec.rollout.keepPrevious must be at most 8760h",)),
    "stableFor of a day": (
        rollout(readiness={"stableFor": "24h"}),
        ("spec.rollout.readiness", "spec.rollout.readiness.stableFor must be at most 1h"),
    ),
    "startupDeadline of two years": (
        serving(startupDeadline="17520h"),
        ("spec.serving.startupDeadline must be at least 10s and at most 8760h",),
    ),
    **{
        f"startupDeadline of {short}": (
            serving(startupDeadline=short),
            ("spec.serving.startupDeadline must be at least 10s and at most 8760h",),
        )
        for short in ("0s", "9999ms")
    },
    "threshold that no histogram can tell": (
        slower_than("4ms"),
        ("threshold of a check must be at least 5ms, where the model servers' histograms begin",),
    ),
    "timeout of nothing": ({"spec": {"traffic": {"timeout": "0s"}}}, ("spec.traffic.timeout must be above 0s",)),
    **{
        f"timeout of {timeout}": (
            {"spec": {"traffic": {"timeout": timeout}}},
            ("spec.traffic.timeout must have at most four parts", "2m in place of 120000ms"),
        )
        for timeout in ("120000ms", "604800s", "1h1m1s1ms1ms")
    },
    **{
        f"gateway that is named twice, {how}": (
            gateways({}, *others),
            ("spec.traffic.gateways must name each Gateway once", "a sectionName of its own"),
        )
        for how, others in TWICE.items()
    },
    "section that is named twice": (
        gateways({"sectionName": "https"}, {"sectionName": "http"}, {"sectionName": "https"}),
        ("spec.traffic.gateways must name each Gateway once",),
    ),
    "gateway in no namespace that can be": (
        gateways({"namespace": "gate.ways"}),
        ("spec.traffic.gateways[0].namespace", "should match"),
    ),
    "gateway in a namespace of 64 characters": (
        gateways({"namespace": "g" * 64}),
        ("spec.traffic.gateways[0].namespace", "may not be more than 63"),
    ),
    "maxReplicas below minReplicas": (
        serving(minReplicas=3, maxReplicas=2),
        ("spec.serving", "spec.serving.maxReplicas must not be below spec.serving.minReplicas"),
    ),
    "maxReplicas below the default of minReplicas": (serving(maxReplicas=0), ("spec.serving.maxReplicas",)),
    "replicas in quotes": (serving(minReplicas="2"), ("spec.serving.minReplicas", "must be of type integer")),
    "no replicas": (serving(minReplicas=0), ("spec.serving.minReplicas", "greater than or equal to 1")),
    "scaling of a fixed number": (
        serving(minReplicas=2, scaling={"metric": "CPU"}),
        ("spec.serving.scaling needs spec.serving.maxReplicas above spec.serving.minReplicas",),
    ),
    "scaling by luck": (
        serving(maxReplicas=2, scaling={"metric": "Luck"}),
        ("spec.serving.scaling.metric", 'supported values: "CPU", "Memory"'),
    ),
    "target above 100 percent": (
        serving(maxReplicas=2, scaling={"target": 101}),
        ("spec.serving.scaling.target", "less than or equal to 100"),
    ),
    "unknown backend": (serving(backend="Ray"), ("spec.serving.backend", 'supported values: "KServe"')),
    "unknown protocol": (serving(protocol="v3"), ("spec.serving.protocol", 'supported values: "v1", "v2"')),
    "quantity of bananas": (
        serving(resources={"requests": {"memory": "2 bananas"}}),
        ("spec.serving.resources.requests.memory", "should match"),
    ),
    "quantity in small letters": (
        serving(resources={"requests": {"memory": "2gb"}}),
        ("spec.serving.resources.requests.memory", "should match"),
    ),
    "no workers": (serving(workers=0), ("spec.serving.workers", "greater than or equal to 1")),
    "variable with two sources": (
        env({"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
        ("spec.serving.env[0]", "exactly one of value and valueFrom must be set"),
    ),
    "variable without a value": (env({"name": "A"}), ("exactly one of value and valueFrom must be set",)),
    "variable from two places": (
        env({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "a"}, "secretKeyRef": {"name": "s", "key": "k"}}}),
        ("exactly one of secretKeyRef, configMapKeyRef and fieldRef must be set",),
    ),
    "variable of the operator's own": (
        env({"name": "MLSERVER_MODEL_NAME", "value": "x"}),
        ("spec.serving.env must not set", "MLSERVER_MODEL_NAME", "use spec.serving.workers for processes"),
    ),
    "variable that KServe refuses": (env({"name": "PYTHONPATH", "value": "x"}), ("spec.serving.env must not set",)),
    "variable that is named twice": (
        env({"name": "A", "value": "1"}, {"name": "B", "value": "1"}, {"name": "A", "value": "2"}),
        ("spec.serving.env must name each variable once: remove the other entry",),
    ),
    "variables that leave no room for a status": (
        env(*({"name": f"A{number}", "value": "x" * 32768} for number in range(8)), {"name": "B", "value": "x"}),
        ("values of env must not be longer than 262144 characters together", "put them into a ConfigMap"),
    ),
    "host name with a path": (
        {"spec": {"traffic": {"hostnames": ["example.com/fraud"]}}},
        ("spec.traffic.hostnames[0]", "should match"),
    ),
    "gateway without a namespace": (
        {"spec": {"traffic": {"gateways": [{"name": "public"}]}}},
        ("spec.traffic.gateways[0].namespace", "Required value"),
    ),
    "unknown field": ({"spec": {"replicas": 2}}, ('unknown field "spec.replicas"',)),
    "unknown field far down": (
        rollout(steps=[{"weight": 5, "hold": "1m", "wait": "1m"}]),
        ('unknown field "spec.rollout.steps[0].wait"',),
    ),
    "name of 51 characters": (
        {"metadata": {"name": "a" * 51}},
        ("metadata.name must be at most 50", "it becomes part of host names"),
    ),
    **{f"gates: {name}": (rollout(gates=gates), ("gates", words)) for name, (gates, words) in REFUSED_GATES.items()},
    **{
        f"gates: {name}": (rollout(gates=gates), ("gates", words)) for name, (gates, words) in REFUSED_BY_SCHEMA.items()
    },
    "name with a dot": ({"metadata": {"name": "fraud.eu"}}, ("metadata.name must be",)),
    "name that begins with a digit": ({"metadata": {"name": "1fraud"}}, ("metadata.name must be",)),
    "suspend in words": ({"spec": {"suspend": "yes"}}, ("spec.suspend", "must be of type boolean")),
}

ACCEPTED_DEPLOYMENTS: dict[str, Json] = {
    "the shortest": {},
    "an alias": {"spec": {"model": {"version": None, "alias": "champion"}}},
    "an alias as MLflow allows it": {"spec": {"model": {"version": None, "alias": "größer_本番-2"}}},
    "a model name as MLflow allows it": {"spec": {"model": {"name": "Fraud Detector (EU) ü №1"}}},
    "equal weights": steps(0, 0, 10, 10, 100),
    "a step that passes at once": rollout(steps=[{"weight": 5, "hold": "0s"}]),
    "a policy": rollout(policy="cautious"),
    "every kind of step": rollout(
        steps=[
            {"weight": 0, "mirror": 20, "hold": "10m"},
            {"weight": 0, "approval": True},
            {"weight": 1, "hold": "30m", "match": {"headers": {"x-cohort": "beta", "Accept-Language": "de"}}},
            {"weight": 25, "hold": "10m", "approval": True},
        ],
        bake="30m",
        deadline="4h",
        onInconclusive="Promote",
    ),
    **{f"gates: {name}": rollout(gates=gates) for name, gates in ACCEPTED_GATES.items()},
    "durations of several parts": rollout(keepPrevious="1h30m", readiness={"stableFor": "500ms"}),
    "autoscaling": serving(minReplicas=2, maxReplicas=6, scaling={"metric": "CPU", "target": 70}),
    "maxReplicas as many as minReplicas": serving(minReplicas=2, maxReplicas=2),
    "quantities": serving(resources={"requests": {"cpu": 1, "memory": "2Gi"}, "limits": {"memory": "2e9"}}),
    "a GPU by overrides": serving(overrides={"model": {"resources": {"limits": {"nvidia.com/gpu": 1}}}}),
    "variables": env(
        {"name": "OMP_NUM_THREADS", "value": "1"},
        {"name": "EMPTY", "value": ""},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}},
    ),
    "as many variables as there may be": env(
        *({"name": f"A{number}", "value": "x" * 4096} for number in range(63)), {"name": "B", "value": "x" * 4096}
    ),
    "a startupDeadline as short as can be": serving(startupDeadline="10s"),
    "a threshold where the histograms begin": slower_than("5ms"),
    "everything of traffic": {
        "spec": {
            "traffic": {
                "hostnames": ["fraud.example.com", "*.models.example.com"],
                "gateways": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
                "timeout": "2m",
            }
        }
    },
    "the longest timeout in the smallest units": {"spec": {"traffic": {"timeout": "99999ms99999ms99s1h"}}},
    "gateways that have a name or a namespace in common": gateways({}, {"name": "private"}, {"namespace": "other"}),
    "two listeners of one gateway": gateways({"sectionName": "http"}, {"sectionName": "https"}),
    "a name of 50 characters": {"metadata": {"name": "a" * 50}},
    "suspended": {"spec": {"suspend": True}},
}
