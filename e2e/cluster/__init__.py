"""The cluster half of the end-to-end tests: a Kubernetes to work on, and a way to bring images to it.

Three kinds stand behind one small interface: one built from source in a network namespace of its own, kind, and
whatever a kubeconfig names. Only this package knows which of them it is; nothing here knows what is installed on it.
"""

from e2e.cluster.choose import open_cluster
from e2e.cluster.interface import Cluster
from e2e.cluster.interface import ClusterError

__all__ = ["Cluster", "ClusterError", "open_cluster"]
