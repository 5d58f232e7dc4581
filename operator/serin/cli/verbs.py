"""The orders people may give, as pure choices: which revision an order is for, what will happen, or why it makes none.

An order is an annotation ``serin.dev/<verb>: <revision>#<who>/<when>``. It names the revision, so that a late one
cannot hit another version than the one that was looked at. The operator has the last word; what can be seen to make no
sense is refused here already, with what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serin.cli import times
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.seen import ALL
from serin.cli.seen import Role
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.cli.seen import whole


@dataclass(frozen=True, slots=True)
class Order:
    """An order for one revision."""

    revision: str
    effect: str
    """What will happen, for people."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A kind of order."""

    word: str
    purpose: str
    path: str
    """Where the status names the revision: a JSONPath for kubectl."""
    choose: Callable[[Seen], Order]
    """Raises CommandError where the order makes no sense now."""
    names: Callable[[Seen, str], Order] | None = None
    """The order for the revision that --revision names, where there may be several. Raises CommandError."""

    def order(self, seen: Seen, revision: str | None) -> Order:
        """What to order. Raises CommandError."""
        _may_be_changed(seen)
        if revision is not None and self.names is not None:
            return self.names(seen, revision)
        chosen = self.choose(seen)
        if revision not in (None, chosen.revision):
            raise _refuse(
                f"--revision says {revision}, but {self.word} would be for {chosen.revision} now",
                f"Look again: serin status {at(seen)}",
            )
        return chosen


def at(seen: Seen) -> str:
    """The object as arguments of a command."""
    return f"{seen.name} -n {seen.namespace}"


def _refuse(message: str, remedy: str) -> CommandError:
    return CommandError(message, remedy, code=Exit.REFUSED)


def _may_be_changed(seen: Seen) -> None:
    if seen.deleting:
        raise _refuse(f"{seen.name} is being deleted", "Nothing is left to be done.")
    if seen.suspended:
        raise _refuse(
            f"{seen.name} is suspended: nothing of it is changed while spec.suspend is true",
            "Set spec.suspend to false first, where the manifest comes from.",
        )


def _candidate(seen: Seen, verb: str) -> Role:
    if seen.candidate is not None:
        return seen.candidate
    remedy = f"serin why {at(seen)} explains where it stands."
    target = before(seen)
    if verb == "abort" and seen.stable and target and not seen.is_rejected(target.revision):
        remedy = f"{seen.stable.version} is promoted already; serin undo {at(seen)} takes it back."
    elif seen.rejected:
        remedy = f"{text(seen.rejected[0].get('version'))} was rejected; serin retry {at(seen)} tries it again."
    raise _refuse(f"there is nothing to {verb}: no rollout of {seen.name} is running", remedy)


def approve(seen: Seen) -> Order:
    """The candidate may go on from the step that waits for a person."""
    candidate = _candidate(seen, "approve")
    if seen.stable is None:
        raise _first(candidate)
    if not seen.awaits_approval:
        raise _refuse(
            f"nothing of {seen.name} awaits approval; it is {seen.phase}",
            f"serin promote {at(seen)} skips what is left of the rollout.",
        )
    following = seen.steps[seen.step].weight if seen.step < len(seen.steps) else ALL
    return Order(candidate.revision, f"{candidate.version} may go on from step {seen.step} to {following} %")


def promote(seen: Seen) -> Order:
    """The candidate gets everything, whatever steps are left."""
    candidate = _candidate(seen, "promote")
    if seen.stable is None:
        raise _first(candidate)
    left = len(seen.steps) - seen.step
    skipped = f", skipping {left} of {len(seen.steps)} steps" if left > 0 else ""
    return Order(
        candidate.revision, f"{candidate.version} gets all requests as soon as its replicas are ready{skipped}"
    )


def abort(seen: Seen) -> Order:
    """The candidate is taken back and rejected."""
    candidate = _candidate(seen, "abort")
    if seen.stable is None:
        raise _first(candidate)
    weight = whole(seen.rollout.get("weight"))
    return Order(
        candidate.revision,
        f"{candidate.version} loses its {weight} % of the requests and is not tried again unless you retry it; "
        f"{seen.stable.version} serves everything",
    )


def _first(candidate: Role) -> CommandError:
    return _refuse(
        f"{candidate.version} is the first version: nothing serves beside it; it gets all requests once it is ready",
        "To serve another one, declare it.",
    )


def pause(seen: Seen) -> Order:
    """The candidate stays at its weight."""
    candidate = _candidate(seen, "pause")
    if seen.paused:
        since = times.parse(seen.paused.get("since"))
        moment = f" since {times.when(since, times.now())}" if since else ""
        raise _refuse(f"{seen.name} is paused already{moment}", f"serin resume {at(seen)} lets it go on.")
    return Order(
        candidate.revision, f"{candidate.version} stays at {whole(seen.rollout.get('weight'))} % until resumed"
    )


def resume(seen: Seen) -> Order:
    """The candidate goes on."""
    candidate = _candidate(seen, "resume")
    if not seen.paused:
        raise _refuse(
            f"{seen.name} is not paused; it is {seen.phase}", f"serin why {at(seen)} tells what it waits for."
        )
    return Order(candidate.revision, f"{candidate.version} goes on from {whole(seen.rollout.get('weight'))} %")


def retry(seen: Seen) -> Order:
    """The revision that was rejected last is tried again."""
    if not seen.rejected:
        raise _refuse(f"there is nothing to retry: no revision of {seen.name} is rejected", _running(seen))
    return _again(seen, text(seen.rejected[0].get("revision")))


def _again(seen: Seen, revision: str) -> Order:
    known = {text(entry.get("revision")): entry for entry in seen.rejected}
    if revision not in known:
        names = ", ".join(known) or "none"
        raise _refuse(f"{revision} is not rejected", f"Rejected of {seen.name}: {names}.")
    entry = known[revision]
    why = text(entry.get("message")) or text(entry.get("reason"))
    return Order(
        revision,
        f"{text(entry.get('version'))} is tried again from the first step, where it is what is declared; "
        f"it was rejected: {why}",
    )


def undo(seen: Seen) -> Order:
    """Back from the stable revision to the one before."""
    if seen.stable is None and seen.candidate is not None:
        raise _first(seen.candidate)
    if seen.rollout or seen.candidate:
        version = seen.candidate.version if seen.candidate else "a candidate"
        raise _refuse(
            f"a rollout of {version} is running",
            f"serin abort {at(seen)} ends it; undo then takes back the version before it, if that is what you want.",
        )
    if seen.stable is None:
        raise _refuse(f"there is nothing to undo: nothing of {seen.name} has been promoted yet", _running(seen))
    target = before(seen)
    if target is None:
        raise _refuse(
            f"there is nothing to go back to: no revision before {seen.stable.version} is known",
            "Declare the version you want in spec.model, or move the alias to it.",
        )
    if seen.is_rejected(target.revision):
        raise _refuse(
            f"{target.version}, which served before {seen.stable.version}, is rejected",
            f"serin retry {at(seen)} --revision {target.revision} forgives it; undo may then go back to it.",
        )
    effect = f"{target.version} is deployed again and gets all requests once it is ready"
    if seen.previous is not None:
        effect = f"{target.version}, still warm, gets all requests again; {seen.stable.version} is rejected"
    return Order(seen.stable.revision, effect)


def before(seen: Seen) -> Role | None:
    """The revision that undo goes back to."""
    return seen.previous or seen.fallback


def _running(seen: Seen) -> str:
    return f"serin why {at(seen)} explains where it stands."


_CANDIDATE = ".status.candidate.revision"

VERBS = (
    Verb("promote", "Give the candidate all requests now, without further steps.", _CANDIDATE, promote),
    Verb("approve", "Let a candidate that waits for approval go on.", _CANDIDATE, approve),
    Verb("abort", "End the rollout: the candidate is taken back.", _CANDIDATE, abort),
    Verb("retry", "Try a rejected revision again.", ".status.rejected[0].revision", retry, _again),
    Verb("pause", "Keep the rollout at its weight.", _CANDIDATE, pause),
    Verb("resume", "Let a paused rollout go on.", _CANDIDATE, resume),
    Verb("undo", "Go back to the version before the stable one.", ".status.stable.revision", undo),
)
