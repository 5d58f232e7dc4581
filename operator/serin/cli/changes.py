"""What would change a ModelDeployment now: what moves it on or mends it, then the orders that would be carried out."""

from __future__ import annotations

from collections.abc import Iterator

from serin.cli.remedies import BY_PHASE
from serin.cli.remedies import BY_REASON
from serin.cli.remedies import PLACES
from serin.cli.seen import Role
from serin.cli.seen import Seen
from serin.cli.seen import record
from serin.cli.seen import records
from serin.cli.seen import text
from serin.cli.seen import whole
from serin.cli.verbs import at
from serin.cli.verbs import before

# Of a running rollout, too, these say that something else is wrong than what it waits for.
STOPPED = frozenset({"Failed", "Suspended", "Terminating"})
# Whoever orders everything at once still waits for these.
NEEDED = frozenset({"WaitingForReplicas", "WaitingForGateway", "RouteRefused"})
# Without a rollout, in these the version before is worth a thought.
IN_USE = frozenset({"Healthy", "Promoting", "Deploying"})


def because(seen: Seen) -> str:
    """Why it stands where it stands, in the closed set's word: of a rollout, why it does not move on."""
    waits = text(seen.rollout.get("waitingReason"))
    return waits if waits and seen.phase not in STOPPED else seen.reason


def changes(seen: Seen) -> Iterator[str]:
    """Sentences, the most important first."""
    reason, phase = because(seen), BY_PHASE.get(seen.phase, "")
    why = BY_REASON.get(reason, "")
    yield from (remedy(one, seen) for one in (why, phase if not why or seen.phase == "Failed" else "") if one)
    if seen.suspended or seen.deleting:
        return
    if seen.phase == "RolledBack":
        yield from _again(seen)
    if seen.rollout and seen.candidate:
        yield from _of_a_rollout(seen, seen.candidate, reason)
    elif seen.phase in IN_USE or reason == "StableUnavailable":
        target = before(seen)
        if target is not None and not seen.is_rejected(target.revision):
            yield f"serin undo {at(seen)} goes back to {target.version}."


def remedy(sentence: str, seen: Seen) -> str:
    """The sentence with what it names."""
    return filled(
        sentence,
        name=seen.name,
        namespace=seen.namespace,
        candidate=seen.candidate.version if seen.candidate else "the candidate",
        stable=seen.stable.version if seen.stable else "the stable version",
        once=_once(seen),
    )


def filled(sentence: str, **known: str) -> str:
    """The sentence with what is known in its places."""
    return sentence.format(**{**dict.fromkeys(PLACES, ""), **known})


def _once(seen: Seen) -> str:
    """What else than the time has to come, where anything has."""
    # Requests that are chosen by their headers alone may be none: there checks need not pass.
    judged = whole(seen.rollout.get("weight")) > 0 or seen.rollout.get("mirror") is not None
    checks = records(record(seen.course.get("analysis")).get("checks"))
    passes = ["every check passes"] if judged and any(check.get("dryRun") is not True for check in checks) else []
    approved = ["somebody approves it"] if seen.awaits_approval else []
    return f", once {' and '.join(passes + approved)}" if passes or approved else ""


def _again(seen: Seen) -> Iterator[str]:
    """The rejected revision that is declared may be tried again; mostly it is the last one."""
    version = f"v{text(record(seen.status.get('resolved')).get('version'))}"
    declared = [one for one in seen.rejected if text(one.get("version")) == version] or seen.rejected
    if declared:
        which = f" --revision {text(declared[0].get('revision'))}" if declared[0] is not seen.rejected[0] else ""
        yield f"serin retry {at(seen)}{which} tries {text(declared[0].get('version'))} again as it is."


def _of_a_rollout(seen: Seen, candidate: Role, reason: str) -> Iterator[str]:
    stable = seen.stable
    if seen.paused:
        yield f"serin resume {at(seen)} lets it go on."
    if stable is None:
        yield f"{candidate.version} is the first version: to serve another one instead, declare that."
        return
    if seen.rollout.get("undo") is True:
        yield f"serin abort {at(seen)} ends that: {stable.version} stays."
        return
    if reason == "WaitingForReplicas":
        yield f"At spec.serving.startupDeadline {candidate.version} is given up."
    yield from _deadline(seen, candidate)
    skips = seen.rollout.get("skip") is True
    if reason == "AwaitingApproval":
        yield f"serin approve {at(seen)} lets {candidate.version} go on."
    if not skips and not (seen.phase == "Promoting" and reason in NEEDED):
        yield f"serin promote {at(seen)} gives {candidate.version} everything{_without(seen, reason)}."
    if not skips and not seen.paused:
        yield f"serin pause {at(seen)} keeps it where it is."
    yield f"serin abort {at(seen)} takes {candidate.version} back."


def _without(seen: Seen, reason: str) -> str:
    if seen.baking:
        return " for good, without the rest of the bake"
    return " as soon as that is there, without further steps" if reason in NEEDED else " now, without further steps"


def _deadline(seen: Seen, candidate: Role) -> Iterator[str]:
    """What comes at the deadline, where there is one that runs."""
    if not seen.rollout.get("deadlineAt"):
        return
    then = text(seen.course.get("onInconclusive"))
    asks = seen.awaits_approval or any(step.approval for step in seen.steps[seen.step :])
    if then == "Rollback":
        yield f"At its deadline {candidate.version} is taken back."
    elif then == "Promote" and not asks:
        yield f"At its deadline {candidate.version} gets everything."
    else:
        yield "At its deadline it stops until somebody decides."
