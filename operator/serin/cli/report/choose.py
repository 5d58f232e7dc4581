"""Which rollout a report is about, as the status knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from datetime import timedelta

from serin.cli import times
from serin.cli.exits import CommandError
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import record
from serin.cli.seen import text

RUNNING = "Running"
LONGEST = timedelta(days=30)
"""Before that nothing is asked for: an undone version may have been in use for years."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One rollout, running or past."""

    revision: str
    version: str
    outcome: str
    """How it ended, as ``status.history`` says it, or :data:`RUNNING`."""
    reason: str
    message: str
    started: datetime
    ended: datetime | None
    newest: bool
    """Whether what the status says of checks and roles is about this rollout."""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.ended is None

    def until(self, now: datetime) -> datetime:
        """Its end, or now."""
        return max(self.started, self.ended or now)


def choose(seen: Seen, number: int | None) -> Chosen:
    """The running rollout, or of those that ended the one of this number, newest first. Raises CommandError."""
    if number is None and seen.rollout and seen.candidate is not None:
        return _running(seen)
    number = number or 1
    if number > len(seen.history):
        count = len(seen.history)
        ended = f"{count} of {seen.name} {'has' if count == 1 else 'have'}" if count else f"none of {seen.name} has"
        raise CommandError(
            f"there is no rollout {number} that ended: {ended}",
            f"serin history {seen.name} -n {seen.namespace} lists them, the newest first, which is 1.",
        )
    return _past(seen, seen.history[number - 1], newest=number == 1 and not seen.rollout)


def _running(seen: Seen) -> Chosen:
    candidate = seen.candidate
    started = times.parse(seen.rollout.get("startedAt"))
    if candidate is None or started is None:
        raise CommandError(f"the status of {seen.name} does not say when its rollout started")
    return Chosen(candidate.revision, candidate.version, RUNNING, seen.phase, seen.message, started, None, newest=True)


def _past(seen: Seen, entry: Json, *, newest: bool) -> Chosen:
    started, ended = times.parse(entry.get("startedAt")), times.parse(entry.get("endedAt"))
    if started is None or ended is None:
        raise CommandError(f"the history of {seen.name} does not say when that rollout started and ended")
    return Chosen(
        revision=text(entry.get("revision")),
        version=text(entry.get("version")),
        outcome=text(entry.get("outcome")),
        reason=text(entry.get("reason")),
        message=text(entry.get("message")),
        started=max(started, ended - LONGEST),
        ended=max(started, ended),
        newest=newest,
    )


def incumbent(seen: Seen, chosen: Chosen) -> tuple[str, str] | None:
    """Revision and version that served beside it, where the status still knows; Prometheus may know better."""
    if chosen.running:
        return (seen.stable.revision, seen.stable.version) if seen.stable else None
    if not chosen.newest:
        return None
    for role in (seen.previous, seen.fallback) if chosen.outcome == "Promoted" else (seen.stable,):
        if role is not None and role.revision != chosen.revision:
            return role.revision, role.version
    return None


def servers(seen: Seen) -> dict[str, Json]:
    """What the pods of each revision that the status knows are made from."""
    roles = (record(seen.status.get(role)) for role in ("candidate", "stable", "previous", "fallback"))
    return {text(role.get("revision")): record(role.get("template")) for role in roles if role}
