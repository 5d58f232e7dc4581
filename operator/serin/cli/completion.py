"""What the shell may complete. A completion never complains: where the cluster does not answer, there is none."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator

import typer

from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import NAMESPACE
from serin.api.kinds import Kind
from serin.cli.exits import CommandError
from serin.cli.names import PREFIX
from serin.cli.reach import Where
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import text
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


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Completes an option that knows these words."""

    def complete(incomplete: str) -> list[str]:
        return _matching(iter(words), incomplete)

    return complete


def revisions(context: typer.Context, incomplete: str) -> list[str]:
    """Revisions that the order may be for: the one that its verb chooses, of several rejected ones any."""
    # Left over where the option has no value yet (typer/_click/parser.py stops there).
    name = PREFIX.sub("", context.params.get("name") or next(iter(context.args), ""))
    found = [Seen(body) for body in _bodies(context, MODEL_DEPLOYMENT) if body["metadata"]["name"] == name]
    names: Iterator[str] = iter(())
    if found and context.info_name == "retry":
        names = (text(entry.get("revision")) for entry in found[0].rejected)
    elif found:
        role = found[0].stable if context.info_name == "undo" else found[0].candidate
        names = iter([role.revision] if role else [])
    return _matching(names, incomplete)


def _objects(context: typer.Context, kind: Kind) -> Iterator[str]:
    return (str(body["metadata"]["name"]) for body in _bodies(context, kind))


def _bodies(context: typer.Context, kind: Kind) -> Iterator[Json]:
    asked = {key: context.params.get(key) for key in ("kubeconfig", "context", "namespace")}
    where = Where(**asked)
    try:
        session = where.session(seconds=PATIENCE_SECONDS)
        inside = where.namespace_of(session) if kind.namespaced else None
        yield from session.list(kind, inside)
    except (SerinError, CommandError):
        return


def _matching(words: Iterator[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))
