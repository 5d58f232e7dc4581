"""``serin why``: the object as it is now, in words, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.padding import Padding
from rich.text import Text

from serin.cli import options
from serin.cli import terminal
from serin.cli import times
from serin.cli.changes import because
from serin.cli.changes import changes
from serin.cli.checks import check_lines
from serin.cli.pods import trouble
from serin.cli.reach import Where
from serin.cli.reach import read
from serin.cli.screen import model
from serin.cli.screen import traffic
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import text


def why(
    name: options.Name,
    namespace: options.Namespace = None,
    output: options.Output = "text",
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Explain the state in words, and what would change it.

    -o json prints {"name", "namespace", "phase", "reason", "sections": [{"title", "sentences"}]}; the reason is one of
    docs/reference/reasons.md.

    With kubectl alone: kubectl get modeldeployment NAME -n NAMESPACE -o jsonpath='{.status.message}'
    """
    machine = options.as_json(output)
    where = Where(kubeconfig, context, namespace)
    session = where.session()
    seen = read(session, where.namespace_of(session), name)
    sections = [
        (title, [sentence for sentence in sentences if sentence])
        for title, sentences in explanation(seen, times.now(), trouble(session, seen))
    ]
    sections = [section for section in sections if section[1]]
    if machine:
        terminal.machine(_as_told(seen, sections))
        return
    console = terminal.out()
    for title, sentences in sections:
        console.print(Text(title, "bold"))
        for sentence in sentences:
            console.print(Padding(Text(sentence), (0, 0, 0, 2)))


def _as_told(seen: Seen, sections: list[tuple[str, list[str]]]) -> Json:
    """The stable form for machines."""
    return {
        "name": seen.name,
        "namespace": seen.namespace,
        "phase": seen.phase,
        "reason": because(seen),
        "sections": [{"title": title, "sentences": sentences} for title, sentences in sections],
    }


def explanation(seen: Seen, now: datetime, pods: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Headings and their sentences."""
    yield f"{seen.name} in {seen.namespace} is {seen.phase}", [seen.message or "The operator has said nothing yet."]
    yield "What is declared", _declared(seen)
    yield "What serves", _serving(seen, now)
    yield "What is on its way", _rolling(seen, now)
    yield "What the checks say", [line.plain for line in check_lines(seen, now)]
    yield "What was taken back last", _taken_back(seen, now)
    yield "What the pods say", pods
    yield "What would change it", list(changes(seen))


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
    since = times.when(times.parse(seen.rollout.get("startedAt")), now)
    place = "back to what served before" if seen.rollout.get("undo") is True else ""
    if seen.steps:
        place = "after the last step" if seen.baking else f"step {text(seen.rollout.get('progress'))}"
    sentences = [f"{seen.candidate.version} since {since}{f', {place}' if place else ''}."]
    waiting = text(seen.rollout.get("waitingFor"))
    if waiting:
        sentences.append(f"It waits for {waiting}.")
    if seen.rollout.get("warning"):
        sentences.append(f"Its gates warn: {text(seen.rollout.get('warning'))}.")
    if seen.paused:
        since = times.when(times.parse(seen.paused.get("since")), now)
        sentences.append(f"It is paused since {since}: {text(seen.paused.get('message'))}")
    for field, told in (
        ("nextAt", "The bake ends" if seen.baking else "The step's hold ends"),
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
