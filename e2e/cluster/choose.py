"""Which kind of cluster is meant. The only place that knows all kinds."""

import os
from pathlib import Path

from e2e.cluster.interface import Cluster
from e2e.cluster.interface import ClusterError
from e2e.cluster.local import LocalCluster

SPECS = "local, local:NAME, kind, kind:NAME, or the path of a kubeconfig"


def open_cluster(spec: str | None = None) -> Cluster:
    """The cluster that `spec`, or else the environment variable SERIN_CLUSTER, names. Starts nothing."""
    spec = spec or os.environ.get("SERIN_CLUSTER") or "local"
    kind, _, name = spec.partition(":")
    if kind == "local":
        return LocalCluster(name or "local")
    raise ClusterError(f"SERIN_CLUSTER={spec!r}")
