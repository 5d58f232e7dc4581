"""``serin why``: the object as it is now, in words, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.padding import Padding
from rich.text import Text

from serin.cli import options
from serin.cli import terminal
from serin.cli import times
from serin.cli.checks import check_lines
from serin.cli.pods import trouble
from serin.cli.reach import Where
from serin.cli.reach import read
from serin.cli.remedies import BY_PHASE
from serin.cli.remedies import BY_REASON
from serin.cli.screen import model
from serin.cli.screen import traffic
from serin.cli.seen import Seen
from serin.cli.seen import text


def why(
    name: options.Name,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Explain the state in words, and what would change it.

    With kubectl alone: kubectl get modeldeployment NAME -n NAMESPACE -o jsonpath='{.status.message}'
    """
    where = Where(kubeconfig, context, namespace)
    session = where.session()
    seen = read(session, where.namespace_of(session), name)
    console = terminal.out()
    for title, sentences in explanation(seen, times.now(), trouble(session, seen)):
        told = [sentence for sentence in sentences if sentence]
        if told:
            console.print(Text(title, "bold"))
            for sentence in told:
                console.print(Padding(Text(sentence), (0, 0, 0, 2)))


def explanation(seen: Seen, now: datetime, pods: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Headings and their sentences."""
    yield f"{seen.name} in {seen.namespace} is {seen.phase}", [seen.message or "The operator has said nothing yet."]
    yield "What is declared", _declared(seen)
    yield "What serves", _serving(seen, now)
    yield "What is on its way", _rolling(seen, now)
    yield "What the checks say", [line.plain for line in check_lines(seen, now)]
    yield "What was taken back last", _taken_back(seen, now)
    yield "What the pods say", pods
    yield "What would change it", _changes(seen)


def _declared(seen: Seen) -> list[str]:
    sentences = [f"{model(seen)}."]
    if not seen.current and not seen.deleting:
        sentences.append("The operator has not looked at the last change of the spec yet; what follows is older.")
    resolved = seen.conditions.get("ModelResolved")
    if resolved is not None and resolved.status != "True":
        sentences.append(f"What that stands for is not known: {resolved.message}")
    return sentences


def _serving(seen: Seen, now: datetime) -> list[str]:
    sentences = [f"Requests, as the gateway has them: {traffic(seen)}."]
    if seen.stable:
        sentences.append(f"{seen.stable.version} is the stable version since {times.when(seen.stable.since, now)}.")
    for kind in ("Available", "TrafficRouted"):
        condition = seen.conditions.get(kind)
        if condition is not None and condition.status == "False":
            sentences.append(f"{kind} is False: {condition.message}.")
    return sentences


def _rolling(seen: Seen, now: datetime) -> list[str]:
    if not seen.rollout or seen.candidate is None:
        return []
    sentences = [
        f"{seen.candidate.version} since {times.when(times.parse(seen.rollout.get('startedAt')), now)}, "
        f"step {text(seen.rollout.get('progress'))}."
    ]
    waiting = text(seen.rollout.get("waitingFor"))
    if waiting:
        sentences.append(f"It waits for {waiting}.")
    if seen.rollout.get("warning"):
        sentences.append(f"Its gates warn: {text(seen.rollout.get('warning'))}.")
    if seen.paused:
        since = times.when(times.parse(seen.paused.get("since")), now)
        sentences.append(f"It is paused since {since}: {text(seen.paused.get('message'))}")
    for field, told in (
        ("nextAt", "The step's hold ends"),
        ("deadlineAt", "The deadline of the whole rollout is"),
    ):
        at = times.parse(seen.rollout.get(field))
        if at is not None and at > now:
            sentences.append(f"{told} {times.when(at, now)}.")
    return sentences


def _taken_back(seen: Seen, now: datetime) -> list[str]:
    """The newest rejection, as long as it is what the state is about."""
    if not seen.rejected or seen.phase not in ("RolledBack", "RollingBack"):
        return []
    last = seen.rejected[0]
    when = times.when(times.parse(last.get("at")), now)
    return [f"{text(last.get('revision'))}, {when}: {text(last.get('reason'))}: {text(last.get('message'))}"]


def _changes(seen: Seen) -> list[str]:
    filled = {"name": seen.name, "candidate": seen.candidate.version if seen.candidate else "the candidate"}
    known = (BY_REASON.get(seen.reason, ""), BY_PHASE.get(seen.phase, ""))
    return [sentence.format(**filled) for sentence in known if sentence]
