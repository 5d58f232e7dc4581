"""What happened and why, in one sentence, and the few figures beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from serin.cli import times
from serin.cli.report.ask import Facts
from serin.cli.report.recount import Look
from serin.cli.report.stages import ALL
from serin.cli.seen import text
from serin.cli.seen import whole

GOOD, BAD, OPEN, NEUTRAL = "good", "bad", "open", "neutral"
LOOKS = {"Promoted": GOOD, "RolledBack": BAD, "Aborted": BAD, "Undone": BAD, "Running": OPEN}
MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
WORDS = {"RolledBack": "Rolled back", "Running": "Under way"}


def pill(facts: Facts) -> tuple[str, str]:
    """The outcome in a word or two, and how it looks."""
    chosen = facts.chosen
    if chosen.running and facts.seen.phase in ("Paused", "AwaitingApproval", "RollingBack"):
        return {"AwaitingApproval": "Awaiting approval", "RollingBack": "Rolling back"}.get(
            facts.seen.phase, facts.seen.phase
        ), OPEN
    return WORDS.get(chosen.outcome, chosen.outcome), LOOKS.get(chosen.outcome, NEUTRAL)


def headline(facts: Facts) -> str:
    """The sentence."""
    chosen = facts.chosen
    version = chosen.version
    if chosen.running:
        return _running(facts)
    took = times.length(chosen.until(facts.now) - chosen.started)
    at = _most(facts)
    why = f": {chosen.message}" if chosen.message else ""
    match chosen.outcome:
        case "Promoted":
            return _promoted(facts, took)
        case "RolledBack":
            reach = f" at {at:g} % of the requests" if at else " before it had a share of the requests"
            return _end(f"{version} was taken back after {took}{reach}{why}")
        case "Aborted":
            return _end(f"{version} was taken back by order after {took}{_having(at)}{_apart(why, 'aborted by order')}")
        case "Undone":
            before = f", and {facts.stable[1]} serves again" if facts.stable else ""
            return _end(f"{version} had been in use for {took} when a person went back to the version before{before}")
        case "Superseded":
            return _end(f"The rollout of {version} ended after {took}, as another version was declared{why}")
        case "Reverted":
            return _end(f"The rollout of {version} ended after {took}, as the version in use was declared again{why}")
    return _end(f"The rollout of {version} ended after {took}: {chosen.outcome}{why}")


def figures(facts: Facts, looks: tuple[Look, ...]) -> Iterator[tuple[str, str]]:
    """Labels and values."""
    chosen = facts.chosen
    yield ("Has lasted" if chosen.running else "Took"), times.length(chosen.until(facts.now) - chosen.started)
    if chosen.running:
        yield "Share now", f"{whole(facts.seen.rollout.get('weight'))} %"
        yield "Step", text(facts.seen.rollout.get("progress")) or "?"
    elif facts.weights:
        yield "Greatest share", f"{_most(facts):g} %"
    if looks:
        totals = {look.stage.number: requests_at(look) for look in looks}
        yield f"Requests to {chosen.version}", f"{sum(totals.values()):,}"
        yield "Looks by the judge", f"{len(looks):,}"


def requests_at(look: Look) -> int:
    """Requests to the candidate since the stage began, as any check counted them."""
    return max((pair[0].requests for name in look.measured if (pair := look.tallies(name))), default=0)


def _running(facts: Facts) -> str:
    seen, chosen = facts.seen, facts.chosen
    weight = whole(seen.rollout.get("weight"))
    has = f"{chosen.version} gets {weight} % of the requests" if weight else f"{chosen.version} gets no requests yet"
    rest = f", {facts.stable[1]} the rest" if facts.stable and 0 < weight < ALL else ""
    if seen.paused:
        return _end(f"{has}{rest}; the rollout is paused: {text(seen.paused.get('message'))}")
    waiting = text(seen.rollout.get("waitingFor"))
    return _end(f"{has}{rest}, and waits for {waiting}" if waiting else f"{has}{rest}")


def _promoted(facts: Facts, took: str) -> str:
    version = facts.chosen.version
    if facts.stable is None:
        # Without Prometheus nobody knows whether there was one before.
        first = ", the first version," if facts.shares else ""
        return _end(f"{version}{first} was promoted after {took}")
    judged = [
        check
        for check in facts.watched.analysis.checks
        if check.name not in facts.watched.shadows and not check.dry_run
    ]
    steps = [stage for stage, _ in facts.answers if stage.concurrent]
    by_steps = f"{len(steps)} step{'s' if len(steps) > 1 else ''} and " if steps else ""
    why = f"no check found it worse than {facts.stable[1]}" if judged else "no check judged it"
    return _end(f"{version} took over from {facts.stable[1]} after {by_steps}{took}; {why}")


def _most(facts: Facts) -> float:
    return max((one.weight for one in facts.weights), default=0.0)


def _having(weight: float) -> str:
    return f", having had {weight:g} % of the requests" if weight else ""


def _apart(why: str, known: str) -> str:
    """Without what the sentence says already."""
    return why.replace(f": {known}", "", 1)


def _end(sentence: str) -> str:
    sentence = MOMENT.sub(r"\1 UTC", sentence)
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
