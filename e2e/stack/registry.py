"""The model registry: an MLflow server, the S3 gateway that keeps its artifacts, and what a namespace needs of it.

Their data lives as long as their pods. A test that wants MLflow to be away makes its Service point nowhere
(`unreachable`), so that it comes back with what it had.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager

from e2e.stack.component import Component
from e2e.stack.component import namespace
from e2e.stack.component import own_manifest
from e2e.stack.component import set_images
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object
from e2e.stack.progress import StackError

NAMESPACE = "mlflow"
URL = "http://mlflow.mlflow.svc:5000"
"""The tracking server, as pods reach it."""
ARTIFACTS = "s3://models/mlflow/"
"""Where `mlflow-artifacts:/` URIs of this server really are."""
SERVICE_ACCOUNT = "models"

_S3_HOST = "s3.mlflow.svc:7070"


def _objects(_: Kubectl, references: Mapping[str, str]) -> list[Object]:
    workloads = [*own_manifest("store"), *own_manifest("mlflow")]
    set_images(workloads, references)
    return [namespace(NAMESPACE), *workloads]


def model_namespace(kubectl: Kubectl, name: str) -> None:
    """Make the namespace and, in it, the ServiceAccount `models` whose pods may read the models' bucket."""
    secret = kubectl.get("secret", "s3", NAMESPACE)
    if secret is None:
        raise StackError(f"Secret {NAMESPACE}/s3 does not exist: install the stack first (python -m e2e.stack install)")
    # The form that KServe's storage initializer reads: credentials in a Secret of the ServiceAccount, the rest in its
    # annotations.
    annotations = {
        "s3-endpoint": _S3_HOST,
        "s3-usehttps": "0",
        "s3-region": "us-east-1",
        "s3-usevirtualbucket": "false",
    }
    credentials = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s3",
            "namespace": name,
            "annotations": {f"serving.kserve.io/{key}": value for key, value in annotations.items()},
        },
        "type": "Opaque",
        "data": secret["data"],
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": SERVICE_ACCOUNT, "namespace": name},
        "secrets": [{"name": "s3"}],
    }
    kubectl.apply([namespace(name), credentials, account])


@contextmanager
def unreachable(kubectl: Kubectl) -> Iterator[None]:
    """MLflow refuses connections while the block runs, those it had hang, and it has its data afterwards."""
    service = ["patch", "service", "mlflow", "-n", NAMESPACE, "--type=merge", "-p"]
    kubectl.run(*service, '{"spec":{"selector":{"app":"nothing"}}}')
    # A connection that is kept alive goes on reaching the pod, whatever the Service selects.
    _signal_server(kubectl, "SIGSTOP")
    try:
        yield
    finally:
        _signal_server(kubectl, "SIGCONT")
        kubectl.run(*service, '{"spec":{"selector":{"app":"mlflow"}}}')


def _signal_server(kubectl: Kubectl, name: str) -> None:
    """Send a signal to the process that answers requests, a child of the container's first."""
    script = (
        "import os, signal\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    if b'uvicorn' in open(f'/proc/{pid}/cmdline', 'rb').read().split(b'\\0'):\n"
        f"        os.kill(int(pid), signal.{name})\n"
    )
    kubectl.run("exec", "deployment/mlflow", "-n", NAMESPACE, "-c", "mlflow", "--", "python3", "-c", script)


COMPONENT = Component("registry", ("versitygw", "mlflow"), _objects)
