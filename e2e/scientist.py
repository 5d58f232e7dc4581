"""What a data scientist does in the registry: move an alias, log a metric. Through MLflow's REST API.

From within its own pod, because the machine cannot reach a Service on every kind of cluster, and kubectl can reach
every pod.
"""

import json
import time

from e2e.stack import models
from e2e.stack import registry
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import KubectlError
from e2e.stack.kubectl import Object

# Reads one call from standard input. MLflow's own client would take three seconds to import.
_CALL = """
import json, sys, urllib.error, urllib.parse, urllib.request
method, path, body = json.load(sys.stdin)
address = "http://localhost:5000/api/2.0/mlflow/" + path
if method == "GET":
    address, body = address + "?" + urllib.parse.urlencode(body), None
request = urllib.request.Request(address, body and json.dumps(body).encode(),
                                 {"Content-Type": "application/json"}, method=method)
try:
    print(urllib.request.urlopen(request, timeout=20).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {error.read().decode()}")
"""


def move_alias(kubectl: Kubectl, model: str, alias: str, version: int) -> None:
    """Let the alias of a registered model point at another version."""
    _call(kubectl, "POST", "registered-models/alias", {"name": model, "alias": alias, "version": str(version)})


def forget(kubectl: Kubectl, model: str) -> None:
    """Delete a registered model with its versions, so that numbering begins at 1 again. Quiet where there is none."""
    models.end_training(kubectl, model)
    try:
        _call(kubectl, "DELETE", "registered-models/delete", {"name": model})
    except KubectlError as error:
        if "RESOURCE_DOES_NOT_EXIST" not in str(error):
            raise


def log_metric(kubectl: Kubectl, model: str, version: int, metric: str, value: float) -> None:
    """Log a metric of a version that is registered already, as whoever evaluates it once more does."""
    asked = {"name": model, "version": str(version)}
    found = _call(kubectl, "GET", "model-versions/get", asked)["model_version"]
    # Since MLflow 3 a version's source is the model that was logged: models:/m-0123.
    whose = {"run_id": found["run_id"], "model_id": found["source"].removeprefix("models:/")}
    logged = {"key": metric, "value": value, "timestamp": time.time_ns() // 1_000_000}
    _call(kubectl, "POST", "runs/log-metric", {**whose, **logged})


def _call(kubectl: Kubectl, method: str, path: str, body: Object) -> Object:
    where = ["deployment/mlflow", "-n", registry.NAMESPACE, "-c", "mlflow"]
    answer = kubectl.run("exec", "-i", *where, "--", "python3", "-c", _CALL, stdin=json.dumps([method, path, body]))
    read: Object = json.loads(answer)
    return read
