"""The registry layer: asks MLflow which version a name stands for, and where its artifacts are.

It stands between the controller and the registry's HTTP API and is the only user of the MLflow library. It knows no
Kubernetes: it gets plain values (a URL, credentials, the API's models) and gives plain values or a ``RegistryError``.
"""

from __future__ import annotations

import os

# MLflow reads both while it is imported, so they stand before any import of it in this package. Without the first it
# starts a telemetry thread that calls home; without the second it takes over the process's logging.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
