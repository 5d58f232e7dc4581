"""What the refusal of a write means: something that people have to know, or something that passes by itself."""

from __future__ import annotations

import re

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import MANAGED_BY
from serin.api.kinds import MANAGER
from serin.api.kinds import Kind
from serin.api.reasons import Reason
from serin.cluster.client import CONFLICT
from serin.cluster.client import FORBIDDEN
from serin.cluster.client import NOT_FOUND
from serin.cluster.client import TOO_MANY_REQUESTS
from serin.cluster.client import UNAUTHORIZED
from serin.cluster.client import Json
from serin.errors import ClusterError
from serin.rollout.observed import Problem

REQUEST_TIMEOUT = 408
# No verdict on what was to be written. A token that is not valid any more, say, is read anew within a minute.
PASSING = frozenset({UNAUTHORIZED, NOT_FOUND, FORBIDDEN, REQUEST_TIMEOUT, CONFLICT, TOO_MANY_REQUESTS})
# What the API server says where it knows the group but not the kind, and where it does not know the group: only the
# first comes as a Status. A namespace that is missing is a 404, too.
NO_SUCH_KIND = ("could not find the requested resource", "404 page not found")
# The verdict of an admission webhook (apiserver pkg/admission/plugin/webhook/errors/statuserror.go); without it the
# webhook was not reached, which the API server calls an error of its own, 500.
DENIED = "denied the request"
# What a route needs of the Gateway API, and since when it has that in its standard channel.
NEWER = {
    ".percent": "install Gateway API 1.3 or newer, or mirror 100 %",
    ".timeouts": "install Gateway API 1.2 or newer",
}
NEWEST = "install a newer Gateway API"
NAMED = 3


class Blocked(Exception):  # noqa: N818 (not an error: a finding that the status tells)
    """A write was refused for a reason that people have to know. ``silence``: what may pass before they have to.

    ``waits``: nothing was refused, what comes before it takes its time.
    """

    def __init__(self, problem: Problem, silence: ClusterError | None = None, *, waits: bool = False) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.silence = silence
        self.waits = waits


def told(kind: Kind, name: str, error: ClusterError, *, overridden: bool = False) -> Exception:
    """The refusal as people must know it, or the error as it is where trying again is all there is to do.

    ``overridden``: people have a part in the object by spec.serving.overrides.
    """
    message = error.message
    unknown = _unknown(message)
    if unknown:
        return Blocked(_too_old(kind, unknown, overridden=overridden))
    if error.status == NOT_FOUND and any(words in message for words in NO_SUCH_KIND):
        if kind is HTTP_ROUTE:
            text = "this cluster has no HTTPRoute: install the Gateway API's custom resources"
            return Blocked(Problem(Reason.GATEWAY_API_NOT_INSTALLED, text))
        text = f"this cluster has no {kind.kind}: install KServe, whose custom resources are missing"
        return Blocked(Problem(Reason.BACKEND_NOT_INSTALLED, text))
    refused = forbidden(error)
    if refused is not None:
        return Blocked(refused)
    if error.status in PASSING:
        return error
    if error.status == 0 or (error.status >= 500 and DENIED not in message):
        # A webhook that was not reached, a storage that is full or has no leader, or no answer at all.
        text = f"{kind.kind} {name} cannot be written: {message}"
        return Blocked(Problem(Reason.BACKEND_UNAVAILABLE, text), silence=error)
    return Blocked(Problem(Reason.BACKEND_REFUSED, f"{kind.kind} {name} was refused: {message}"))


def forbidden(error: ClusterError) -> Problem | None:
    """What somebody has to allow, if that is what is wrong: not where the namespace is on its way out."""
    if error.status != FORBIDDEN or "being terminated" in error.message:
        return None
    reason = Reason.BACKEND_REFUSED if "admission webhook" in error.message else Reason.FORBIDDEN
    return Problem(reason, error.message)


def _unknown(message: str) -> list[str]:
    """Fields that the cluster's schema does not have. A refused patch quotes the whole object before its verdict
    (apiserver pkg/endpoints/handlers/patch.go)."""
    _, strict, verdict = message.rpartition("strict decoding error: ")
    return re.findall(r'unknown field "([^"]+)"', verdict) if strict else []


def conflict(kind: Kind, name: str, owner: str) -> Problem:
    """The name is taken. ``owner`` ends the sentence that begins with the object."""
    return Problem(
        Reason.NAME_CONFLICT,
        f"{kind.kind} {name} exists and {owner}: it is not taken over; "
        "delete it, or give the ModelDeployment another name",
    )


def left(kind: Kind, name: str, what: str) -> Blocked:
    """The object is made when ``what`` was before it is gone, which is a matter of moments."""
    text = (
        f"{kind.kind} {name} is made when {what} is gone: see whether the cluster's garbage collector runs "
        "(kube-controller-manager), or delete it"
    )
    return Blocked(Problem(Reason.NAME_CONFLICT, text), waits=True)


def going(kind: Kind, name: str) -> Blocked:
    """The object is being deleted, which waits for whoever has a finalizer there."""
    text = (
        f"{kind.kind} {name} is being deleted, and is made anew when it is gone: see in its metadata.finalizers "
        f"({_shown(kind, name)}) who holds it back, and whether that runs"
    )
    return Blocked(Problem(Reason.NAME_CONFLICT, text), waits=True)


def whose(metadata: Json, owner: Json | None) -> str:
    """Whose an object is that is not ours."""
    if owner is not None:
        return f"belongs to {owner.get('kind')} {owner.get('name')}"
    labels = metadata.get("labels") or {}
    if isinstance(labels, dict) and labels.get(MANAGED_BY) == MANAGER:
        return "was left behind by a ModelDeployment that was deleted without its children"
    return "was made by somebody else"


def contested(kind: Kind, name: str, fields: list[str]) -> Problem:
    """Somebody else has another idea of these fields."""
    who = f"{_shown(kind, name)} --show-managed-fields"
    return Problem(
        Reason.CONTESTED,
        f"{kind.kind} {name}: somebody undoes every change of {_named(fields)}: find out who writes there ({who}) and "
        "keep them from it; until then it is put right once a minute",
    )


def _shown(kind: Kind, name: str) -> str:
    return f"kubectl get {kind.plural}.{kind.group} {name} -o yaml"


def _named(fields: list[str]) -> str:
    return ", ".join(fields[:NAMED]) + (f" and {len(fields) - NAMED} more" if len(fields) > NAMED else "")


def _too_old(kind: Kind, fields: list[str], *, overridden: bool) -> Problem:
    named = _named(fields)
    if kind is HTTP_ROUTE:
        remedy = next((how for field, how in NEWER.items() if any(one.endswith(field) for one in fields)), NEWEST)
        text = f"the cluster's Gateway API does not know {named}: {remedy}"
        return Problem(Reason.GATEWAY_API_TOO_OLD, text)
    remedy = "correct spec.serving.overrides, or upgrade KServe" if overridden else "upgrade KServe"
    reason = Reason.INVALID_SPEC if overridden else Reason.BACKEND_REFUSED
    return Problem(reason, f"the cluster's KServe does not know {named}: {remedy}")
