"""Each value does what it says. A value that no line here sets fails the first test."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from charts import generate
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import REVISION_LABEL
from serin.api.kinds import VERSION_LABEL
from serin.cli import documents
from tests.chart.rendered import Json
from tests.chart.rendered import Rendered
from tests.chart.rendered import refusal
from tests.chart.rendered import render
from tests.chart.rendered import without_crds

DIGEST = f"sha256:{'ab' * 32}"
GATEWAY = {"name": "public", "namespace": "gateways", "sectionName": "https"}
RUNTIME = {"name": "triton", "server": "KServe", "protocol": "v2", "modelFormat": "onnx", "flavors": ["onnx"]}
TOLERATION = {"key": "infra", "operator": "Exists", "effect": "NoSchedule"}
AFFINITY: Json = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
RESOURCES = {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}
VARIABLE = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
PEER = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
POD_LABELS = (DEPLOYMENT_LABEL, REVISION_LABEL, VERSION_LABEL)
CANARY_NAMES = {"canary", "canary-view", "canary-edit"}
EGRESS = {"ports": [{"port": 443, "protocol": "TCP"}], "to": [PEER]}

Check = Callable[[Rendered], object]


def setting(name: str, value: Any) -> Check:
    return lambda chart: chart.settings[name] == value


def pod(*path: str, is_: Any) -> Check:
    def check(chart: Rendered) -> bool:
        found: Any = chart.pod
        for part in path:
            found = found[part]
        return bool(found == is_)

    return check


def annotated(kind: str, **expected: str) -> Check:
    return lambda chart: expected.items() <= chart.one(kind)["metadata"].get("annotations", {}).items()


def secret_rule(chart: Rendered) -> Json:
    (rule,) = chart.one("Role")["rules"]
    return dict(rule)


def _monitor(kind: str) -> Check:
    return lambda chart: chart.one(kind)["spec"]["selector"]["matchLabels"].items() <= labels(chart).items()


def _models(field: str, *, is_: Any) -> Check:
    """Of the PodMonitor for the pods of models."""
    return lambda chart: chart.one("PodMonitor")["spec"][field] == is_


def dashboards(chart: Rendered) -> Json:
    """The ConfigMap with the dashboards."""
    (found,) = [one for one in chart.all("ConfigMap") if one["metadata"]["name"] == "serin-dashboards"]
    return found


def alerts(chart: Rendered) -> dict[str, Json]:
    """The alerts by name."""
    groups = chart.one("PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def initializer(chart: Rendered) -> Json:
    """The container that fetches models through MLflow."""
    return dict(chart.one("ClusterStorageContainer")["spec"]["container"])


def labels(chart: Rendered) -> Json:
    return dict(chart.pod["metadata"]["labels"])


# What is set, and what must then be true. Further values that the first one only shows with stand beside it.
CASES: list[tuple[Json, Check]] = [
    ({"image.repository": "example.com/a/b"}, lambda c: c.container["image"].startswith("example.com/a/b:")),
    ({"image.tag": "main"}, lambda c: c.container["image"].endswith(":main")),
    ({"image.digest": DIGEST, "image.tag": "main"}, lambda c: c.container["image"].endswith(f"/operator@{DIGEST}")),
    ({"image.pullPolicy": "Always"}, lambda c: c.container["imagePullPolicy"] == "Always"),
    ({"imagePullSecrets": [{"name": "login"}]}, pod("spec", "imagePullSecrets", is_=[{"name": "login"}])),
    ({"fullnameOverride": "canary"}, lambda c: {o["metadata"]["name"] for o in ours(c)} == CANARY_NAMES),
    ({"settings.domain": "models.example.org"}, setting("domain", "models.example.org")),
    ({"settings.gateways": [GATEWAY]}, setting("gateways", [GATEWAY])),
    (
        {"settings.runtimes": [RUNTIME]},
        lambda c: c.settings["runtimes"][0]["model_format"] == "onnx" and len(c.settings["runtimes"]) == 1,
    ),
    ({"settings.workers": 32}, setting("workers", 32)),
    # A million, because Go writes large numbers of a template as 1e+06.
    ({"settings.requestsPerSecond": 1000000}, setting("requests_per_second", 1000000)),
    ({"settings.requestBurst": 1000000}, setting("request_burst", 1000000)),
    ({"settings.resyncSeconds": 0.5}, setting("resync_seconds", 0.5)),
    ({"settings.proxyLagSeconds": 0}, setting("proxy_lag_seconds", 0)),
    ({"settings.logLevel": "DEBUG"}, setting("log_level", "DEBUG")),
    ({"settings.logFormat": "text"}, setting("log_format", "text")),
    (
        {"settings.httpPort": 9090},
        lambda c: (
            c.settings["http_port"]
            == c.container["ports"][0]["containerPort"]
            == c.one("Service")["spec"]["ports"][0]["port"]
            == int(c.pod["metadata"]["annotations"]["prometheus.io/port"])
            == 9090
        ),
    ),
    (
        {"settings.prometheusUrl": "http://prom.monitoring.svc:9090"},
        setting("prometheus_url", "http://prom.monitoring.svc:9090"),
    ),
    (
        {"settings.prometheusMatchers": 'cluster="eu",replica!~"b|c"'},
        setting("prometheus_matchers", 'cluster="eu",replica!~"b|c"'),
    ),
    ({"storageInitializer.enabled": True}, setting("artifacts_through_mlflow", True)),
    (
        {"storageInitializer.image.repository": "example.com/a/b", "storageInitializer.enabled": True},
        lambda c: initializer(c)["image"].startswith("example.com/a/b:"),
    ),
    (
        {"storageInitializer.image.tag": "main", "storageInitializer.enabled": True},
        lambda c: initializer(c)["image"].endswith(":main"),
    ),
    (
        {"storageInitializer.image.digest": DIGEST, "storageInitializer.enabled": True},
        lambda c: initializer(c)["image"].endswith(f"/storage-initializer@{DIGEST}"),
    ),
    (
        {"storageInitializer.image.pullPolicy": "Always", "storageInitializer.enabled": True},
        lambda c: initializer(c)["imagePullPolicy"] == "Always",
    ),
    (
        {"storageInitializer.secretName": "login", "storageInitializer.enabled": True},
        lambda c: {one["valueFrom"]["secretKeyRef"]["name"] for one in initializer(c)["env"]} == {"login"},
    ),
    (
        {"storageInitializer.resources": RESOURCES, "storageInitializer.enabled": True},
        lambda c: all(RESOURCES[k].items() <= initializer(c)["resources"][k].items() for k in RESOURCES),
    ),
    ({"crds.install": False}, lambda c: not c.all("CustomResourceDefinition")),
    (
        {"crds.keep": False},
        lambda c: all("annotations" not in o["metadata"] for o in c.all("CustomResourceDefinition")),
    ),
    (
        {"serviceAccount.create": False, "serviceAccount.name": "theirs"},
        lambda c: not c.all("ServiceAccount") and c.pod["spec"]["serviceAccountName"] == "theirs",
    ),
    (
        {"serviceAccount.name": "mine"},
        lambda c: (
            {c.one("ServiceAccount")["metadata"]["name"], c.pod["spec"]["serviceAccountName"]}
            | {o["subjects"][0]["name"] for o in (c.one("RoleBinding"), c.one("ClusterRoleBinding"))}
            == {"mine"}
        ),
    ),
    ({"serviceAccount.annotations": {"a": "b"}}, annotated("ServiceAccount", a="b")),
    (
        {"rbac.create": False, "rbac.aggregate": False},
        lambda c: not [o for o in c.objects if "Role" in o["kind"]],
    ),
    (
        {"rbac.aggregate": False},
        lambda c: [o["metadata"]["name"] for o in c.all("ClusterRole")] == ["serin"],
    ),
    ({"rbac.secretNames": ["login", "ca"]}, lambda c: secret_rule(c)["resourceNames"] == ["login", "ca"]),
    # Merged with the defaults, as Helm merges maps.
    (
        {"resources": RESOURCES},
        lambda c: all(RESOURCES[k].items() <= c.container["resources"][k].items() for k in RESOURCES),
    ),
    ({"extraEnv": [VARIABLE]}, lambda c: VARIABLE in c.container["env"]),
    ({"podAnnotations": {"a": "b"}}, lambda c: c.pod["metadata"]["annotations"]["a"] == "b"),
    ({"podLabels": {"a": "b"}}, lambda c: labels(c)["a"] == "b"),
    ({"priorityClassName": "high"}, pod("spec", "priorityClassName", is_="high")),
    ({"nodeSelector": {"a": "b"}}, pod("spec", "nodeSelector", is_={"a": "b"})),
    ({"tolerations": [TOLERATION]}, pod("spec", "tolerations", is_=[TOLERATION])),
    ({"affinity": AFFINITY}, pod("spec", "affinity", is_=AFFINITY)),
    ({"metrics.scrapeAnnotations": False}, lambda c: set(c.pod["metadata"]["annotations"]) == {"checksum/settings"}),
    ({"metrics.monitor.kind": "PodMonitor"}, _monitor("PodMonitor")),
    ({"metrics.monitor.kind": "ServiceMonitor"}, _monitor("ServiceMonitor")),
    (
        {"metrics.monitor.interval": "5s", "metrics.monitor.kind": "PodMonitor"},
        lambda c: c.one("PodMonitor")["spec"]["podMetricsEndpoints"][0]["interval"] == "5s",
    ),
    (
        {"metrics.monitor.labels": {"release": "prometheus"}, "metrics.monitor.kind": "ServiceMonitor"},
        lambda c: c.one("ServiceMonitor")["metadata"]["labels"]["release"] == "prometheus",
    ),
    ({"metrics.podMonitor.enabled": True}, _models("podTargetLabels", is_=list(POD_LABELS))),
    (
        {"metrics.podMonitor.interval": "5s", "metrics.podMonitor.enabled": True},
        lambda c: c.one("PodMonitor")["spec"]["podMetricsEndpoints"][0]["interval"] == "5s",
    ),
    (
        {"metrics.podMonitor.labels": {"release": "prometheus"}, "metrics.podMonitor.enabled": True},
        lambda c: c.one("PodMonitor")["metadata"]["labels"]["release"] == "prometheus",
    ),
    (
        {"metrics.dashboards.enabled": True},
        lambda c: (
            dashboards(c)["metadata"]["labels"]["grafana_dashboard"] == "1"
            and dashboards(c)["data"].keys() == {"serin-modeldeployment.json", "serin-operator.json"}
        ),
    ),
    (
        {"metrics.dashboards.labels": {"other": "2"}, "metrics.dashboards.enabled": True},
        lambda c: dashboards(c)["metadata"]["labels"]["other"] == "2",
    ),
    (
        {"metrics.dashboards.annotations": {"grafana_folder": "Serin"}, "metrics.dashboards.enabled": True},
        lambda c: dashboards(c)["metadata"]["annotations"] == {"grafana_folder": "Serin"},
    ),
    ({"metrics.alerts.enabled": True}, lambda c: len(alerts(c)) > 10),
    (
        {"metrics.alerts.labels": {"release": "prometheus"}, "metrics.alerts.enabled": True},
        lambda c: c.one("PrometheusRule")["metadata"]["labels"]["release"] == "prometheus",
    ),
    (
        {"metrics.alerts.disabled": ["SerinModelNotScraped", "SerinRegistryDown"], "metrics.alerts.enabled": True},
        lambda c: (
            {"SerinModelScrapedTwice"} <= alerts(c).keys()
            and not {"SerinModelNotScraped", "SerinRegistryDown"} & alerts(c).keys()
        ),
    ),
    (
        {"metrics.alerts.runbooks": "https://wiki.example.com/serin", "metrics.alerts.enabled": True},
        lambda c: (
            alerts(c)["SerinOperatorDown"]["annotations"]["runbook_url"]
            == "https://wiki.example.com/serin#serinoperatordown"
        ),
    ),
    ({"networkPolicy.enabled": False}, lambda c: not c.all("NetworkPolicy")),
    ({"networkPolicy.from": [PEER]}, lambda c: c.one("NetworkPolicy")["spec"]["ingress"][0]["from"] == [PEER]),
    (
        {"networkPolicy.egress": [EGRESS]},
        lambda c: (
            c.one("NetworkPolicy")["spec"]["egress"] == [EGRESS]
            and c.one("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress", "Egress"]
        ),
    ),
]


def ours(chart: Rendered) -> list[Json]:
    """All objects that are named after the release."""
    return [one for one in chart.objects if one["kind"] != "CustomResourceDefinition"]


def _leaves(tree: Json, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*prefix, key))
        else:
            yield (*prefix, key)


def test_every_value_has_a_case() -> None:
    assert {value.name for value in generate.values()} == {next(iter(values)) for values, _ in CASES}


def test_every_value_has_a_comment() -> None:
    described = [value.path for value in generate.values()]
    tree = yaml.safe_load((generate.CHART / "values.yaml").read_text())
    bare = [leaf for leaf in _leaves(tree) if not any(leaf[: len(path)] == path for path in described)]
    assert not bare


@pytest.mark.parametrize(("values", "check"), CASES, ids=lambda one: "+".join(one) if isinstance(one, dict) else "")
def test_value_does_what_it_says(values: Json, check: Check) -> None:
    assert check(render({**without_crds(*values), **values}))


def test_no_check_is_true_of_the_defaults() -> None:
    """Else it could not fail."""
    idle = []
    for values, check in CASES:
        try:
            if check(render(without_crds(*values))):
                idle.append(values)
        except (KeyError, ValueError):  # what it looks at is not there
            continue
    assert not idle


def test_names_are_told_apart_from_another_release() -> None:
    named = Rendered(generate.render(release="other"))
    assert {one["metadata"]["name"] for one in ours(named)} == {"other-serin", "other-serin-view", "other-serin-edit"}


@pytest.mark.parametrize("release", ["1x", "my.release", "1serin"])
def test_a_release_whose_name_no_service_may_have_is_refused(release: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        generate.render(release=release)
    assert "the name of a Service begins with a letter and has no dot: set fullnameOverride" in refused.value.stderr
    named = Rendered(generate.render("--set=fullnameOverride=serin", "--set=crds.install=false", release=release))
    assert named.one("Service")["metadata"]["name"] == "serin"


def test_image_must_be_named() -> None:
    """Else the pod would wait for an image that nobody has, and `helm install` would call that deployed."""
    said = refusal({"image.repository": ""})
    assert "image.repository is empty" in said
    assert "operator/Dockerfile" in said


def test_image_of_the_storage_initializer_must_be_named() -> None:
    said = refusal({"storageInitializer.image.repository": "", "storageInitializer.enabled": True})
    assert "storageInitializer.image.repository is empty" in said
    assert "images/storage-initializer" in said


def test_nothing_stands_for_an_image_that_is_not_named() -> None:
    values = yaml.safe_load((generate.CHART / "values.yaml").read_text())
    assert (values["image"]["repository"], values["storageInitializer"]["image"]["repository"]) == ("", "")


def test_service_account_of_others_must_be_named() -> None:
    assert "name the service account to use" in refusal({"serviceAccount.create": False})


@cache
def parsed(document: str) -> list[Json]:
    return documents.parsed(document, "the chart")


@pytest.mark.parametrize(
    "values",
    [
        {"podAnnotations": {"prometheus.io/scrape": "false"}},
        {"podAnnotations": {"checksum/settings": "mine"}},
        {"metrics.monitor.labels": {"app.kubernetes.io/name": "theirs"}, "metrics.monitor.kind": "PodMonitor"},
        {"metrics.podMonitor.labels": {"app.kubernetes.io/name": "theirs"}, "metrics.podMonitor.enabled": True},
        {"metrics.alerts.labels": {"app.kubernetes.io/name": "theirs"}, "metrics.alerts.enabled": True},
        {"metrics.dashboards.labels": {"app.kubernetes.io/name": "theirs"}, "metrics.dashboards.enabled": True},
    ],
    ids=json.dumps,
)
def test_no_key_stands_twice(values: Json) -> None:
    """Helm takes the last one; kustomize, and with it Flux' post-renderers, refuse the whole."""
    found = [one for document in render(values).documents for one in parsed(document)]
    theirs = [one for one in found if one["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "theirs"]
    assert len(theirs) == ("podAnnotations" not in values)


def test_what_the_chart_needs_of_its_pod_is_not_overwritten() -> None:
    pod = render({"podAnnotations": {"checksum/settings": "mine", "prometheus.io/scrape": "false"}}).pod
    annotations = pod["metadata"]["annotations"]
    assert annotations["checksum/settings"] == render().pod["metadata"]["annotations"]["checksum/settings"]
    assert (annotations["prometheus.io/scrape"], annotations["prometheus.io/port"]) == ("false", "8080")
