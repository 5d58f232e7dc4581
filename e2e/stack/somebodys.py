"""What is on a cluster that was given, and was not put there from here, is somebody's: nobody overwrites it unasked."""

import os
from collections.abc import Sequence

from e2e.cluster.interface import Cluster
from e2e.stack.progress import StackError

_ASKED = "SERIN_OVERWRITE"
_SHOWN = 10


class NotOursError(StackError):
    """Something is there already that was not installed from here."""


def refuse(cluster: Cluster, found: Sequence[str]) -> None:
    """Refuse to go on over what was `found`, unless whoever runs this has said that it may be overwritten.

    Raises:
        NotOursError: with what it is, and the ways on.
    """
    if not found or os.environ.get(_ASKED) == "yes":
        return
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    listed = "\n".join(f"  - {one}" for one in [*found[:_SHOWN], *more])
    raise NotOursError(
        f"the cluster of {cluster.kubeconfig()} has already, not installed from here:\n{listed}\n"
        "It may be in use and would be overwritten, so nothing was changed. Name an empty cluster (SERIN_CLUSTER), or "
        f"set {_ASKED}=yes to have it overwritten"
    )
