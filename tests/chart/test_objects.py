"""What the chart installs by default, held against what a careful platform team asks of it.

Rules of linters that say the same stand behind the tests: CKV is checkov, KL is kube-linter, KS is kube-score.
"""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from charts import generate
from tests.chart.rendered import Json
from tests.chart.rendered import Rendered
from tests.chart.rendered import render


@pytest.fixture(scope="module")
def chart() -> Rendered:
    return render()


def rules(chart: Rendered, kind: str) -> list[Json]:
    return [rule for role in chart.all(kind) for rule in role["rules"]]


def test_two_renderings_are_the_same() -> None:
    """Else Argo CD would never be in sync."""
    assert generate.render() == generate.render()


def test_nothing_is_looked_up_or_random() -> None:
    unsteady = re.compile(r"\{\{[^}]*\b(lookup|rand\w+|gen\w*Cert|genCA|uuidv4|now)\b")
    for template in (generate.CHART / "templates").iterdir():
        assert not unsteady.search(template.read_text()), template.name


def test_version_is_the_packages() -> None:
    project = tomllib.loads((generate.ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((generate.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == project["version"]


def test_defaults_are_those_of_the_values() -> None:
    assert generate.DEFAULTS.read_text() == generate.defaults(), "run: make generate"


def test_crds_are_those_of_the_repository() -> None:
    """Byte for byte, but for the annotation that keeps them."""
    text = generate.render()
    for crd in generate.CRDS.glob("*.yaml"):
        original = crd.read_text()
        kept = original.replace("\nmetadata:\n", "\nmetadata:\n  annotations:\n    helm.sh/resource-policy: keep\n", 1)
        assert kept != original
        assert kept in text, crd.name
        assert (generate.COPIES / crd.name).read_text() == original, "run: make generate"
        assert original in generate.render("--set-json=crds.keep=false"), crd.name


def test_no_wildcard_in_any_rule(chart: Rendered) -> None:
    """CKV_K8S_49, KL wildcard-in-rules."""
    for rule in [*rules(chart, "ClusterRole"), *rules(chart, "Role")]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_secrets_are_only_got_and_only_in_the_release_namespace(chart: Rendered) -> None:
    """CKV2_K8S_5, KL access-to-secrets."""
    assert not [rule for rule in rules(chart, "ClusterRole") if "secrets" in rule["resources"]]
    assert rules(chart, "Role") == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    assert chart.one("Role")["metadata"]["namespace"] == generate.NAMESPACE


def test_operator_writes_no_declaration(chart: Rendered) -> None:
    """Never the spec of what people declare; no finalizer either, so no write to the object itself."""
    operator = next(role for role in chart.all("ClusterRole") if role["metadata"]["name"] == generate.RELEASE)
    for rule in operator["rules"]:
        if rule["apiGroups"] == ["serin.dev"] and not any("/" in one for one in rule["resources"]):
            assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_roles_of_users_give_no_right_to_write_registries(chart: Rendered) -> None:
    for role in chart.all("ClusterRole"):
        aggregated = [label for label in role["metadata"]["labels"] if "aggregate-to" in label]
        if aggregated:
            writable = [r for r in role["rules"] if set(r["verbs"]) - {"get", "list", "watch"}]
            assert all(rule["resources"] == ["modeldeployments"] for rule in writable)


def test_pod_is_restricted(chart: Rendered) -> None:
    """Pod Security "restricted", and CKV_K8S_20, 22, 23, 28, 30, 31, 37; KS container-security-context.

    No user is named: OpenShift's restricted-v2, which gives each namespace users of its own, refuses any other.
    """
    spec, container = chart.pod["spec"], chart.container
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "projected", "emptyDir"}


def test_image_names_its_user_by_number() -> None:
    """Of a name the kubelet cannot tell that it is not root's, and starts no pod that has runAsNonRoot. CKV_K8S_40."""
    users = re.findall(r"^USER (.+)$", (generate.ROOT / "operator" / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    user, group = users[-1].split(":")
    assert int(user) >= 10000
    assert int(group) >= 10000


def test_nothing_in_the_pod_is_writable(chart: Rendered) -> None:
    assert all(mount["readOnly"] for mount in chart.container["volumeMounts"])


def test_token_is_mounted_into_the_operator_alone(chart: Rendered) -> None:
    """CKV_K8S_38: not by the service account, so no sidecar that is injected gets it."""
    assert chart.pod["spec"]["automountServiceAccountToken"] is False
    assert chart.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert "/var/run/secrets/kubernetes.io/serviceaccount" in [m["mountPath"] for m in chart.container["volumeMounts"]]


def test_services_of_the_namespace_do_not_become_settings(chart: Rendered) -> None:
    """A Service named serin-http would set SERIN_HTTP_PORT=tcp://…"""
    assert chart.pod["spec"]["enableServiceLinks"] is False


def test_namespace_of_the_operator_is_its_pods(chart: Rendered) -> None:
    """Not a text, which kustomize would leave as it is where it puts the objects into another namespace."""
    field = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert {"name": "SERIN_NAMESPACE", "valueFrom": field} in chart.container["env"]
    assert generate.NAMESPACE not in chart.settings_text


def test_one_operator_at_a_time(chart: Rendered) -> None:
    spec = chart.one("Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_operator_is_back_soon_after_its_node_was_lost(chart: Rendered) -> None:
    """By the 300 s that a pod tolerates by default, a failing candidate would keep its share for that long."""
    lost = {one["key"]: one for one in chart.pod["spec"]["tolerations"]}
    assert lost.keys() == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    for one in lost.values():
        assert (one["operator"], one["effect"]) == ("Exists", "NoExecute")
        assert one["tolerationSeconds"] <= 30


def test_probes_ask_different_things(chart: Rendered) -> None:
    """KS pod-probes-identical: an API server that is away makes it unready, and must not restart it."""
    assert chart.container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert chart.container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_requests_and_limits_are_set(chart: Rendered) -> None:
    """CKV_K8S_10 to 13, KS container-resources. No ephemeral-storage: not every node has any to give."""
    for kind in ("requests", "limits"):
        assert {"cpu", "memory"} == set(chart.container["resources"][kind])


def test_network_policy_selects_the_pod_and_opens_one_port(chart: Rendered) -> None:
    """CKV2_K8S_6, KL non-isolated-pod, KS pod-networkpolicy."""
    spec = chart.one("NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= chart.pod["metadata"]["labels"].items()
    assert spec["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]


def test_selectors_match_the_pod(chart: Rendered) -> None:
    labels = chart.pod["metadata"]["labels"].items()
    assert chart.one("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels
    assert chart.one("Service")["spec"]["selector"].items() <= labels


def test_other_settings_are_another_pod(chart: Rendered) -> None:
    other = render({"settings.workers": 3})
    assert other.pod["metadata"]["annotations"] != chart.pod["metadata"]["annotations"]


def test_every_namespaced_object_names_its_namespace(chart: Rendered) -> None:
    """`helm template | kubectl apply` would otherwise put it wherever kubectl points."""
    cluster = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
    for one in chart.objects:
        assert (one["metadata"].get("namespace") == generate.NAMESPACE) is (one["kind"] not in cluster)


def test_image_is_the_charts_own_version(chart: Rendered) -> None:
    version = yaml.safe_load((generate.CHART / "Chart.yaml").read_text())["appVersion"]
    assert chart.container["image"] == f"localhost/serin/operator:{version}"
