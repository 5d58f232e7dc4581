"""The registry layer: asks MLflow which version a name stands for, and where its artifacts are.

It stands between the controller and the registry's HTTP API and is the only user of the MLflow library. It knows no
Kubernetes: it gets plain values (a URL, credentials, the API's models) and gives plain values or a ``RegistryError``.
"""

from __future__ import annotations

import os
from importlib import import_module

from serin.lean import import_lean

# MLflow reads both while it is imported, so they stand before any import of it in this package. Without the first it
# starts a telemetry thread that calls home; without the second it takes over the process's logging.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")

# ``import mlflow`` loads tracking, tracing, evaluation and a web framework: 34 MB, of which its HTTP client, which is
# all that is used here, needs a third. Its modules import each other in circles, so the entities must come first.
if (package := import_lean("mlflow")) is not None:
    vars(package)["__version__"] = import_module("mlflow.version").VERSION
    import_lean("mlflow.tracking")
    import_module("mlflow.entities")
