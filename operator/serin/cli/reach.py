"""From a command's options to a cluster, and from a cluster's refusals to what a person can do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING
from typing import Any

from serin.api.kinds import MODEL_DEPLOYMENT
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.names import is_namespace
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.errors import ClusterError
from serin.errors import KubeconfigError

if TYPE_CHECKING:
    from serin.cluster.session import Session

Json = dict[str, Any]

UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
GONE = 410

NEAR = 3


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster and namespace a command is about, as its options say."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None

    def session(self, *, seconds: float | None = None) -> Session:
        """The way to the cluster. Raises CommandError."""
        # Imported here: it takes longer than everything else, and --help needs no cluster.
        from serin.cluster.access import find_access
        from serin.cluster.session import Session

        try:
            access = find_access(self.kubeconfig, self.context)
            return Session(access, **({} if seconds is None else {"seconds": seconds}))
        except KubeconfigError as error:
            raise CommandError(str(error)) from error

    def namespace_of(self, session: Session) -> str:
        """The namespace that is asked for, or the context's. Raises CommandError."""
        if self.namespace is None and not is_namespace(session.namespace):
            raise CommandError(
                f"the context's namespace {session.namespace!r} can be none", "Correct the kubeconfig, or name one: -n."
            )
        return self.namespace or session.namespace


@contextmanager
def explained(session: Session, what: str) -> Iterator[None]:
    """Says of the API server's refusals what to do about them. ``what``: such as ``list ModelDeployments``."""
    try:
        yield
    except ClusterError as error:
        raise explain(error, session.server, what) from error


def explain(error: ClusterError, server: str, what: str) -> CommandError:
    """What a person can do about a refusal."""
    said = text(error.message)
    if error.status == 0:
        return CommandError(
            said, "Is the cluster up, and is this the right context? kubectl config current-context says which."
        )
    if error.status == UNAUTHORIZED:
        return CommandError(
            f"the API server {server} does not know you: {said}",
            "Log in again as you would for kubectl; kubectl auth whoami tells whether it worked.",
        )
    if error.status == FORBIDDEN:
        return CommandError(
            f"you may not {what}: {said}",
            "Ask for the ClusterRole view in the namespace to look, and edit to give orders: the chart adds "
            "ModelDeployments to both (rbac.aggregate).",
        )
    if error.status == NOT_FOUND and '" not found' in error.message:
        return CommandError(f"{said}: it was deleted meanwhile", code=Exit.NOT_FOUND)
    if error.status == NOT_FOUND:
        return CommandError(
            f"the cluster {server} has no ModelDeployments: their CustomResourceDefinition is not installed",
            "Install Serin's Helm chart, or choose the cluster that has it with --context.",
        )
    return CommandError(f"the API server refused to {what}: {said} (HTTP {error.status})")


def absent(error: ClusterError, name: str) -> bool:
    """Whether there is no object of that name. A kind that is not installed is answered with 404, too."""
    return error.status == NOT_FOUND and f'"{name}" not found' in error.message


def read(session: Session, namespace: str, name: str) -> Seen:
    """The ModelDeployment. Raises CommandError, with names that are near where there is none of that name."""
    what = f"get ModelDeployment {name} in namespace {namespace}"
    try:
        return Seen(session.get(MODEL_DEPLOYMENT, namespace, name))
    except ClusterError as error:
        if not absent(error, name):
            raise explain(error, session.server, what) from error
    raise CommandError(
        f"there is no ModelDeployment {name} in namespace {namespace}",
        _near(session, namespace, name),
        code=Exit.NOT_FOUND,
    )


def _near(session: Session, namespace: str, name: str) -> str:
    """Where the one that was meant may be."""
    everything = "serin status -A lists all."
    try:
        there = [Seen(body) for body in session.list(MODEL_DEPLOYMENT, None)]
    except ClusterError:
        # Not everybody may look everywhere.
        try:
            there = [Seen(body) for body in session.list(MODEL_DEPLOYMENT, namespace)]
        except ClusterError:
            return everything
    elsewhere = sorted(one.namespace for one in there if one.name == name)
    if elsewhere:
        return f"There is one in {', '.join(elsewhere[:NEAR])}: name it with -n."
    near = get_close_matches(name, [one.name for one in there if one.namespace == namespace], NEAR)
    return f"Did you mean {' or '.join(near)}? {everything}" if near else everything
