"""What the pods of a ModelDeployment say of themselves, where something is wrong, in the operator's own reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import POD
from serin.cli.reach import FORBIDDEN
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.errors import ClusterError

if TYPE_CHECKING:
    from serin.cluster.session import Session


def trouble(session: Session, seen: Seen) -> list[str]:
    """A sentence for each pod that is in trouble. Not to be allowed to look is no error."""
    from serin.serving.pods import replica

    selector = f"{DEPLOYMENT_LABEL}={seen.name}"
    try:
        bodies = session.list(POD, seen.namespace, selector=selector)
    except ClusterError as error:
        hint = "you may not list pods here" if error.status == FORBIDDEN else text(error.message)
        return [f"cannot be looked at: {hint}"]
    found = [replica(body) for body in bodies]
    return [
        f"{one.revision}: {text(one.failure.message)}"
        for one in sorted((one for one in found if one is not None), key=lambda one: (one.revision, one.name))
        if one.failure is not None
    ]
