"""The objects that are measured with: ModelDeployments of the usual size, and copies of them for the bare client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from bench.registry import ALIAS
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import Kind
from serin.api.modeldeployment import EnvVar
from serin.api.modeldeployment import Protocol
from serin.api.status import Template
from serin.rollout.decision import PlannedRevision
from serin.rollout.decision import ServingPlan
from serin.serving.kserve import inference_service

Json = dict[str, Any]

NAMESPACE = "bench"
OPERATOR_NAMESPACE = "serin-system"
BARE_NAMESPACE = "bare"
BARE_GROUP = "bare.example.com"
COPY = Kind(BARE_GROUP, MODEL_DEPLOYMENT.version, MODEL_DEPLOYMENT.kind, MODEL_DEPLOYMENT.plural)
GATEWAY = {"name": "public", "namespace": "gateways"}
CRDS = Path(__file__).parent.parent / "crds"


def name_of(index: int) -> str:
    """Name of a ModelDeployment and of its model."""
    return f"model-{index:05d}"


def index_of(name: str) -> int:
    """The inverse of :func:`name_of`."""
    return int(name.removeprefix("model-"))


def follows(index: int) -> bool:
    """Every second one follows an alias, the others name a version."""
    return index % 2 == 1


def deployment(index: int) -> Json:
    """A ModelDeployment as people write it. It rolls out at once, so that few rollouts overlap."""
    reference: Json = {"alias": ALIAS} if follows(index) else {"version": 1}
    return {
        "metadata": {"name": name_of(index), "labels": {"team": "payments", "app.kubernetes.io/part-of": "bench"}},
        "spec": {
            "model": {"name": name_of(index), **reference},
            "serving": {"resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}}},
            "traffic": {"timeout": "1s"},
            "rollout": {"readiness": {"stableFor": "0s"}, "keepPrevious": "0s"},
        },
    }


def env_change(value: int) -> Json:
    """A change of the spec that makes a new revision of the same version."""
    return {"spec": {"serving": {"env": [{"name": "CHANGE", "value": str(value)}]}}}


def version_change(version: int) -> Json:
    """A change of the spec to another version."""
    return {"spec": {"model": {"version": version}}}


def copied_crd() -> Json:
    """The CRD of ModelDeployment, schema and rules and all, in the bare client's own group."""
    text = (CRDS / "serin.dev_modeldeployments.yaml").read_text()
    crd: Json = yaml.load(text, yaml.CSafeLoader)
    crd["metadata"]["name"] = f"{COPY.plural}.{BARE_GROUP}"
    crd["spec"]["group"] = BARE_GROUP
    # Names are for people; two kinds with one short name would be told apart by chance.
    crd["spec"]["names"].pop("shortNames", None)
    crd["spec"]["names"].pop("categories", None)
    return crd


def bare_service(owner: Json, name: str, version: str, change: str) -> Json:
    """The InferenceService that the operator would write, under labels that the operator does not look at."""
    template = Template(
        backend="KServe",
        runtime="kserve-mlserver",
        model_format="mlflow",
        server="MLServer",
        protocol=Protocol.V2,
        artifact_uri=f"s3://models/{owner['name']}/{version}/artifacts",
        digest="",
        env=(EnvVar(name="CHANGE", value=change),),
        resources={"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"memory": "2Gi"}},
    )
    plan = ServingPlan(name=owner["name"], namespace=owner["namespace"], uid=owner["uid"])
    planned = PlannedRevision(name, f"v{version}", template, 1, 1, None)
    text = json.dumps(inference_service(plan, planned))
    body: Json = json.loads(text.replace(DEPLOYMENT_LABEL.partition("/")[0], BARE_GROUP))
    return body
