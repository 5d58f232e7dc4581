"""Live objects as they are kept, and who wrote which of their fields."""

from __future__ import annotations

from typing import Any

import pytest

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import WORKLOAD
from serin.serving.live import live

Json = dict[str, Any]


def body(spec: Json | None = None, managed: list[Json] | None = None, **metadata: Any) -> Json:
    return {
        "metadata": {
            "name": "a",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 3,
            "managedFields": managed or [],
            **metadata,
        },
        "spec": spec or {},
    }


def entry(manager: str, fields: Json, **more: Any) -> Json:
    return {"manager": manager, "operation": "Update", "fieldsV1": fields, **more}


def test_identity_and_owner() -> None:
    owners = [{"uid": "other"}, {"uid": "mine", "controller": True}]
    found = live(INFERENCE_SERVICE, body(ownerReferences=owners, labels={"a": "b"}))
    assert (found.name, found.namespace, found.uid, found.resource_version, found.generation) == ("a", "n", "u", "7", 3)
    assert (found.owner, dict(found.labels), found.deleting) == ("mine", {"a": "b"}, False)
    assert live(INFERENCE_SERVICE, body(ownerReferences=owners[:1])).owner is None
    assert live(INFERENCE_SERVICE, body(deletionTimestamp="2026-11-20T12:00:00Z")).deleting


def test_of_annotations_only_those_that_steer_the_backend_are_kept() -> None:
    """A change of any other must not make a difference: kubectl keeps the whole object in one."""
    annotations = {"serving.kserve.io/stop": "true", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    assert live(INFERENCE_SERVICE, body(annotations=annotations)).annotations == {"serving.kserve.io/stop": "true"}
    assert live(HTTP_ROUTE, body(annotations=annotations)).annotations == {}
    assert live(INFERENCE_SERVICE, body()).annotations == {}


@pytest.mark.parametrize(
    ("managed", "foreign"),
    [
        ([], set()),
        ([entry("serin", {"f:spec": {"f:a": {}}})], set()),
        ([entry("kubectl-edit", {"f:spec": {"f:a": {}}})], {("a",)}),
        (
            [entry("kubectl-edit", {"f:spec": {"f:a": {".": {}, "f:b": {}, "f:c": {"f:d": {}}}}})],
            {("a", "b"), ("a", "c", "d")},
        ),
        # Into lists one does not look: they are put back as a whole.
        ([entry("kubectl-edit", {"f:spec": {"f:l": {".": {}, 'k:{"name":"x"}': {"f:image": {}}}}})], {("l",)}),
        ([entry("kubectl-edit", {"f:spec": {"f:l": {'v:"x"': {}}}})], {("l",)}),
        ([entry("kserve-manager", {"f:metadata": {"f:finalizers": {}}})], set()),
        ([entry("kserve-manager", {"f:status": {}}, subresource="status")], set()),
        ([entry("hpa", {"f:spec": {"f:replicas": {}}}, subresource="scale")], set()),
        (
            [entry("serin", {"f:spec": {"f:a": {}}}), entry("flux", {"f:spec": {"f:a": {}, "f:b": {}}})],
            {("a",), ("b",)},
        ),
        ([{"manager": "x", "operation": "Update"}], set()),
    ],
)
def test_foreign_fields(managed: list[Json], foreign: set[tuple[str, ...]]) -> None:
    assert set(live(INFERENCE_SERVICE, body(managed=managed)).foreign) == foreign


def test_of_a_workload_only_the_size_and_why_it_gets_no_pods_is_kept() -> None:
    managed = [entry("kserve-manager", {"f:spec": {"f:template": {}}})]
    found = live(WORKLOAD, body({"replicas": 3, "template": {"much": "text"}}, managed))
    assert (found.spec, found.foreign) == ({"replicas": 3}, ())
    assert live(WORKLOAD, body({})).spec == {"replicas": 1}
    available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    over = {**refused, "status": "False"}
    kept = [
        live(WORKLOAD, {**body({}), "status": {"conditions": conditions}}).status
        for conditions in ([], [available], [available, over], [available, refused])
    ]
    assert kept == [{}, {}, {}, {"conditions": [{"type": "ReplicaFailure", "message": "exceeded quota"}]}]


NOT_RECOGNIZED = {"reason": "RuntimeNotRecognized", "message": "Waiting for runtime to become available"}


@pytest.mark.parametrize(
    ("status", "kept"),
    [
        ({}, {}),
        ({"modelStatus": {"transitionStatus": "InProgress", "copies": {"totalCopies": 1}}}, {}),
        (
            {"modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": {**NOT_RECOGNIZED, "exitCode": 0}}},
            {"refusal": NOT_RECOGNIZED},
        ),
        ({"modelStatus": {"transitionStatus": "UpToDate", "lastFailureInfo": NOT_RECOGNIZED}}, {}),
        ({"modelStatus": {"transitionStatus": "InvalidSpec"}}, {"refusal": {"reason": "InvalidSpec", "message": ""}}),
        (
            {"conditions": [{"type": "PredictorReady", "status": "False", "reason": "MinimumReplicasUnavailable"}]},
            {},
        ),
        (
            {
                "conditions": [
                    {"type": "Ready", "status": "False", "reason": "ReconcileFailed", "message": "of another part"},
                    {"type": "PredictorReady", "status": "False", "reason": "ReconcileFailed", "message": "is invalid"},
                ]
            },
            {"refusal": {"reason": "ReconcileFailed", "message": "is invalid"}},
        ),
        ({"deploymentMode": "Standard"}, {}),
        ({"deploymentMode": "RawDeployment"}, {}),
        ({"deploymentMode": "Serverless"}, {"deploymentMode": "Serverless"}),
    ],
)
def test_of_an_inference_service_only_why_it_gets_no_pods_is_kept(status: Json, kept: Json) -> None:
    """Its status changes with every pod: each change that is kept is a reason to look."""
    assert live(INFERENCE_SERVICE, {**body(), "status": status}).status == kept


def test_of_a_route_the_gateways_answers_are_kept_and_of_others_no_status() -> None:
    status = {
        "parents": [
            {
                "parentRef": {"name": "g"},
                "controllerName": "c",
                "conditions": [
                    {
                        "type": "Accepted",
                        "status": "True",
                        "reason": "Accepted",
                        "message": "",
                        "observedGeneration": 3,
                        "lastTransitionTime": "2026-11-20T12:00:00Z",
                    }
                ],
            }
        ]
    }
    kept = live(HTTP_ROUTE, {**body(), "status": status}).status
    assert kept == status
    assert live(INFERENCE_SERVICE, {**body(), "status": {"conditions": []}}).status == {}


def test_managed_fields_that_are_nested_by_hand_are_read_as_deep_as_any_spec() -> None:
    deep: Json = {}
    for _ in range(9000):
        deep = {"f:a": deep}
    body = {
        "metadata": {
            "name": "a",
            "uid": "u",
            "resourceVersion": "1",
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {**deep, "f:b": {}}}}],
        }
    }
    assert live(HTTP_ROUTE, body).foreign == (("a",) * 64, ("b",))
