"""One ModelDeployment on one screen of 80 columns: what serves, what is on its way, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from datetime import datetime

from rich.console import Group
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from serin.cli import terminal
from serin.cli import times
from serin.cli.checks import check_lines
from serin.cli.seen import Json
from serin.cli.seen import Role
from serin.cli.seen import Seen
from serin.cli.seen import record
from serin.cli.seen import text
from serin.cli.seen import whole
from serin.cli.steps import Steps

# What is told above already, and what is as it shall be, is not told again.
QUIET = frozenset({"Ready", "Reconciling", "Stalled", "Paused", "AnalysisPassing"})
HISTORY = 3
ORDERS = 3
REJECTED = 3


def screen(seen: Seen, now: datetime, trouble: Sequence[str] = ()) -> RenderableType:
    """Everything the person on call wants. ``trouble``: what the pods say of themselves."""
    parts: list[RenderableType] = [_head(seen), *_lines(seen, now)]
    if seen.rollout:
        parts += [Text(), Steps(seen, now)]
    for title, rows in (
        ("Checks", check_lines(seen, now)),
        ("Conditions", _conditions(seen, now)),
        ("Pods", [Text(one) for one in trouble]),
        ("History", _history(seen, now)),
        ("Rejected", _rejected(seen, now)),
        ("Orders", _orders(seen, now)),
    ):
        listed = list(rows)
        if listed:
            parts += [Text(), Text(title, "bold"), _indented(listed)]
    return Group(*parts)


def _head(seen: Seen) -> RenderableType:
    head = Table.grid(expand=True)
    head.add_column(ratio=1, overflow="fold")
    head.add_column(justify="right", no_wrap=True)
    head.add_row(Text.assemble((seen.name, "bold"), f" in {seen.namespace}"), terminal.phase(seen.phase))
    return head


def _lines(seen: Seen, now: datetime) -> Iterator[RenderableType]:
    if seen.message:
        yield Text(seen.message)
    if not seen.current and not seen.deleting:
        yield Text("the operator has not looked at the last change of the spec yet", "yellow")
    yield Text()
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="bold", no_wrap=True, min_width=9)
    # By default a URL or a name that does not fit is cut, and nobody can copy it.
    facts.add_column(overflow="fold")
    for label, value in _facts(seen, now):
        facts.add_row(label, value)
    yield facts


def _facts(seen: Seen, now: datetime) -> Iterator[tuple[str, str]]:
    yield "Model", model(seen)
    if seen.status.get("url"):
        yield "URL", text(seen.status["url"])
    yield "Stable", role(seen.stable, now) if seen.stable else "none: nothing has served yet"
    if seen.candidate:
        yield "Candidate", role(seen.candidate, now)
    if seen.previous:
        goes = f", warm until {times.moment(seen.previous.goes_at, now)}" if seen.previous.goes_at else ", warm"
        yield "Previous", role(seen.previous, now) + goes
    elif seen.fallback:
        yield "Before", f"{seen.fallback.version}, without replicas {seen.fallback.revision}"
    yield "Traffic", traffic(seen)
    if seen.rollout:
        yield "Waits for", text(seen.rollout.get("waitingFor")) or "nothing"
        yield from _moments(seen, now)
    else:
        yield from _next_time(seen)


def _next_time(seen: Seen) -> Iterator[tuple[str, str]]:
    """How a rollout would go, as far as the manifest says it."""
    policy = text(record(seen.spec.get("rollout")).get("policy"))
    if policy:
        yield "Next time", f"by RolloutPolicy {policy}"
    elif seen.steps:
        yield "Next time", " → ".join([f"{step.weight} % {step.hold}".strip() for step in seen.steps] + ["100 %"])


def _moments(seen: Seen, now: datetime) -> Iterator[tuple[str, str]]:
    paused = seen.paused
    if paused:
        since = times.when(times.parse(paused.get("since")), now)
        yield "Paused", f"since {since}: {text(paused.get('message')) or text(paused.get('reason'))}"
    next_at = times.parse(seen.rollout.get("nextAt"))
    if next_at is not None:
        what = "Bake" if seen.baking else "Hold"
        yield f"{what} {'ends' if next_at > now else 'ended'}", times.when(next_at, now)
    deadline = times.parse(seen.rollout.get("deadlineAt"))
    if deadline is not None:
        yield "Deadline", times.when(deadline, now)
    policy = record(seen.rollout.get("policy"))
    if policy:
        yield "Policy", text(policy.get("name"))
    header = text(seen.rollout.get("directHeader"))
    if header and seen.step > 0:
        yield "Try it", f"{header}: candidate (a request with this header reaches it)"


def model(seen: Seen) -> str:
    """What is declared, and what that stands for."""
    declared, resolved = record(seen.spec.get("model")), record(seen.status.get("resolved"))
    name = text(declared.get("name"))
    alias = text(declared.get("alias"))
    if not alias:
        return f"{name} version {text(declared.get('version'))}"
    if text(resolved.get("alias")) != alias:
        return f"{name} alias {alias}, not resolved"
    return f"{name} alias {alias} = version {text(resolved.get('version'))}"


def role(one: Role, now: datetime) -> str:
    """A revision in its role: version, since when, replicas, name."""
    return f"{one.version} since {times.when(one.since, now)} {one.ready}/{one.replicas} ready {one.revision}"


def traffic(seen: Seen) -> str:
    """The shares as the gateway has them."""
    shares = [_share(share) for share in seen.traffic]
    return ", ".join(shares) or "none: the gateway has no route"


def _share(share: Json) -> str:
    mirrored = whole(share.get("mirror"))
    copies = f" and copies of {mirrored} %" if mirrored else ""
    return f"{text(share.get('version'))} {whole(share.get('weight'))} %{copies}"


def _indented(rows: list[Text]) -> RenderableType:
    table = Table.grid(padding=(0, 0, 0, 2))
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(row)
    return table


def _conditions(seen: Seen, now: datetime) -> Iterator[Text]:
    """Those that are not as they shall be. CandidateReady is unknown while there is no candidate."""
    for kind, condition in seen.conditions.items():
        fine = condition.status == "True" or (condition.status == "Unknown" and condition.reason == "NoCandidate")
        if kind in QUIET or fine:
            continue
        since = f" since {times.when(condition.since, now)}" if condition.since else ""
        yield Text.assemble(
            (f"{kind}={condition.status}", "yellow"), f" {condition.reason}{since}: {condition.message}"
        )


def _history(seen: Seen, now: datetime) -> Iterator[Text]:
    for entry in seen.history[:HISTORY]:
        ended = times.when(times.parse(entry.get("endedAt")), now)
        told = text(entry.get("message")) or text(entry.get("reason"))
        yield Text(f"{text(entry.get('version'))} {text(entry.get('outcome'))} {ended}: {told}")
    if len(seen.history) > HISTORY:
        yield Text(f"and {len(seen.history) - HISTORY} more: serin history {seen.name} -n {seen.namespace}", "dim")


def _rejected(seen: Seen, now: datetime) -> Iterator[Text]:
    for entry in seen.rejected[:REJECTED]:
        at = times.when(times.parse(entry.get("at")), now)
        yield Text(f"{text(entry.get('revision'))} {at}: {text(entry.get('message')) or text(entry.get('reason'))}")
    if len(seen.rejected) > REJECTED:
        yield Text(f"and {len(seen.rejected) - REJECTED} more", "dim")


def _orders(seen: Seen, now: datetime) -> Iterator[Text]:
    for verb, order in sorted(seen.handled.items(), key=lambda item: text(item[1].get("at")), reverse=True)[:ORDERS]:
        by = f" by {text(order['by'])}" if order.get("by") else ""
        told = f": {text(order.get('message'))}" if order.get("message") else ""
        at = times.when(times.parse(order.get("at")), now)
        yield Text(f"{verb} {text(order.get('result'))} {at}{by}{told}")
