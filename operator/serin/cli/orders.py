"""The verbs that order something: promote, approve, abort, retry, pause, resume, undo.

The order is written as an annotation, only onto the very state of the object that was looked at, and then the
operator's answer is waited for.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Annotated

import typer

from serin.api.group import GROUP
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
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.cli.verbs import Order
from serin.cli.verbs import Verb
from serin.cli.verbs import at
from serin.errors import ClusterError

if TYPE_CHECKING:
    from serin.cluster.session import Session

ATTEMPTS = 10
WHO_LENGTH = 63
SERVER_ERROR = 500

Revision = Annotated[
    str | None,
    typer.Option(
        help="The revision it is for; refused where it is not that one any more.",
        autocompletion=options.completion.revisions,
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option(help="Wait until the operator has answered.")]
Timeout = Annotated[str, typer.Option(help="How long to wait for the answer.", metavar="DURATION")]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is waited for, as a number and as it was written."""

    seconds: float | None
    written: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator made of an order; all empty where nobody waited."""

    result: str = ""
    message: str = ""
    stop: CommandError | None = None
    """Why the command ends otherwise than well."""

    @property
    def told(self) -> str:
        """For people."""
        return ": ".join(part for part in (self.result.lower(), self.message) if part)


def command(verb: Verb) -> Callable[..., None]:
    """The command of a verb."""

    def give(
        name: options.Name,
        namespace: options.Namespace = None,
        revision: Revision = None,
        wait: Wait = True,
        timeout: Timeout = "10s",
        output: options.Output = "text",
        context: options.Context = None,
        kubeconfig: options.Kubeconfig = None,
    ) -> None:
        machine = options.as_json(output)
        patience = Patience(options.seconds(timeout, "--timeout"), timeout)
        where = Where(kubeconfig, context, namespace)
        session = where.session()
        seen = read(session, where.namespace_of(session), name)
        order = verb.order(seen, revision)
        if not machine:
            terminal.say(terminal.out(), f"{verb.word} {order.revision}: {order.effect}")
        value = f"{order.revision}#{who(session.user)}/{stamp()}"
        with _told_when_interrupted(seen, "stopped while the order was written: it may stand"):
            written = _write(session, seen, verb, order, revision, value)
        answer = _answer(session, written, verb, value, patience) if wait else Answer()
        if machine:
            terminal.machine(_as_told(seen, verb, order, value, answer))
        if answer.stop is not None:
            raise answer.stop
        if not machine:
            given = f"given; serin status {at(seen)} shows the operator's answer"
            terminal.say(terminal.out(), answer.told or given)

    give.__doc__ = (
        f"{verb.purpose}\n\n"
        "The order is an annotation that names the revision; it is carried out once. Exit code 6 where it is refused, "
        "5 where the operator did not answer in time.\n\n"
        "-o json prints what was ordered and the answer: {order, name, namespace, revision, value, effect, result, "
        "message}; result is Done, Refused, or null without an answer.\n\n"
        # A paragraph that begins with \b is not wrapped.
        "\b\nWith kubectl alone:\n"
        "  revision=$(kubectl get modeldeployment NAME -n NAMESPACE \\\n"
        f"    -o jsonpath='{{{verb.path}}}')\n"
        "  kubectl annotate --overwrite modeldeployment NAME -n NAMESPACE \\\n"
        f'    {GROUP}/{verb.word}="$revision#$(date +%s)"'
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
                raise _unwritten(error, session, seen) from error
        fresh = read(session, seen.namespace, seen.name)
        again = verb.order(fresh, revision)
        if fresh.uid != seen.uid or again.revision != order.revision:
            raise CommandError(
                f"meanwhile it would be for {again.revision}, no longer for {order.revision}: nothing was ordered",
                f"Look again: serin status {at(seen)}",
                code=Exit.REFUSED,
            )
        seen = fresh
    raise CommandError(
        f"{seen.name} changes faster than an order can be written: {ATTEMPTS} attempts met a newer state",
        "Try again.",
    )


def _unwritten(error: ClusterError, session: Session, seen: Seen) -> CommandError:
    """Why the order was not written, as far as that is known: an answer that is lost says nothing."""
    told = explain(error, session.server, f"annotate ModelDeployment {seen.name}")
    if 0 < error.status < SERVER_ERROR:
        return told
    return CommandError(
        f"{told.message}; the order may stand all the same, and the operator then carries it out",
        f"serin status {at(seen)} shows the answer.",
    )


def _answer(session: Session, seen: Seen, verb: Verb, value: str, patience: Patience) -> Answer:
    """What the operator says to the order, or why nothing more is waited for."""
    try:
        with _told_when_interrupted(seen, "no longer waiting for the answer: the order stands"):
            for change in follow(session, seen, Deadline(patience.seconds)):
                if not isinstance(change, Seen):
                    continue
                handled = change.handled.get(verb.word, {})
                if handled.get("value") == value:
                    return _answered(verb, text(handled.get("result")), text(handled.get("message")))
                asked = change.annotations.get(f"{GROUP}/{verb.word}")
                if asked != value:
                    return Answer(stop=_overtaken(seen, f"{verb.word} {text(asked) or 'was removed'}"))
    except CommandError as stop:
        return Answer(stop=stop)
    return Answer(
        stop=CommandError(
            f"the operator has not answered within {patience.written}; the order stands, and it carries it out when it "
            "sees it",
            "Is it running? kubectl get pods -A -l app.kubernetes.io/name=serin",
            code=Exit.TIMED_OUT,
        )
    )


def _answered(verb: Verb, result: str, message: str) -> Answer:
    refused = CommandError(f"{verb.word} was refused: {message}", code=Exit.REFUSED) if result == "Refused" else None
    return Answer(result or "Done", message, refused)


def _overtaken(seen: Seen, by: str) -> CommandError:
    return CommandError(
        f"another order took the place of this one: {by}",
        f"Look again: serin status {at(seen)}",
        code=Exit.REFUSED,
    )


@contextmanager
def _told_when_interrupted(seen: Seen, what: str) -> Iterator[None]:
    """Whoever presses Ctrl-C may think that nothing happens then; an order is carried out all the same."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise CommandError(
            f"{what}, and the operator carries it out when it sees it",
            f"serin status {at(seen)} shows the answer.",
            code=Exit.INTERRUPTED,
        ) from stop


def _as_told(seen: Seen, verb: Verb, order: Order, value: str, answer: Answer) -> Json:
    """The stable form for machines."""
    return {
        "order": verb.word,
        "name": seen.name,
        "namespace": seen.namespace,
        "revision": order.revision,
        "value": value,
        "effect": order.effect,
        "result": answer.result or None,
        "message": answer.message,
    }
