"""Which kind of cluster is meant. The only place that knows all kinds."""

import os
from pathlib import Path

from e2e.cluster.given import GivenCluster
from e2e.cluster.interface import Cluster
from e2e.cluster.interface import ClusterError
from e2e.cluster.kind import KindCluster
from e2e.cluster.local import LocalCluster

SPECS = "local, local:NAME, kind, kind:NAME, or the path of a kubeconfig"


def open_cluster(spec: str | None = None) -> Cluster:
    """The cluster that `spec`, or else the environment variable SERIN_CLUSTER, names. Starts nothing.

    Raises:
        ClusterError: it names none.
    """
    spec = spec or os.environ.get("SERIN_CLUSTER") or "local"
    kind, separator, name = spec.partition(":")
    if separator and not name:
        raise ClusterError(f"SERIN_CLUSTER={spec!r} has no name after the colon; it can be {SPECS}")
    if kind == "local":
        return LocalCluster(name or "local")
    if kind == "kind":
        return KindCluster(name or "serin")
    if Path(spec).is_file():
        return GivenCluster(Path(spec).resolve())
    raise ClusterError(f"SERIN_CLUSTER={spec!r} is no kind of cluster and no file; it can be {SPECS}")


def taken_away_by(cluster: Cluster) -> str | None:
    """What a person types to take this very cluster away; nothing where it was given, and stays.

    A bare `make down` is about the local one.
    """
    match cluster:
        case LocalCluster():
            return "make down" if cluster.name == "local" else f"SERIN_CLUSTER=local:{cluster.name} make down"
        case KindCluster():
            return f"SERIN_CLUSTER={cluster.spec} make down"
        case _:
            return None
