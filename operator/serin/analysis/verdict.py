"""From what was measured to a verdict: the one door of this package.

``judge`` is called when new measurements came, with the statuses of the last look; ``next_step`` when the candidate's
weight changes; ``overall`` says what all checks together allow. All three are functions of their arguments alone, and
the statuses carry everything there is to remember.

A check of a measure
  *fails* when the evidence reaches its limit: against the stable one, or against the bound (``sequential``);
  *passes* when the candidate had ``minRequests`` in this step, and so had the stable one where they are compared (in
  the steps before, where the candidate has all the traffic), its rate is within the bound, and this step's evidence
  does not lean against it. It leans when it is above 1 even without one of its bad requests: a worse candidate has to
  wait for the traffic that convicts it, and a good one does not wait for a single bad request to be diluted. The
  evidence of a good candidate goes to 0, that of a worse one to infinity, so waiting ends by itself, but where a rate
  is above its bound by too little for any number of requests;
  is *inconclusive* otherwise, and while not every ready pod of both is measured. No request is neither good nor bad.
A query of one's own is judged by its plain value, at each look. What the source cannot tell is an *Error*, counted by
``errors``, and changes no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from serin.analysis.checks import Levels
from serin.analysis.checks import Measurement
from serin.analysis.checks import Number
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.checks import levels
from serin.analysis.sequential import NOTHING
from serin.analysis.sequential import Logs
from serin.analysis.sequential import against_bound
from serin.analysis.sequential import against_stable
from serin.analysis.sequential import beyond_chance
from serin.analysis.sequential import carry
from serin.analysis.sequential import dispersion
from serin.analysis.sequential import look
from serin.analysis.sequential import mixed
from serin.analysis.sequential import to_go
from serin.analysis.sequential import total
from serin.analysis.sequential import upper_limit
from serin.analysis.words import digits_between
from serin.analysis.words import figures
from serin.analysis.words import missing
from serin.analysis.words import plain
from serin.api.analysis import Analysis
from serin.api.analysis import Check
from serin.api.analysis import CheckStatus
from serin.api.analysis import Evidence
from serin.api.analysis import Tally
from serin.api.analysis import Verdict
from serin.api.quantities import fraction
from serin.api.quantities import milliseconds

FORGIVEN = 1.0
"""Bad requests of the candidate that do not keep it from passing."""

_SEVERITY = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)
# Masses of the mixture add up to 1 only as far as floats do.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Versions:
    """How people call the two, such as v13 and v12."""

    candidate: str
    stable: str


def judge(
    analysis: Analysis,
    measured: Mapping[str, Measurement],
    before: Sequence[CheckStatus],
    versions: Versions,
) -> tuple[CheckStatus, ...]:
    """Every check's status after this look. ``measured`` has the new measurements by the checks' names.

    A check that was not measured keeps its status; ``before`` is empty when a rollout begins.
    """
    last = {status.check: status for status in before}
    return tuple(
        _judge(analysis, check, measured.get(check.name), last.get(check.name) or _unjudged(check), versions)
        for check in analysis.checks
    )


def next_step(analysis: Analysis, before: Sequence[CheckStatus]) -> tuple[CheckStatus, ...]:
    """The statuses as a new step begins: counts begin anew, evidence is carried over."""
    last = {status.check: status for status in before}
    return tuple(
        _unjudged(check).model_copy(update={"evidence": _closed(check, levels(analysis, check), status.evidence)})
        if (status := last.get(check.name)) is not None
        else _unjudged(check)
        for check in analysis.checks
    )


def anew(analysis: Analysis, before: Sequence[CheckStatus]) -> tuple[CheckStatus, ...]:
    """The statuses where a step begins anew for a person who has seen what failed: nothing is held against the
    candidate any more. What is known of the stable one is kept: beside a candidate with all the traffic, what it
    did before is all there is to compare with.
    """
    known = {status.check: _cleared(status.evidence) for status in before if status.evidence is not None}
    return tuple(_unjudged(check).model_copy(update={"evidence": known.get(check.name)}) for check in analysis.checks)


def overall(statuses: Sequence[CheckStatus]) -> Verdict:
    """What all checks together say: the worst of them. Those on dry run decide nothing; without any all is well."""
    verdicts = {status.verdict for status in statuses if not status.dry_run}
    return next((verdict for verdict in _SEVERITY if verdict in verdicts), Verdict.PASS)


def _unjudged(check: Check) -> CheckStatus:
    return CheckStatus(check=check.name, dry_run=check.dry_run, message="not measured yet")


def _judge(
    analysis: Analysis, check: Check, measured: Measurement | None, before: CheckStatus, versions: Versions
) -> CheckStatus:
    match measured:
        case None:
            return before
        case Unknown(message):
            update = {"verdict": Verdict.ERROR, "errors": before.errors + 1, "message": message}
            return before.model_copy(update=update)
        case Number():
            return _judge_number(analysis, check, measured)
        case Sample():
            return _judge_sample(analysis, check, measured, before.evidence or Evidence(), versions)


def _judge_number(analysis: Analysis, check: Check, number: Number) -> CheckStatus:
    status = CheckStatus(check=check.name, dry_run=check.dry_run, candidate=number.value, requests=number.requests)
    if number.value is None or number.requests == 0:
        message = "no requests yet" if number.requests == 0 else "the query gave no number"
        return status.model_copy(update={"message": message})
    if number.value > check.most:
        more = digits_between(number.value, check.most, plain)
        return _said(status, Verdict.FAIL, f"{plain(number.value, more)} is above {check.at_most}")
    if check.at_least is not None and number.value < check.at_least:
        more = digits_between(number.value, check.at_least, plain)
        return _said(status, Verdict.FAIL, f"{plain(number.value, more)} is below {plain(check.at_least, more)}")
    message = f"{plain(number.value)} is within its bounds"
    if number.requests is not None and number.requests < analysis.min_requests:
        needed = analysis.min_requests - number.requests
        status = status.model_copy(update={"needed": needed})
        return _said(status, Verdict.INCONCLUSIVE, f"{message}; {missing(needed)}")
    return _said(status, Verdict.PASS, message)


def _said(status: CheckStatus, verdict: Verdict, message: str) -> CheckStatus:
    return status.model_copy(update={"verdict": verdict, "message": message})


@dataclass(frozen=True, slots=True)
class _Test:
    """One of a check's two tests."""

    e_value: float
    limit: float
    leaning: float
    """Evidence of this step alone, without one of the bad requests."""


def _judge_sample(
    analysis: Analysis, check: Check, sample: Sample, evidence: Evidence, versions: Versions
) -> CheckStatus:
    evidence = look(evidence, sample.candidate, sample.stable).model_copy(update={"apart": not sample.concurrent})
    tests = _tests(check, levels(analysis, check), evidence)
    strongest = max(tests.values(), key=lambda test: test.e_value / test.limit)
    base = evidence.stable if sample.concurrent else evidence.record
    lacking = _lacking(analysis, check, sample)
    incomparable = _incomparable(analysis, check, evidence, versions)
    status = CheckStatus(
        check=check.name,
        dry_run=check.dry_run,
        candidate=_rate(sample.candidate),
        stable=_rate(base),
        requests=sample.candidate.requests,
        needed=max(lacking),
        enough_at=None if incomparable else _enough_at(sample, lacking),
        e_value=float(f"{strongest.e_value:.4g}"),
        limit=float(f"{strongest.limit:.4g}"),
        evidence=evidence,
    )
    failed = [name for name, test in tests.items() if test.e_value >= test.limit]
    told = figures(check, sample, base, versions.stable, failed)
    if failed:
        return _said(status, Verdict.FAIL, told)
    if sample.unheard:
        return _said(status, Verdict.INCONCLUSIVE, f"{told}; {sample.unheard}")
    if sample.candidate.requests == 0:
        return _said(status, Verdict.INCONCLUSIVE, f"no requests to {versions.candidate} yet")
    if incomparable:
        return _said(status, Verdict.INCONCLUSIVE, f"{told}; {incomparable}")
    if max(lacking) > 0:
        whom = versions.candidate if lacking[0] > 0 else versions.stable
        return _said(status, Verdict.INCONCLUSIVE, f"{told}; {missing(max(lacking))} to {whom}")
    within = status.candidate is not None and status.candidate <= check.most
    if not within or any(test.leaning > 1.0 + _ROUNDING for test in tests.values()):
        return _said(status, Verdict.INCONCLUSIVE, f"{told}: {_undecided(check, levels(analysis, check), evidence)}")
    return _said(status, Verdict.PASS, told)


def _tests(check: Check, level: Levels, evidence: Evidence) -> dict[str, _Test]:
    found = {}
    if level.compared > 0:
        # With nothing to compare at the same time, half of the level is the chance that the record flatters.
        limit = (2.0 if evidence.apart else 1.0) / level.compared
        logs, lenient = (_compared(check, level.compared, evidence, forgiven) for forgiven in (0.0, FORGIVEN))
        found["compared"] = _Test(total(evidence.compared, evidence.stage, logs), limit, mixed(lenient))
    if level.bounded > 0:
        logs, lenient = (_bounded(check, evidence, forgiven) for forgiven in (0.0, FORGIVEN))
        found["bounded"] = _Test(total(evidence.bounded, evidence.stage, logs), 1.0 / level.bounded, mixed(lenient))
    return found


def _compared(check: Check, level: float, evidence: Evidence, forgiven: float = 0.0) -> Logs:
    """This step's log evidence that the candidate is worse than the stable one."""
    if check.not_worse_than_stable is None:
        return NOTHING
    tolerance, clump = fraction(check.not_worse_than_stable.tolerance), dispersion(evidence)
    if not evidence.apart:
        return against_stable(evidence.candidate, evidence.stable, tolerance, clump, forgiven)
    bound = (1.0 + tolerance) * upper_limit(evidence.record, level / 2.0, clump)
    return against_bound(evidence.candidate, bound, clump, forgiven)


def _bounded(check: Check, evidence: Evidence, forgiven: float = 0.0) -> Logs:
    """This step's log evidence that the candidate is above its bound."""
    if check.at_most is None:
        return NOTHING
    return against_bound(evidence.candidate, check.most, dispersion(evidence), forgiven)


def _closed(check: Check, level: Levels, evidence: Evidence | None) -> Evidence | None:
    if evidence is None:
        return None
    kept = {
        "candidate": Tally(),
        "stable": Tally(),
        "batch": Tally(),
        "apart": False,
        "record": _record(evidence),
    }
    if evidence.candidate.requests == 0:
        # Without a request there was no stage: it would cost the next one its mass.
        return evidence.model_copy(update=kept)
    compared = _compared(check, level.compared, evidence) if level.compared > 0 else NOTHING
    return evidence.model_copy(
        update={
            "stage": evidence.stage + 1,
            "compared": carry(evidence.compared, evidence.stage, compared),
            "bounded": carry(evidence.bounded, evidence.stage, _bounded(check, evidence)),
            **kept,
        }
    )


def _cleared(evidence: Evidence) -> Evidence:
    return Evidence(looks=evidence.looks, spread=evidence.spread, record=_record(evidence))


def _record(evidence: Evidence) -> Tally:
    """What the stable one did in the steps before, and in this one."""
    return Tally(
        requests=evidence.record.requests + evidence.stable.requests,
        bad=evidence.record.bad + evidence.stable.bad,
    )


def _lacking(analysis: Analysis, check: Check, sample: Sample) -> tuple[int, int]:
    """Requests that are missing, to the candidate and to the stable one."""
    compares = check.not_worse_than_stable is not None and sample.concurrent
    candidate = max(0, analysis.min_requests - sample.candidate.requests)
    return candidate, max(0, analysis.min_requests - sample.stable.requests) if compares else 0


def _undecided(check: Check, level: Levels, evidence: Evidence) -> str:
    """Why there is no verdict yet. What is above the bound for sure, and near to it, may wait for ever."""
    candidate, clump = evidence.candidate, dispersion(evidence)
    if level.bounded <= 0 or not beyond_chance(candidate, check.most, level.bounded, clump):
        return "too early to tell whether that is chance"
    more = to_go(evidence.bounded, evidence.stage, _bounded(check, evidence), 1.0 / level.bounded)
    if more == math.inf:
        return "too near to that bound for any number of requests to tell them apart; raise it, or set a deadline"
    requests = f"{float(f'{more * candidate.requests:.2g}'):,.0f}"
    return f"too near to that bound to tell them apart before about {requests} more; raise it, or set a deadline"


def _incomparable(analysis: Analysis, check: Check, evidence: Evidence, versions: Versions) -> str:
    """Why the candidate, which has all the traffic, cannot be compared with what the stable one did before, and what
    would help; empty where it can be. Waiting does not: the stable one gets no more requests."""
    requests = evidence.record.requests
    if check.not_worse_than_stable is None or not evidence.apart or requests >= analysis.min_requests:
        return ""
    return (
        f"no comparison without {analysis.min_requests:,} requests to {versions.stable} in the steps before, which had "
        f"{requests:,}: the rollout needs a step below 100 % that sees them, or the check atMost instead of "
        "notWorseThanStable"
    )


def _enough_at(sample: Sample, lacking: tuple[int, int]) -> datetime | None:
    """When the missing requests will have come, if they go on as since the step began; None where that is not known."""
    seconds = (sample.at - sample.since).total_seconds()
    pairs = [(lack, one.requests) for lack, one in zip(lacking, (sample.candidate, sample.stable), strict=True) if lack]
    if not pairs or seconds <= 0 or any(requests == 0 for _, requests in pairs):
        return None
    longest = max(lack / requests for lack, requests in pairs)
    try:
        return milliseconds(sample.at + (sample.at - sample.since) * longest)
    except OverflowError:
        return None


def _rate(tally: Tally) -> float | None:
    return tally.bad / tally.requests if tally.requests > 0 else None
