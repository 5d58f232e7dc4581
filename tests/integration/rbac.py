"""What the operator may do: no more than it needs, so that a test finds what is missing."""

from __future__ import annotations

from typing import Any

from e2e.cluster.controlplane import ControlPlane
from serin.api.kinds import Kind
from tests.integration.kube import Kube
from tests.integration.operator_process import NAMESPACE

Json = dict[str, Any]

OPERATOR = "serin-operator"
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_BINDING = Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")

READ = ["get", "list", "watch"]
OWN = [*READ, "create", "patch", "delete"]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


RULES = [
    _rule("serin.dev", ["modeldeployments", "modelregistries"], READ),
    _rule("serin.dev", ["rolloutpolicies"], ["list", "watch"]),
    _rule("serin.dev", ["modeldeployments/status", "modelregistries/status"], ["patch"]),
    _rule("serving.kserve.io", ["inferenceservices"], OWN),
    _rule("gateway.networking.k8s.io", ["httproutes"], OWN),
    _rule("autoscaling", ["horizontalpodautoscalers"], OWN),
    _rule("apps", ["deployments"], READ),
    _rule("apps", ["deployments/scale"], ["patch"]),
    _rule("", ["pods", "namespaces"], READ),
    _rule("", ["pods/log"], ["get"]),
    _rule("events.k8s.io", ["events"], ["create"]),
]


def grant(plane: ControlPlane) -> None:
    """Make the roles and bind them to the operator's user."""
    secrets = [_rule("", ["secrets"], ["get"])]
    for role, binding, namespace, rules in (
        (CLUSTER_ROLE, CLUSTER_BINDING, None, RULES),
        (ROLE, BINDING, NAMESPACE, secrets),
    ):
        metadata = {"name": OPERATOR} | ({"namespace": namespace} if namespace else {})
        plane.api.apply(role.path(namespace, OPERATOR), {**_head(role), "metadata": metadata, "rules": rules})
        bound = {
            "roleRef": {"apiGroup": role.group, "kind": role.kind, "name": OPERATOR},
            "subjects": [{"kind": "User", "name": OPERATOR, "apiGroup": role.group}],
        }
        plane.api.apply(binding.path(namespace, OPERATOR), {**_head(binding), "metadata": metadata, **bound})


def _head(kind: Kind) -> Json:
    return {"apiVersion": kind.api_version, "kind": kind.kind}


def allow(kube: Kube, rules: list[Json]) -> None:
    """Let the operator's cluster role have these rules from now on."""
    kube.patch(CLUSTER_ROLE, None, OPERATOR, {"rules": rules})


def without(group: str, resource: str, verb: str) -> list[Json]:
    """The operator's rules, less one permission."""
    kept = []
    for rule in RULES:
        verbs = rule["verbs"]
        if rule["apiGroups"] == [group] and resource in rule["resources"]:
            verbs = [one for one in verbs if one != verb]
        if verbs:
            kept.append({**rule, "verbs": verbs})
    assert kept != RULES, f"the operator has no permission to {verb} {resource}"
    return kept
