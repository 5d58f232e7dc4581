"""Whether the declared version may be deployed: its gates, looked at when its rollout would start and never later.

A version that does not pass stands in ``status.rejected``, where a restart finds it, and is judged anew at every look:
by other gates, against another stable version, with metrics that were logged meanwhile. A revision that has served
before is not judged, as nothing may keep anybody from going back, nor is the version that serves, whatever else of it
is declared: more memory for it, say.
"""

from __future__ import annotations

from datetime import datetime

from serin.analysis.gates import Outcome
from serin.analysis.gates import asks_for_stable
from serin.analysis.gates import outcome_of
from serin.api.gates import Gates
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import Outcome as Ended
from serin.api.status import Rejection
from serin.api.status import Resolved
from serin.api.status import Revision
from serin.rollout.conditions import shorten
from serin.rollout.memory import LOOKED_AT_ANEW
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from serin.rollout.orders import ordered
from serin.rollout.records import Origin
from serin.rollout.records import Question
from serin.rollout.records import Records
from serin.rollout.revision import revision_name


def question_of(observed: Observed, memory: Memory) -> Question | None:
    """What must be known before the declared version may be deployed; None where that does not depend on anything."""
    spec, target, gates = observed.spec, observed.target, _gates(observed)
    if not isinstance(spec, ModelDeploymentSpec) or not isinstance(target, Resolved) or gates is None or spec.suspend:
        return None
    name = revision_name(observed.name, observed.namespace, target, spec.serving)
    if isinstance(name, Problem) or not _judged(memory, name):
        return None
    candidate = Origin(target.registry, target.name, target.version, target.digest)
    served = _origin(memory.stable, target) if memory.stable is not None else None
    stable = served if asks_for_stable(gates) else None
    if served == candidate or (stable is None and not gates.quality):
        return None
    fresh = ordered(Verb.RETRY, name, observed.orders, memory.handled)
    return Question(candidate, stable, metrics=bool(gates.quality), fresh=fresh)


def admit(
    memory: Memory, goal: Revision | Problem, observed: Observed, now: datetime
) -> tuple[Memory, Revision | Problem, str]:
    """The declared revision, or the problem that it does not pass its gates or that nobody can tell yet; and what a
    gate that only warns says of it."""
    if isinstance(goal, Problem):
        return memory, goal, ""
    known = memory.rejection(goal.revision)
    if known is not None and known.reason not in LOOKED_AT_ANEW:
        return memory, goal, ""
    if memory.candidate is not None:
        # A rollout of it has begun, or one that goes back, by order: then it has to wait for its end.
        return memory, goal if known is None else Problem(known.reason, known.message), ""
    gates, question = _gates(observed), question_of(observed, memory)
    if gates is None or question is None:
        return memory.forgive(goal.revision), goal, ""
    records = observed.records
    if not isinstance(records, Records) or not records.answer(question):
        return memory, _unknown(known, records), ""
    outcome = outcome_of(gates, records.candidate, records.stable)
    if outcome.passes:
        return memory.forgive(goal.revision), goal, shorten(outcome.warning)
    refusal = _refusal(goal, outcome)
    if known is None or (known.reason, known.message) != (refusal.reason, refusal.message):
        memory = memory.remember(goal, refusal.reason, refusal.message, now)
    return memory, refusal, ""


def _refusal(goal: Revision, outcome: Outcome) -> Problem:
    reason = Reason.SIGNATURE_INCOMPATIBLE if outcome.signature else Reason.QUALITY_TOO_LOW
    wrong = "; ".join(filter(None, (outcome.signature, outcome.quality)))
    return Problem(reason, shorten(f"{goal.version} is not deployed: {wrong}"))


def _unknown(known: Rejection | None, records: Records | Problem | None) -> Problem:
    """What is told while the registry has not answered: what was known before, as far as anything was."""
    if known is not None:
        return Problem(known.reason, known.message)
    if isinstance(records, Problem):
        return records
    return Problem(Reason.RESOLVING, "asking the registry for what the gates of the rollout look at")


def _gates(observed: Observed) -> Gates | None:
    return None if isinstance(observed.rollout, Problem) else observed.rollout.rollout.gates


def _judged(memory: Memory, revision: str) -> bool:
    """Whether the revision is new here."""
    served = {entry.revision for entry in memory.history if entry.outcome is Ended.PROMOTED}
    served |= {role.revision for role in (*memory.revisions(), memory.fallback) if role is not None}
    return revision not in served


def _origin(stable: Revision, target: Resolved) -> Origin:
    """Where the stable version is from: from where the declared one is, as far as it is not told."""
    return Origin(
        stable.registry or target.registry,
        stable.model or target.name,
        int(stable.version.removeprefix("v")),
        stable.template.digest,
    )
