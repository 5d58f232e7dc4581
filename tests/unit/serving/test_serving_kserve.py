"""The KServe backend: what it makes of a plan, and what it makes of what is there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from datetime import datetime
from typing import Any

import pytest

from serin.api.kinds import AUTOSCALER
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.modeldeployment import Backend
from serin.api.modeldeployment import EnvVar
from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import Protocol
from serin.api.modeldeployment import Resources
from serin.api.modeldeployment import Scaling
from serin.api.modeldeployment import ScalingMetric
from serin.api.reasons import Reason
from serin.api.status import Template
from serin.rollout.decision import PlannedRevision
from serin.rollout.decision import PlannedRoute
from serin.rollout.decision import ServingPlan
from serin.rollout.observed import Failure
from serin.serving.backend import LiveObjects
from serin.serving.compare import difference
from serin.serving.kserve import KServe
from serin.serving.kserve import inference_service
from serin.serving.live import Live
from serin.serving.live import live
from serin.serving.pods import Replica

Json = dict[str, Any]
OLD, NEW = "fraud-v1-aaaaaaaa", "fraud-v2-bbbbbbbb"
READY = datetime(2026, 11, 20, 12, tzinfo=UTC)


def template(**changes: Any) -> Template:
    facts: Json = {
        "backend": Backend.KSERVE,
        "runtime": "kserve-mlserver",
        "model_format": "mlflow",
        "server": "MLServer",
        "protocol": Protocol.V2,
        "artifact_uri": "s3://models/1",
        "digest": "0",
    }
    return Template(**{**facts, **changes})


def planned(revision: str = OLD, least: int = 1, most: int | None = None, **changes: Any) -> PlannedRevision:
    version = revision.split("-")[1]
    return PlannedRevision(revision, version, template(**changes), least, least if most is None else most, None)


def plan(*revisions: PlannedRevision, weights: dict[str, int] | None = None, keep: tuple[str, ...] = ()) -> ServingPlan:
    route = None
    if weights is not None:
        gateways = (GatewayRef(name="public", namespace="gateways"),)
        route = PlannedRoute(("fraud.payments.test",), gateways, "30s", tuple(weights.items()))
    return ServingPlan("fraud", "payments", "uid-1", revisions, route, frozenset(keep))


def predictor(**changes: Any) -> Json:
    body = inference_service(plan(), planned(**changes))
    found: Json = body["spec"]["predictor"]
    return found


def child(kind: Kind, name: str, spec: Json | None = None, owner: str | None = "uid-1", **changes: Any) -> Live:
    made = Live(name, "payments", f"uid-of-{name}", "7", 1, owner, {}, spec or {}, {})
    return replace(made, **changes)


def deployment(revision: str, **changes: Any) -> Live:
    made = child(WORKLOAD, f"{revision}-predictor", {"replicas": 1}, owner=f"uid-of-{revision}")
    return replace(made, **changes)


def cluster(*children: tuple[Kind, Live], replicas: tuple[Replica, ...] = ()) -> LiveObjects:
    objects: dict[Kind, dict[str, Live]] = {}
    for kind, one in children:
        objects.setdefault(kind, {})[one.name] = one
    return LiveObjects(objects, replicas)


def route(weights: dict[str, int], **changes: Any) -> Live:
    rendered = KServe().render(plan(weights=weights), LiveObjects()).route
    assert rendered is not None
    return child(HTTP_ROUTE, "fraud", rendered.body["spec"], **changes)


def test_an_inference_service() -> None:
    body = inference_service(plan(), planned())
    assert (body["apiVersion"], body["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert body["metadata"] == {
        "name": OLD,
        "namespace": "payments",
        "labels": {
            "app.kubernetes.io/managed-by": "serin",
            "serin.dev/modeldeployment": "fraud",
            "serin.dev/revision": OLD,
            "serin.dev/version": "v1",
            "networking.kserve.io/visibility": "cluster-local",
        },
        "annotations": {
            "serving.kserve.io/deploymentMode": "Standard",
            "serving.kserve.io/autoscalerClass": "external",
        },
        "ownerReferences": [
            {
                "apiVersion": "serin.dev/v1alpha1",
                "kind": "ModelDeployment",
                "name": "fraud",
                "uid": "uid-1",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
    model = body["spec"]["predictor"]["model"]
    assert model["storageUri"] == "s3://models/1"
    assert (model["runtime"], model["protocolVersion"]) == ("kserve-mlserver", "v2")
    assert model["modelFormat"] == {"name": "mlflow"}
    assert model["readinessProbe"]["httpGet"] == {"path": "/v2/models/fraud/ready", "port": 8080}
    assert model["lifecycle"] == {"preStop": {"sleep": {"seconds": 10}}}


@pytest.mark.parametrize(("server", "port"), [("MLServer", "8082"), ("KServe", "8080")])
def test_pods_say_where_their_metrics_are(server: str, port: str) -> None:
    assert predictor(server=server)["annotations"] == {
        "serving.kserve.io/enable-prometheus-scraping": "false",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": port,
        "prometheus.io/path": "/metrics",
    }


def test_where_metrics_are_is_the_users_to_change() -> None:
    overrides = {"annotations": {"prometheus.io/scrape": "false", "prometheus.io/port": None}}
    annotations = predictor(overrides=overrides)["annotations"]
    assert annotations["prometheus.io/scrape"] == "false"
    assert "prometheus.io/port" not in annotations


def test_nothing_is_said_of_the_metrics_of_an_unknown_server() -> None:
    """No empty map either: KServe's webhook leaves it out, and it would be put back for ever."""
    assert "annotations" not in predictor(server="Triton")


def test_an_inference_service_does_not_know_weights_replicas_or_scaling() -> None:
    """KServe copies metadata into pods and restarts them: nothing of what changes in a rollout may be in it."""
    one = inference_service(plan(planned(), weights={OLD: 100}), planned())
    other = inference_service(plan(planned(), planned(NEW), weights={OLD: 1, NEW: 99}), planned(OLD, 5, 9))
    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize(
    ("changes", "env", "args"),
    [
        ({}, {"MLSERVER_MODEL_NAME": "fraud"}, None),
        ({"workers": 1}, {"MLSERVER_MODEL_NAME": "fraud", "MLSERVER_PARALLEL_WORKERS": "0"}, None),
        ({"workers": 4}, {"MLSERVER_MODEL_NAME": "fraud", "MLSERVER_PARALLEL_WORKERS": "4"}, None),
        ({"server": "KServe", "protocol": Protocol.V1}, {}, ["--model_name=fraud"]),
        ({"server": "KServe", "protocol": Protocol.V1, "workers": 1}, {}, ["--model_name=fraud", "--workers=1"]),
    ],
)
def test_how_each_server_is_told_name_and_processes(changes: Json, env: dict[str, str], args: list[str] | None) -> None:
    model = predictor(**changes)["model"]
    assert {one["name"]: one["value"] for one in model.get("env", [])} == env
    assert model.get("args") == args


def test_a_pod_that_goes_has_time_to_answer_what_it_has() -> None:
    """It sleeps first, within the same time, while gateways still send requests."""
    made = KServe().render(plan(planned()), LiveObjects()).objects[0].body["spec"]
    assert made["predictor"]["terminationGracePeriodSeconds"] == 130
    kept = KServe().render(plan(planned()), cluster((INFERENCE_SERVICE, child(INFERENCE_SERVICE, OLD, made))))
    assert kept.objects[0].body["spec"] == made
    assert predictor(overrides={"terminationGracePeriodSeconds": 900})["terminationGracePeriodSeconds"] == 900
    assert "terminationGracePeriodSeconds" not in predictor(overrides={"terminationGracePeriodSeconds": None})


def test_pods_that_run_without_it_are_not_restarted_for_that_time() -> None:
    before = inference_service(plan(), planned())["spec"]
    del before["predictor"]["terminationGracePeriodSeconds"]
    present = child(INFERENCE_SERVICE, OLD, before)
    rendered = KServe().render(plan(planned()), cluster((INFERENCE_SERVICE, present))).objects[0].body["spec"]
    assert difference(present.spec, rendered) == {}
    edited = {**before, "predictor": {**before["predictor"], "terminationGracePeriodSeconds": 1}}
    by_hand = child(INFERENCE_SERVICE, OLD, edited)
    rendered = KServe().render(plan(planned()), cluster((INFERENCE_SERVICE, by_hand))).objects[0].body["spec"]
    assert difference(by_hand.spec, rendered) == {"predictor": {"terminationGracePeriodSeconds": 130}}


def test_readiness_by_protocol() -> None:
    probe = predictor(server="KServe", protocol=Protocol.V1)["model"]["readinessProbe"]
    assert probe["httpGet"]["path"] == "/v1/models/fraud"


def test_env_resources_and_service_account_as_declared() -> None:
    env = (
        EnvVar.model_validate({"name": "A", "value": "1"}),
        EnvVar.model_validate({"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        EnvVar.model_validate({"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
    )
    resources = Resources.model_validate({"requests": {"cpu": 1}, "limits": {"memory": "2Gi"}})
    found = predictor(env=env, resources=resources, service_account_name="models")
    assert found["serviceAccountName"] == "models"
    assert found["model"]["env"][1:] == [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    assert found["model"]["resources"] == {"requests": {"cpu": 1}, "limits": {"memory": "2Gi"}}


def test_overrides_count_last() -> None:
    patch = {
        "nodeSelector": {"gpu": "yes"},
        "serviceAccountName": None,
        "model": {"runtime": "mine", "readinessProbe": None, "resources": {"limits": {"nvidia.com/gpu": 1}}},
    }
    found = predictor(overrides=patch, service_account_name="models")
    assert found["nodeSelector"] == {"gpu": "yes"}
    assert "serviceAccountName" not in found
    assert (found["model"]["runtime"], "readinessProbe" in found["model"]) == ("mine", False)
    assert found["model"]["storageUri"] == "s3://models/1"
    assert found["model"]["resources"] == {"limits": {"nvidia.com/gpu": 1}}


def test_the_route_is_written_whole() -> None:
    rendered = KServe().render(plan(planned(), planned(NEW), weights={OLD: 90, NEW: 10}), LiveObjects()).route
    assert rendered is not None
    assert rendered.name == "fraud"
    assert rendered.body["spec"] == {
        "parentRefs": [
            {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways"}
        ],
        "hostnames": ["fraud.payments.test"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "timeouts": {"request": "30s"},
                "backendRefs": [
                    {"group": "", "kind": "Service", "name": f"{OLD}-predictor", "port": 80, "weight": 90},
                    {"group": "", "kind": "Service", "name": f"{NEW}-predictor", "port": 80, "weight": 10},
                ],
            }
        ],
    }
    assert KServe().render(plan(planned()), LiveObjects()).route is None


def test_a_fixed_number_of_replicas_is_a_scale_once_the_workload_exists() -> None:
    backend, wanted = KServe(), plan(planned(OLD, 3))
    assert backend.render(wanted, LiveObjects()).scales == ()
    present = cluster((INFERENCE_SERVICE, child(INFERENCE_SERVICE, OLD)), (WORKLOAD, deployment(OLD)))
    assert [(one.workload, one.replicas) for one in backend.render(wanted, present).scales] == [(f"{OLD}-predictor", 3)]


def test_a_range_of_replicas_is_an_autoscaler() -> None:
    scaled = replace(planned(OLD, 2, 6), scaling=Scaling(metric=ScalingMetric.MEMORY, target=70))
    workload = replace(deployment(OLD), spec={"replicas": 4})
    present = cluster((INFERENCE_SERVICE, child(INFERENCE_SERVICE, OLD)), (WORKLOAD, workload))
    rendered = KServe().render(plan(scaled), present)
    assert rendered.scales == (), "between its bounds the autoscaler decides"
    made = next(one for one in rendered.objects if one.kind is AUTOSCALER)
    assert made.name == OLD
    assert (made.body["spec"]["minReplicas"], made.body["spec"]["maxReplicas"]) == (2, 6)
    assert made.body["spec"]["scaleTargetRef"]["name"] == f"{OLD}-predictor"
    assert made.body["spec"]["metrics"] == [
        {
            "type": "Resource",
            "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}},
        }
    ]


def test_health_and_traffic_as_they_are() -> None:
    accepted = [
        {
            "parentRef": {"name": "public", "namespace": "gateways"},
            "conditions": [
                {"type": "Accepted", "status": "True", "observedGeneration": 1},
                {"type": "ResolvedRefs", "status": "True", "observedGeneration": 1},
            ],
        }
    ]
    state = KServe().observe(
        "fraud",
        "uid-1",
        cluster(
            (INFERENCE_SERVICE, child(INFERENCE_SERVICE, OLD)),
            (INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW)),
            (HTTP_ROUTE, route({OLD: 90, NEW: 10}, status={"parents": accepted})),
            replicas=(Replica(OLD, "a", READY), Replica(NEW, "b"), Replica("other", "c", READY)),
        ),
    )
    assert {name: one.ready for name, one in state.revisions.items()} == {OLD: 1, NEW: 0}
    assert (dict(state.route.weights), state.route.accepted) == ({OLD: 90, NEW: 10}, True)


@pytest.mark.parametrize(
    ("owner", "ready"),
    [
        pytest.param(f"uid-of-{NEW}", 1, id="its own"),
        pytest.param("uid-of-before", 0, id="of a former InferenceService, about to be collected"),
        pytest.param(None, 1, id="left on purpose"),
    ],
)
def test_pods_of_a_former_inference_service_do_not_count(owner: str | None, ready: int) -> None:
    state = KServe().observe(
        "fraud",
        "uid-1",
        cluster(
            (INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW)),
            (WORKLOAD, deployment(NEW, owner=owner)),
            replicas=(Replica(NEW, "a", READY),),
        ),
    )
    assert state.health(NEW).ready == ready


@pytest.mark.parametrize(
    ("left", "after"),
    [
        pytest.param(cluster(), None, id="nothing"),
        pytest.param(cluster((WORKLOAD, deployment(NEW))), (WORKLOAD, f"{NEW}-predictor"), id="its Deployment"),
        pytest.param(cluster(replicas=(Replica(NEW, "pod-1"),)), (POD, "pod-1"), id="its pods"),
        pytest.param(cluster(replicas=(Replica(OLD, "pod-1"),)), None, id="pods of another revision"),
        pytest.param(
            cluster((WORKLOAD, deployment(NEW, owner=None)), replicas=(Replica(NEW, "pod-1"),)),
            None,
            id="what was left on purpose",
        ),
        pytest.param(
            cluster((INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW)), (WORKLOAD, deployment(NEW))),
            None,
            id="it is still there",
        ),
    ],
)
def test_a_revision_is_made_after_what_its_former_self_left(left: LiveObjects, after: tuple[Kind, str] | None) -> None:
    rendered = KServe().render(plan(planned(NEW, 2)), left)
    assert [one.after for one in rendered.objects] == [after]
    assert rendered.scales == () or after is None, "what is about to go is not scaled"


def test_a_workload_that_may_make_no_pods_tells_why() -> None:
    told = 'pods "fraud-" is forbidden: error looking up service account: token=abcdef'
    refused = replace(deployment(NEW), status={"conditions": [{"type": "ReplicaFailure", "message": told}]})
    state = KServe().observe(
        "fraud",
        "uid-1",
        cluster(
            (INFERENCE_SERVICE, child(INFERENCE_SERVICE, OLD)),
            (INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW)),
            (WORKLOAD, refused),
        ),
    )
    assert state.health(OLD).failures == ()
    assert state.health(NEW).failures == (
        Failure(
            Reason.POD_CREATION_FAILED,
            'no pod can be made: pods "fraud-" is forbidden: error looking up service account: token=***',
        ),
    )


def declared(name: str, **status: Any) -> tuple[Kind, Live]:
    spec = inference_service(plan(), planned(name))["spec"]
    return INFERENCE_SERVICE, child(INFERENCE_SERVICE, name, spec, status=status)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("RuntimeNotRecognized", "no ServingRuntime or ClusterServingRuntime kserve-mlserver: install it"),
        ("RuntimeDisabled", "enable the runtime kserve-mlserver"),
        ("NoSupportingRuntime", "supports the model format mlflow and the protocol v2, which kserve-mlserver does not"),
        ("InvalidPredictorSpec", "correct the runtime kserve-mlserver"),
        ("ReconcileFailed", "spec.serving.resources"),
    ],
)
def test_what_kserve_refuses_is_told_in_its_words_with_a_remedy(reason: str, remedy: str) -> None:
    """It makes no pods, which could tell, and tries again: nothing is hopeless."""
    told = {"reason": reason, "message": "Waiting, with token=abcdef"}
    state = KServe().observe("fraud", "uid-1", cluster(declared(OLD), declared(NEW, refusal=told)))
    assert state.health(OLD).failures == ()
    (failure,) = state.health(NEW).failures
    assert (failure.reason, failure.hopeless) == (Reason.BACKEND_REFUSED, False)
    assert failure.message.startswith(f"KServe makes no pods of it ({reason}: Waiting, with token=***): ")
    assert remedy in failure.message


def test_what_kserve_refused_before_it_made_pods_is_of_the_past() -> None:
    """A runtime may go while its pods serve."""
    told = {"reason": "RuntimeNotRecognized", "message": "Waiting for runtime to become available"}
    state = KServe().observe(
        "fraud", "uid-1", cluster(declared(NEW, refusal=told), replicas=(Replica(NEW, "b", READY),))
    )
    assert (state.health(NEW).ready, state.health(NEW).failures) == (1, ())


def test_a_kserve_that_does_not_know_standard_is_called_too_old() -> None:
    """Whatever its pods say: without the Service that the route names no request reaches them."""
    serverless = declared(NEW, deploymentMode="Serverless")
    state = KServe().observe("fraud", "uid-1", cluster(serverless, replicas=(Replica(NEW, "b", READY),)))
    (failure,) = state.health(NEW).failures
    assert (state.health(NEW).ready, failure.reason, failure.hopeless) == (0, Reason.BACKEND_REFUSED, False)
    assert f"KServe made the InferenceService {NEW} in mode Serverless" in failure.message
    assert "Serin needs KServe 0.16 or newer" in failure.message


def test_what_belongs_to_another_is_not_seen() -> None:
    state = KServe().observe(
        "fraud",
        "uid-1",
        cluster(
            (INFERENCE_SERVICE, child(INFERENCE_SERVICE, OLD, owner="uid-of-before")),
            (HTTP_ROUTE, route({OLD: 100}, owner=None)),
            replicas=(Replica(OLD, "a", READY),),
        ),
    )
    assert (dict(state.revisions), state.route.exists) == ({}, False)


@pytest.mark.parametrize("copied", [{OLD: 50, NEW: 50}, {}])
def test_a_copy_of_the_route_is_not_the_route(copied: dict[str, int]) -> None:
    """Somebody made it for another host name, with everything that kubectl shows, the owner included."""
    copy = (HTTP_ROUTE, replace(route(copied or {OLD: 100}), name="a-fraud"))
    children = [copy, (HTTP_ROUTE, route({OLD: 100}))] if copied else [copy]
    state = KServe().observe("fraud", "uid-1", cluster(*children))
    assert dict(state.route.weights) == ({OLD: 100} if copied else {})
    surplus = KServe().surplus(plan(planned()), cluster(*children, (INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW))))
    assert [one.name for _, one in surplus] == [NEW]


def test_ready_pods_of_an_object_that_is_being_deleted_carry_no_traffic() -> None:
    """Their InferenceService waits for KServe's finalizer; then they go, however ready they are now."""
    leaving = child(INFERENCE_SERVICE, NEW, deleting=True)
    state = KServe().observe(
        "fraud", "uid-1", cluster((INFERENCE_SERVICE, leaving), replicas=(Replica(NEW, "a", READY),))
    )
    assert state.health(NEW).ready == 0


@pytest.mark.parametrize(
    ("plan", "children", "gone"),
    [
        (plan(planned()), [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, OLD))], []),
        (plan(planned()), [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW))], [NEW]),
        (plan(planned(), keep=(NEW,)), [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW))], []),
        (plan(planned()), [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW, owner="uid-2"))], []),
        (plan(planned()), [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW, owner=None))], []),
        (plan(planned()), [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW, deleting=True))], []),
        (
            plan(planned()),
            [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW)), (HTTP_ROUTE, route({OLD: 99, NEW: 1}))],
            [],
        ),
        (
            plan(planned()),
            [(INFERENCE_SERVICE, child(INFERENCE_SERVICE, NEW)), (HTTP_ROUTE, route({OLD: 100, NEW: 0}))],
            [],
        ),
        (plan(planned()), [(AUTOSCALER, child(AUTOSCALER, OLD))], [OLD]),
        (plan(planned(OLD, 1, 2)), [(AUTOSCALER, child(AUTOSCALER, OLD))], []),
        (plan(planned(), keep=(NEW,)), [(AUTOSCALER, child(AUTOSCALER, NEW))], []),
        (plan(planned()), [(WORKLOAD, child(WORKLOAD, "left"))], []),
    ],
    ids=[
        "planned",
        "not planned",
        "drains",
        "another's",
        "nobody's",
        "going",
        "routed",
        "routed with nothing",
        "fixed",
        "scaled",
        "drains scaled",
        "not ours to delete",
    ],
)
def test_surplus(plan: ServingPlan, children: list[tuple[Kind, Live]], gone: list[str]) -> None:
    assert [one.name for _, one in KServe().surplus(plan, cluster(*children))] == gone


def test_what_was_rendered_needs_no_write() -> None:
    """As the API server keeps it, with what KServe's webhook is known to add."""
    resources = Resources.model_validate({"requests": {"cpu": 1, "memory": "2048Mi"}})
    body = inference_service(plan(), planned(resources=resources, overrides={"tolerations": [{"key": "gpu"}]}))
    stored = json.loads(json.dumps(body))
    model = stored["spec"]["predictor"]["model"]
    model["name"] = ""
    model["resources"] = {"requests": {"cpu": "1", "memory": "2Gi"}}
    stored["metadata"] |= {"uid": "u", "resourceVersion": "1", "generation": 1}
    stored["metadata"]["annotations"]["modelFormat"] = "mlflow"
    present = live(INFERENCE_SERVICE, stored)
    assert difference(present.spec, body["spec"], present.foreign) == {}
