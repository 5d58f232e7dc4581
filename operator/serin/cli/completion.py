"""What the shell may complete. A completion never complains: where the cluster does not answer, there is none."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import NAMESPACE
from serin.api.kinds import Kind
from serin.cli.exits import CommandError
from serin.cli.names import PREFIX
from serin.cli.reach import Where
from serin.errors import SerinError

# Nobody waits longer for a word that takes less to type.
PATIENCE_SECONDS = 2.0


def names(context: typer.Context, incomplete: str) -> list[str]:
    """ModelDeployments of the namespace, also behind kubectl's prefix."""
    prefix = PREFIX.match(incomplete)
    begun = prefix.group() if prefix else ""
    return [begun + name for name in _matching(_objects(context, MODEL_DEPLOYMENT), incomplete.removeprefix(begun))]


def namespaces(context: typer.Context, incomplete: str) -> list[str]:
    """Namespaces of the cluster."""
    return _matching(_objects(context, NAMESPACE), incomplete)


def contexts(context: typer.Context, incomplete: str) -> list[str]:
    """Contexts of the kubeconfig."""
    from serin.cluster.access import contexts_of

    try:
        return _matching(iter(contexts_of(context.params.get("kubeconfig"))), incomplete)
    except SerinError:
        return []


def _objects(context: typer.Context, kind: Kind) -> Iterator[str]:
    asked = {key: context.params.get(key) for key in ("kubeconfig", "context", "namespace")}
    where = Where(**asked)
    try:
        session = where.session(seconds=PATIENCE_SECONDS)
        inside = where.namespace_of(session) if kind.namespaced else None
        for body in session.list(kind, inside):
            yield str(body["metadata"]["name"])
    except (SerinError, CommandError):
        return


def _matching(words: Iterator[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))
