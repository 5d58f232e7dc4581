"""What a data scientist does in the registry: move an alias. Through MLflow's REST API, from within its own pod.

From within, because the machine cannot reach a Service on every kind of cluster, and kubectl can reach every pod.
"""

import json

from e2e.stack import registry
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import KubectlError

# Reads one call from standard input. MLflow's own client would take three seconds to import.
_CALL = """
import json, sys, urllib.error, urllib.request
method, path, body = json.load(sys.stdin)
request = urllib.request.Request("http://localhost:5000/api/2.0/mlflow/" + path, json.dumps(body).encode(),
                                 {"Content-Type": "application/json"}, method=method)
try:
    print(urllib.request.urlopen(request, timeout=20).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {error.read().decode()}")
"""


def move(kubectl: Kubectl, model: str, alias: str, version: int) -> None:
    """Let the alias of a registered model point at another version."""
    _call(kubectl, "POST", "registered-models/alias", {"name": model, "alias": alias, "version": str(version)})


def forget(kubectl: Kubectl, model: str) -> None:
    """Delete a registered model with its versions, so that numbering begins at 1 again. Quiet where there is none."""
    try:
        _call(kubectl, "DELETE", "registered-models/delete", {"name": model})
    except KubectlError as error:
        if "RESOURCE_DOES_NOT_EXIST" not in str(error):
            raise


def _call(kubectl: Kubectl, method: str, path: str, body: dict[str, str]) -> None:
    where = ["deployment/mlflow", "-n", registry.NAMESPACE, "-c", "mlflow"]
    kubectl.run("exec", "-i", *where, "--", "python3", "-c", _CALL, stdin=json.dumps([method, path, body]))
