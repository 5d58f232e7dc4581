"""What happened, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from serin.cli import times
from serin.cli.report.ask import Facts
from serin.cli.report.ask import event_time
from serin.cli.report.headline import WORDS
from serin.cli.report.recount import Look
from serin.cli.seen import record
from serin.cli.seen import text
from serin.cli.seen import whole


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of it. Those that are marked stand in the charts with their number."""

    at: datetime
    what: str
    marked: bool = False
    number: int = 0


def happenings(facts: Facts, looks: tuple[Look, ...]) -> tuple[Happening, ...]:
    """All of them, numbered from 1 where they are marked."""
    # In the order of cause and effect, where two are at the same moment.
    told = (*_start(facts), *_weights(facts), *_orders(facts), *_limits(facts, looks), *_end(facts))
    found = sorted(told, key=lambda one: one.at)
    numbers = iter(range(1, len(found) + 1))
    return tuple(Happening(one.at, one.what, one.marked, next(numbers) if one.marked else 0) for one in found)


def events(facts: Facts) -> list[tuple[datetime, str, str, str]]:
    """Kubernetes' own: moment, type, reason and note."""
    return [
        (at, text(one.get("type")), text(one.get("reason")), text(one.get("note")))
        for one in facts.events
        if (at := event_time(one)) is not None
    ]


def _start(facts: Facts) -> Iterator[Happening]:
    chosen = facts.chosen
    if chosen.outcome == "Undone":
        yield Happening(chosen.started, f"{chosen.version} was in use from here on")
        return
    beside = f"; {facts.stable[1]} was in use" if facts.stable else ""
    yield Happening(chosen.started, f"the rollout of {chosen.version} started{beside}")


def _end(facts: Facts) -> Iterator[Happening]:
    chosen = facts.chosen
    if chosen.ended is not None:
        word = WORDS.get(chosen.outcome, chosen.outcome).lower()
        reason = f" ({chosen.reason})" if chosen.reason not in ("", chosen.outcome) else ""
        why = f": {chosen.message}" if chosen.message else ""
        yield Happening(chosen.ended, f"{word}{reason}{why}", marked=True)
    elif facts.seen.paused:
        since = times.parse(facts.seen.paused.get("since"))
        if since is not None:
            yield Happening(since, f"paused: {text(facts.seen.paused.get('message'))}", marked=True)


def _weights(facts: Facts) -> Iterator[Happening]:
    version, before = facts.chosen.version, 0.0
    for span in facts.weights:
        if span.weight != before:
            yield Happening(span.start, f"{version} has {span.weight:g} % of the requests")
        before = span.weight
    since = times.parse(facts.seen.rollout.get("stepStartedAt")) if facts.chosen.running else None
    if since is not None and not facts.weights:
        yield Happening(since, f"{version} has {whole(facts.seen.rollout.get('weight'))} % of the requests")


def _orders(facts: Facts) -> Iterator[Happening]:
    """Of each kind the status keeps the last one; what is about another time is not of this rollout."""
    start, end = facts.window
    for verb, order in facts.seen.handled.items():
        at = times.parse(order.get("at"))
        if at is None or not start <= at <= end:
            continue
        who = text(order.get("by")) or "somebody"
        refused = " (refused)" if order.get("result") == "Refused" else ""
        told = f": {text(order.get('message'))}" if order.get("message") else ""
        yield Happening(at, f"{who} ordered: {verb}{refused}{told}", marked=True)


def _limits(facts: Facts, looks: tuple[Look, ...]) -> Iterator[Happening]:
    """When the evidence reached its limit, as it is recomputed."""
    known: set[str] = set()
    for look in looks:
        for name, check in look.checks.items():
            reached = check.e_value is not None and check.limit is not None and check.e_value >= check.limit
            if reached and name not in known and name not in facts.watched.shadows:
                known.add(name)
                dry = ", which decides nothing" if check.dry_run else ""
                yield Happening(look.at, f"check {name}{dry}: the evidence reached its limit", marked=True)


def declared_steps(facts: Facts) -> list[tuple[str, ...]]:
    """The steps that the rollout runs by: number, weight, hold, what else."""
    if not facts.chosen.running:
        return []
    rows: list[tuple[str, ...]] = []
    for number, step in enumerate(facts.seen.steps, 1):
        more = [f"copies of {step.mirror} %"] if step.mirror else []
        more += [f"always {step.match}"] if step.match else []
        more += ["asks for approval"] if step.approval else []
        now = "now" if number == facts.seen.step else "done" if number < facts.seen.step else "to come"
        rows.append((str(number), f"{step.weight} %", step.hold or "-", ", ".join(more) or "-", now))
    bake = text(record(facts.seen.course).get("bake"))
    if rows and bake not in ("", "0s"):
        now = "now" if facts.seen.step > len(rows) else "to come"
        rows.append(("bake", "100 %", bake, "-", now))
    return rows
