"""Models for the tests to roll out: trained and registered in the cluster, by a Job with MLflow's own image.

`register` gives the version numbers. What the Job runs is in training/. Nothing here knows how models are served.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from e2e.stack import registry
from e2e.stack.component import set_images
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object
from e2e.stack.waiting import wait_ready

_SCRIPTS = Path(__file__).parent / "training"
_DEADLINE_SECONDS = 600.0
_END_SECONDS = 120.0
# Label of a Job: which model it trains.
_MODEL = "model"


@dataclass(frozen=True)
class Misbehaviour:
    """What is wrong with a model. All of it happens in the model server, none of it in the tests."""

    damaged: bool = False
    """An artifact is cut off, so that loading raises."""
    load_seconds: float = 0.0
    predict_seconds: float = 0.0
    error_every: int = 0
    """Each so-manieth prediction raises; 0: none."""
    good_calls: int = 0
    """Predictions before the first one that raises."""
    memory_mib: int = 0
    """Memory that the loaded model holds on to."""
    crash_on: float | None = None
    """The input at which the process ends at once, without a word to whoever asked."""


@dataclass(frozen=True)
class Version:
    """One version of a model that answers its input times `factor`."""

    factor: float = 1.0
    columns: int = 1
    """Input columns: another number is another signature."""
    named: bool = False
    """Whether the columns have names (input-0, input-1, …), as those of a table have. Otherwise all are one tensor."""
    dtype: str = "float64"
    """What the columns are of."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Sequence[str] = ()
    misbehaviour: Misbehaviour | None = None
    """None: a scikit-learn model, and a good one."""


GOOD = Version(factor=1.0, aliases=("champion",))
BETTER = Version(factor=2.0)
BROKEN = Version(factor=3.0, misbehaviour=Misbehaviour(damaged=True))


def register(kubectl: Kubectl, mlflow_image: str, name: str, versions: Sequence[Version]) -> list[int]:
    """Train and register `versions` of the model `name`; their numbers.

    Raises:
        NotReadyError: the Job failed; with the end of its log.
    """
    order = json.dumps({"name": name, "versions": [asdict(version) for version in versions]})
    job = _job(f"train-{uuid.uuid4().hex[:8]}", name, order)
    set_images([job], {"mlflow": mlflow_image})
    kubectl.apply([_scripts(), job])
    wait_ready(kubectl, [job], _DEADLINE_SECONDS)
    log = kubectl.run("logs", f"job/{job['metadata']['name']}", "-n", registry.NAMESPACE, "-c", "train")
    numbers: list[int] = json.loads(log.splitlines()[-1])
    return numbers


def end_training(kubectl: Kubectl, name: str) -> None:
    """End what a run that was killed has left at work on the model `name`: it would go on registering versions."""
    whose = ["-l", f"{_MODEL}={_label(name)}", "-n", registry.NAMESPACE]
    # In the foreground: until its pod is gone, too.
    kubectl.run("delete", "jobs", *whose, "--cascade=foreground", "--wait", f"--timeout={_END_SECONDS:.0f}s")


def _label(name: str) -> str:
    """For a name that may have spaces, as MLflow allows it."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _scripts() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "training", "namespace": registry.NAMESPACE},
        "data": {script.name: script.read_text() for script in sorted(_SCRIPTS.glob("*.py"))},
    }


def _job(name: str, model: str, order: str) -> Object:
    train = {
        "name": "train",
        "image": "mlflow",
        "command": ["python3", "/training/train.py", order],
        "env": [{"name": "MLFLOW_TRACKING_URI", "value": registry.URL}],
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "training", "mountPath": "/training"}],
    }
    pod = {
        "restartPolicy": "Never",
        # The container's first process: it ends by nothing else.
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [train],
        "volumes": [{"name": "training", "configMap": {"name": "training"}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": registry.NAMESPACE, "labels": {_MODEL: _label(model)}},
        # Registering twice would make two versions of each, so a failure is final.
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 600, "template": {"spec": pod}},
    }
