"""KServe in Standard mode: one InferenceService a revision, kept inside the cluster, and one HTTPRoute that is ours.

KServe's own canary is not used: up to v0.20 it moves no traffic in Standard mode (kserve#4074, kserve#5335). Two
InferenceServices and a route of our own work since 0.16, the first that knows Standard, and each keeps its own status.
"""

from __future__ import annotations

from serin.analysis.runtimes import SERVERS
from serin.api.base import to_wire
from serin.api.group import API_VERSION
from serin.api.kinds import AUTOSCALER
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MANAGED_BY
from serin.api.kinds import MANAGER
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import POD
from serin.api.kinds import REVISION_LABEL
from serin.api.kinds import VERSION_LABEL
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.modeldeployment import Protocol
from serin.api.modeldeployment import Scaling
from serin.api.status import Template
from serin.rollout.decision import PlannedRevision
from serin.rollout.decision import ServingPlan
from serin.rollout.observed import Health
from serin.rollout.observed import ServingState
from serin.serving.backend import LiveObjects
from serin.serving.backend import Manifest
from serin.serving.backend import Rendered
from serin.serving.backend import Scale
from serin.serving.compare import merge
from serin.serving.gateway import copies_all
from serin.serving.gateway import observe_route
from serin.serving.gateway import render_route
from serin.serving.live import Json
from serin.serving.live import Live
from serin.serving.pods import health
from serin.serving.refusal import misread
from serin.serving.refusal import refusal

# Deployment and Service of an InferenceService's predictor (kserve pkg/constants PredictorServiceName).
SERVICE_SUFFIX = "-predictor"
SERVICE_PORT = 80
SERVER_PORT = 8080

LABELS = {
    # No route of KServe's own beside ours; it then calls the ingress ready by itself.
    "networking.kserve.io/visibility": "cluster-local",
}
ANNOTATIONS = {
    "serving.kserve.io/deploymentMode": "Standard",
    # With "none" KServe owns the number of replicas and with "hpa" it makes an autoscaler, and a change between the
    # two is an annotation of the pod template: it restarts the pods. With "external" it never touches the replicas
    # (kserve v0.20 deployment_reconciler.go), so they and their scaling are ours and change in place.
    "serving.kserve.io/autoscalerClass": "external",
}

# With "true" KServe deletes the Deployment (kserve v0.16 and newer, pkg/utils/utils.go GetForceStopRuntime).
STOP = "serving.kserve.io/stop"

# The runtimes bring no readiness probe, so KServe's default calls a pod ready as soon as its port is open, before the
# model is loaded and even when it never will be (SeldonIO/MLServer#2056). This one asks for the model itself.
PROBE_PERIOD_SECONDS = 3
PROBE_TIMEOUT_SECONDS = 5
PROBE_FAILURES = 5
# A pod that is going still gets requests until every gateway knows: it goes on serving for that long.
DRAIN_SECONDS = 10
# Then it has so long to answer what it has: Kubernetes' half a minute, which includes the drain, cuts off requests that
# the default traffic.timeout allows. A server without requests ends at once, whatever connections are open, and another
# when they are answered (seen with MLServer 1.7.1).
ANSWER_SECONDS = 120
GRACE = "terminationGracePeriodSeconds"


class KServe:
    """The backend KServe."""

    def render(self, plan: ServingPlan, live: LiveObjects) -> Rendered:
        """The InferenceServices, their autoscalers or sizes, and the route."""
        workloads = live.of(WORKLOAD)
        writes: list[Manifest | Scale] = []
        for planned in plan.revisions:
            made = live.of(INFERENCE_SERVICE).get(planned.revision)
            left = _left(planned.revision, live) if made is None else None
            body = inference_service(plan, planned, made)
            writes.append(Manifest(INFERENCE_SERVICE, body, unwanted=_unwanted(made), after=left))
            if left is not None or (made is not None and made.owner != plan.uid):
                # What runs there belongs to the one in the way, and may serve.
                continue
            workload = planned.revision + SERVICE_SUFFIX
            autoscaled = planned.max_replicas > planned.min_replicas
            if autoscaled:
                writes.append(Manifest(AUTOSCALER, autoscaler(plan, planned, workload)))
            # An autoscaler takes up to 15 s to see a new minimum (its sync period): what is missing is added at once.
            present = workloads.get(workload)
            enough = present is None or (autoscaled and present.spec["replicas"] >= planned.min_replicas)
            if not enough:
                writes.append(Scale(workload, planned.min_replicas))
        route = None
        if plan.route is not None:
            by_request_id = copies_all(live.of(HTTP_ROUTE).get(plan.name))
            metadata = _metadata(plan, plan.name, {})
            body = render_route(plan.route, metadata, _service, SERVICE_PORT, by_request_id=by_request_id)
            route = Manifest(HTTP_ROUTE, body)
        return Rendered(route=route, writes=tuple(writes))

    def observe(self, name: str, owner: str, live: LiveObjects) -> ServingState:
        """Health by the pods' labels, traffic by the route.

        Pods of an InferenceService that is being deleted may be ready for a while yet: they are about to go, and
        nothing may be built on them.
        """
        revisions = {
            revision: _health(one, live)
            for revision, one in live.of(INFERENCE_SERVICE).items()
            if one.owner == owner and not one.deleting
        }
        return ServingState(revisions=revisions, route=observe_route(_route(name, owner, live), _revision))

    def surplus(self, plan: ServingPlan, live: LiveObjects) -> tuple[tuple[Kind, Live], ...]:
        """InferenceServices of no planned revision, unless the route still names them, and autoscalers of none."""
        named = set(observe_route(_route(plan.name, plan.uid, live), _revision).weights)
        scaled = {planned.revision for planned in plan.revisions if planned.max_replicas > planned.min_replicas}
        found = [
            (INFERENCE_SERVICE, one)
            for name, one in live.of(INFERENCE_SERVICE).items()
            if one.owner == plan.uid and not one.deleting and name not in plan.names | named
        ]
        found += [
            (AUTOSCALER, one)
            for name, one in live.of(AUTOSCALER).items()
            if one.owner == plan.uid and not one.deleting and name not in scaled | plan.keep
        ]
        return tuple(found)


def _route(name: str, owner: str, live: LiveObjects) -> Live | None:
    """The route of a ModelDeployment: one of another name is somebody's copy, whatever it has for an owner."""
    route = live.of(HTTP_ROUTE).get(name)
    return route if route is not None and route.owner == owner else None


def _health(service: Live, live: LiveObjects) -> Health:
    wrong = misread(service)
    if wrong is not None:
        # Its pods may be ready, but they come and go with the requests, and the route would name no Service of theirs.
        return Health(failures=(wrong,))
    workload = live.of(WORKLOAD).get(service.name + SERVICE_SUFFIX)
    if workload is not None and workload.owner not in (None, service.uid):
        # Of a former InferenceService of that name: the garbage collector takes it, and its pods, ready as they are.
        return Health(without_pods=True)
    replicas = tuple(one for one in live.replicas if one.revision == service.name)
    return health(replicas, workload, refusal(service))


def _left(revision: str, live: LiveObjects) -> tuple[Kind, str] | None:
    """What a former InferenceService of that name has left and the garbage collector is about to take. Its pods have
    the labels of the next one's: made before they are gone, that would count them as its own.

    A Deployment without an owner was left on purpose (``--cascade=orphan``): nobody takes it, and KServe goes on with
    it.
    """
    workload = live.of(WORKLOAD).get(revision + SERVICE_SUFFIX)
    if workload is not None:
        return None if workload.owner is None else (WORKLOAD, workload.name)
    return next(((POD, one.name) for one in live.replicas if one.revision == revision), None)


def inference_service(plan: ServingPlan, planned: PlannedRevision, made: Live | None = None) -> Json:
    """The InferenceService of a revision: the same as long as the revision lives. ``made``: as it is, if it is."""
    template = planned.template
    predictor: Json = {**_scraping(template.server), "model": _model(plan.name, template)}
    if made is None or GRACE in made.spec.get("predictor", {}):
        # One that was made without it stays so: its pods would be restarted.
        predictor[GRACE] = DRAIN_SECONDS + ANSWER_SECONDS
    if template.service_account_name is not None:
        predictor["serviceAccountName"] = template.service_account_name
    metadata = _metadata(
        plan, planned.revision, {**LABELS, REVISION_LABEL: planned.revision, VERSION_LABEL: planned.version}
    )
    return {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {**metadata, "annotations": dict(ANNOTATIONS)},
        "spec": {"predictor": merge(predictor, template.overrides or {})},
    }


def _unwanted(service: Live | None) -> tuple[str, ...]:
    """Annotations that keep the InferenceService from serving."""
    return (STOP,) if service is not None and service.annotations.get(STOP, "").lower() == "true" else ()


def autoscaler(plan: ServingPlan, planned: PlannedRevision, workload: str) -> Json:
    """The autoscaler of a revision whose number of replicas is not fixed."""
    scaling = planned.scaling or Scaling()
    return {
        "apiVersion": AUTOSCALER.api_version,
        "kind": AUTOSCALER.kind,
        "metadata": _metadata(plan, planned.revision, {REVISION_LABEL: planned.revision}),
        "spec": {
            "scaleTargetRef": {"apiVersion": WORKLOAD.api_version, "kind": WORKLOAD.kind, "name": workload},
            "minReplicas": planned.min_replicas,
            "maxReplicas": planned.max_replicas,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": scaling.metric.lower(),
                        "target": {"type": "Utilization", "averageUtilization": scaling.target},
                    },
                }
            ],
        },
    }


def _metadata(plan: ServingPlan, name: str, labels: dict[str, str]) -> Json:
    """Nothing is copied from the ModelDeployment's own metadata: Argo CD's tracking label would come along, and
    Argo CD would prune the children."""
    return {
        "name": name,
        "namespace": plan.namespace,
        "labels": {MANAGED_BY: MANAGER, DEPLOYMENT_LABEL: plan.name, **labels},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": MODEL_DEPLOYMENT.kind,
                "name": plan.name,
                "uid": plan.uid,
                "controller": True,
                # True would keep a foreground deletion of the parent waiting for KServe's finalizer.
                "blockOwnerDeletion": False,
            }
        ],
    }


def _model(served: str, template: Template) -> Json:
    """The model server. Every revision serves the model under the same name, so that clients' paths stay the same."""
    model: Json = {
        "modelFormat": {"name": template.model_format},
        # Without runtime and protocol KServe looks for a v1 runtime for mlflow and finds none (predictor_model.go).
        "runtime": template.runtime,
        "protocolVersion": template.protocol.value,
        "storageUri": template.artifact_uri,
        "readinessProbe": {
            "httpGet": {"path": _ready_path(served, template.protocol), "port": SERVER_PORT},
            "periodSeconds": PROBE_PERIOD_SECONDS,
            "timeoutSeconds": PROBE_TIMEOUT_SECONDS,
            "failureThreshold": PROBE_FAILURES,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
    }
    env, args = _server(served, template)
    env += [to_wire(variable) for variable in template.env]
    if env:
        model["env"] = env
    if args:
        model["args"] = args
    if template.resources is not None:
        model["resources"] = to_wire(template.resources)
    return model


def _scraping(family: str) -> Json:
    """Annotations of the pods by which a Prometheus finds the metrics of its model server.

    KServe's own way names port 9091, Knative's queue-proxy, in Standard mode too, and overwrites what is written here
    where its ConfigMap turns it on for all (kserve v0.20 metrics_aggregate_injector.go); the ports of its runtimes'
    annotations are not those of the servers (kserve#6227).
    """
    server = SERVERS.get(family)
    if server is None:
        return {}
    annotations = {
        "serving.kserve.io/enable-prometheus-scraping": "false",
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(server.port),
        "prometheus.io/path": server.path,
    }
    return {"annotations": annotations}


def _server(served: str, template: Template) -> tuple[list[Json], list[str]]:
    """Environment and arguments that tell the family of server the model's name and the number of processes."""
    if template.server == "MLServer":
        env: list[Json] = [{"name": "MLSERVER_MODEL_NAME", "value": served}]
        if template.workers is not None:
            # 0 serves from the main process; with 1 there would be a second one that only forwards.
            workers = 0 if template.workers == 1 else template.workers
            env.append({"name": "MLSERVER_PARALLEL_WORKERS", "value": str(workers)})
        return env, []
    # KServe's own servers: arguments are added to the runtime's, and the last one of a name counts.
    args = [f"--model_name={served}"]
    if template.workers is not None:
        args.append(f"--workers={template.workers}")
    return [], args


def _ready_path(served: str, protocol: Protocol) -> str:
    return f"/v2/models/{served}/ready" if protocol is Protocol.V2 else f"/v1/models/{served}"


def _service(revision: str) -> str:
    return revision + SERVICE_SUFFIX


def _revision(service: str) -> str:
    return service.removesuffix(SERVICE_SUFFIX)
