"""The verbs that order something: promote, approve, abort, retry, pause, resume, undo.

The order is written as an annotation, only onto the very state of the object that was looked at, and then the
operator's answer is waited for.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from serin.api.base import GROUP
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.cli import options
from serin.cli import terminal
from serin.cli import times
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.follow import Deadline
from serin.cli.follow import follow
from serin.cli.reach import CONFLICT
from serin.cli.reach import Where
from serin.cli.reach import explain
from serin.cli.reach import read
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.cli.verbs import Order
from serin.cli.verbs import Verb
from serin.errors import ClusterError

if TYPE_CHECKING:
    from serin.cluster.session import Session

ATTEMPTS = 10
WHO_LENGTH = 63

Revision = Annotated[
    str | None,
    typer.Option(help="The revision it is for; refused where it is not that one any more.", show_default=False),
]
Wait = Annotated[bool, typer.Option(help="Wait until the operator has answered.")]
Timeout = Annotated[str, typer.Option(help="How long to wait for the answer.", metavar="DURATION")]


def command(verb: Verb) -> Callable[..., None]:
    """The command of a verb."""

    def give(
        name: options.Name,
        namespace: options.Namespace = None,
        revision: Revision = None,
        wait: Wait = True,
        timeout: Timeout = "10s",
        context: options.Context = None,
        kubeconfig: options.Kubeconfig = None,
    ) -> None:
        patience = options.seconds(timeout, "--timeout")
        where = Where(kubeconfig, context, namespace)
        session = where.session()
        seen = read(session, where.namespace_of(session), name)
        order = verb.order(seen, revision)
        terminal.out().print(f"{verb.word} {order.revision}: {order.effect}")
        value = f"{order.revision}#{who(session.user)}/{stamp()}"
        written = _write(session, seen, verb, order, revision, value)
        if wait:
            _answer(session, written, verb, value, Deadline(patience), timeout)
        else:
            terminal.out().print(f"given; serin status {name} -n {seen.namespace} shows the operator's answer")

    give.__doc__ = (
        f"{verb.purpose}\n\n"
        "The order is an annotation that names the revision; it is carried out once. Exit code 6 where it is refused, "
        "5 where the operator did not answer in time.\n\n"
        # A paragraph that begins with \b is not wrapped.
        "\b\nWith kubectl alone:\n"
        f"  revision=$(kubectl get modeldeployment NAME -o jsonpath='{{{verb.path}}}')\n"
        f'  kubectl annotate --overwrite modeldeployment NAME {GROUP}/{verb.word}="$revision#$(date +%s)"'
    )
    return give


def who(user: str) -> str:
    """The context's user, or the one of this machine, in letters that an order may have."""
    if not user:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = "unknown"
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", user).strip("-")[:WHO_LENGTH] or "unknown"


def stamp() -> str:
    """This moment, so that each order is another one."""
    return times.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write(session: Session, seen: Seen, verb: Verb, order: Order, revision: str | None, value: str) -> Seen:
    """The object with the order. On a conflict it is looked at anew: the order must be for the same revision still."""
    for _ in range(ATTEMPTS):
        patch = {"metadata": {"resourceVersion": seen.version, "annotations": {f"{GROUP}/{verb.word}": value}}}
        try:
            return Seen(session.patch(MODEL_DEPLOYMENT, seen.namespace, seen.name, patch))
        except ClusterError as error:
            if error.status != CONFLICT:
                raise explain(error, session.server, f"annotate ModelDeployment {seen.name}") from error
        fresh = read(session, seen.namespace, seen.name)
        again = verb.order(fresh, revision)
        if fresh.uid != seen.uid or again.revision != order.revision:
            raise CommandError(
                f"meanwhile it would be for {again.revision}, no longer for {order.revision}: nothing was ordered",
                f"Look again: serin status {seen.name} -n {seen.namespace}",
                code=Exit.REFUSED,
            )
        seen = fresh
    raise CommandError(
        f"{seen.name} changes faster than an order can be written: {ATTEMPTS} attempts met a newer state",
        "Try again.",
    )


def _answer(session: Session, seen: Seen, verb: Verb, value: str, deadline: Deadline, timeout: str) -> None:
    """Wait for the operator's answer and print it. Raises CommandError where it refused or did not answer."""
    for change in follow(session, seen, deadline):
        if not isinstance(change, Seen):
            continue
        handled = change.handled.get(verb.word, {})
        if handled.get("value") == value:
            _conclude(verb, text(handled.get("result")), text(handled.get("message")))
            return
        asked = change.annotations.get(f"{GROUP}/{verb.word}")
        if asked != value:
            raise CommandError(
                f"another order took the place of this one: {verb.word} {text(asked) or 'was removed'}",
                f"Look again: serin status {seen.name} -n {seen.namespace}",
                code=Exit.REFUSED,
            )
    raise CommandError(
        f"the operator has not answered within {timeout}; the order stands, and it carries it out when it sees it",
        "Is it running? kubectl get pods -A -l app.kubernetes.io/name=serin",
        code=Exit.TIMED_OUT,
    )


def _conclude(verb: Verb, result: str, message: str) -> None:
    if result == "Refused":
        raise CommandError(f"{verb.word} was refused: {message}", code=Exit.REFUSED)
    terminal.out().print(f"{result.lower() or 'done'}: {message}" if message else result.lower() or "done")
