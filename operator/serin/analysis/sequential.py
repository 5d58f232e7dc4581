"""The statistics: a sequential test on counts whose false-alarm rate holds however often it is looked at.

**The test.** Let ``X`` be the number of bad events among ``n`` trials, and ``q`` the largest probability of a bad one
under the null hypothesis. For any ``m > 1``

    E_m = m^X / (1 + (m - 1) q)^n

is the likelihood ratio of an alternative whose odds are ``m`` times those of ``q``. Its expectation grows with the
probability and is 1 at ``q``, so it is a nonnegative supermartingale under *every* probability up to ``q``: the null is
composite, and nothing is estimated under it. A mixture over ``m`` is one too, and by Ville's inequality it ever reaches
``1/level`` with a probability of at most ``level`` (Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 2021; Ramdas, Grünwald, Vovk, Shafer, "Game-theoretic
statistics and safe anytime-valid inference", Statistical Science 2023). It is used twice:

- *against the stable one* (:func:`against_stable`): the trials are the bad requests of both, the events are the
  candidate's. A request that is bad is the candidate's with a probability that only the ratio of the two rates and the
  ratio of the requests decide, whatever the rate itself is and however it moves (Lindon, Sanden, Shirikian, "Rapid
  regression detection in software deployments through sequential testing", KDD 2022, arXiv 2205.14762). With odds
  ``o = (1 + tolerance) n_c / n_s`` under the null, ``q = o / (1 + o)``. The ratio of the requests is that of the
  counts, not that of the configured weights.
- *against a bound* (:func:`against_bound`): the trials are the candidate's requests and ``q`` is the bound.

**The mixture** (:data:`ALTERNATIVES`) puts its mass where rollbacks must be quick: a candidate twice as bad as the
stable one (1.6 times what a tolerance of 25 % allows) and one several times as bad. A uniform prior over the
candidate's share spends most of its mass on catastrophes that any prior finds in a minute. A little mass is near to
what is allowed: against a candidate a few percent above that, the evidence of all others goes to 0. Against what is
less than about 1 % above it there is none, however much is seen (:func:`to_go`).

**Steps.** Within a step the ratio of the requests is constant; counts begin anew with each step, and the evidence for
each ``m`` is multiplied over the steps. Were that all, a candidate that did well at 1 % could not be caught at 50 % for
a long time: its evidence would have to climb back. So the evidence is the mixture of all processes that begin at step
1, 2, 3, ... (Shin, Ramdas, Rinaldo, "E-detectors", arXiv 2203.03532), with the masses of :func:`masses`; one float for
each ``m`` carries it.

**Assumptions, and what breaks them.** Requests are bad independently of each other, given the version. *Bursts* break
that: errors that come in clumps of c are c times as many as they are independent events, and the test would be sure of
itself far too soon. The stable one shows how much its own errors clump: what it had between two looks is compared with
what it had between the two before by the chi-squared statistic, whose mean is 1 for independent errors and c for clumps
of c, and the logarithm of the evidence is divided by the mean of all (:func:`dispersion`; Pearson's estimate as in
McCullagh and Nelder, "Generalized Linear Models", 1989, 4.5). With the true c that is exact, and no division by a
number above 1 ever breaks the bound (Jensen). What stays: clumps that last longer than the time between two looks,
clumps that only the candidate has, and the first looks, which cannot know yet. *An incident that hits both* is shared
as the requests are, but the pods are scraped at different moments: a look may see it in the candidate's counts up to a
scrape interval before it sees it in the stable one's, and in those seconds it looks like the candidate's alone. Nothing
here makes up for that; the shorter the interval between scrapes beside that between looks, the rarer it is. What an
incident adds to both counts hides a candidate that is a little worse until the next step. *Chosen requests*, those by a
header, are no random share: what they fail by is taken for the candidate's fault. *Mirrored requests* fail together
with their originals, which makes the test slower and never bolder. *Rates high above rare* make the bad requests
scatter less than assumed, again the careful side. Weights that change *within* a step are wrong by as much as the ratio
of the counts then lags behind.
"""

from __future__ import annotations

import math

from serin.api.analysis import Evidence
from serin.api.analysis import Tally

ALTERNATIVES = ((1.15, 0.05), (1.6, 0.49), (4.0, 0.34), (10.0, 0.10), (1.02, 0.02))
"""How many times the tolerated odds, and with which mass. One that is added comes last (:func:`carry`)."""
WITHOUT_THE_NEAREST = 4
"""Alternatives that operators knew before there was one below 1.15."""

FIRST_STEP = 0.95
"""Mass of the process that begins with the first step; later beginnings share the rest."""

CALM_LOOKS = 4
"""Looks without clumps that are taken for granted before the first real one: few looks alone prove little."""
LOUDEST_LOOK = 25.0
"""The most that one look says about clumps, five standard deviations: an incident is not what every day is like."""
MOST_EVIDENCE = 1e9
"""Nothing is surer than that. Cutting evidence never breaks the bound."""


Logs = tuple[float, ...]
"""Log evidence by alternative, in the order of :data:`ALTERNATIVES`."""
NOTHING: Logs = (0.0,) * len(ALTERNATIVES)


def against_stable(
    candidate: Tally, stable: Tally, tolerance: float, clump: float = 1.0, forgiven: float = 0.0
) -> Logs:
    """Log evidence that the candidate's rate is above ``(1 + tolerance)`` times the stable one's.

    ``clump`` is what :func:`dispersion` says, ``forgiven`` a number of the candidate's bad requests that shall not
    count. Without requests to either there is no evidence.
    """
    if candidate.requests <= 0 or stable.requests <= 0:
        return NOTHING
    odds = (1.0 + tolerance) * candidate.requests / stable.requests
    bad = max(0.0, candidate.bad - forgiven)
    return log_evidence(bad, bad + stable.bad, odds / (1.0 + odds), clump)


def against_bound(candidate: Tally, bound: float, clump: float = 1.0, forgiven: float = 0.0) -> Logs:
    """Log evidence that the candidate's rate is above ``bound``, a share between 0 and 1."""
    if bound >= 1.0:
        return NOTHING
    return log_evidence(max(0.0, candidate.bad - forgiven), candidate.requests, bound, clump)


def log_evidence(bad: float, trials: float, null: float, clump: float = 1.0) -> Logs:
    """ln of ``(m^bad / (1 + (m - 1) null)^trials)^(1/clump)`` for each m."""
    return tuple((bad * math.log(m) - trials * math.log1p((m - 1.0) * null)) / clump for m, _ in ALTERNATIVES)


def mixed(logs: Logs) -> float:
    """Evidence of one step by itself: the mixture of all alternatives."""
    return math.fsum(mass * _exp(log_e) for (_, mass), log_e in zip(ALTERNATIVES, logs, strict=True))


def total(carried: Logs, stage: int, logs: Logs) -> float:
    """The evidence of all steps: ``carried`` of those before step ``stage`` (from 1), ``logs`` of this one."""
    _, ahead = masses(stage)
    grown = carry(carried, stage, logs)
    return min(MOST_EVIDENCE, math.fsum(mass * one for (_, mass), one in zip(ALTERNATIVES, grown, strict=True)) + ahead)


def carry(carried: Logs, stage: int, logs: Logs) -> Logs:
    """What to carry into the step after ``stage``: evidence by alternative, so that each is multiplied with itself.

    An older operator's evidence, which lacks the nearest alternative, counts on, and there is none for that one yet:
    the others had no less mass then than they have now. Any other number of alternatives than now is no evidence.
    """
    begun, _ = masses(stage)
    before = _before(carried)
    return tuple(min(MOST_EVIDENCE, (one + begun) * _exp(log_e)) for one, log_e in zip(before, logs, strict=True))


def _before(carried: Logs) -> Logs:
    if len(carried) == WITHOUT_THE_NEAREST:
        return (*carried, *NOTHING[WITHOUT_THE_NEAREST:])
    return carried if len(carried) == len(NOTHING) else NOTHING


def to_go(carried: Logs, stage: int, logs: Logs, limit: float) -> float:
    """How many times what this step has seen it takes, beyond that, until the evidence reaches the limit by one of the
    alternatives alone, at the rates so far; infinite where none of them is any nearer to the truth than the null."""
    begun, _ = masses(stage)
    return min(
        (
            max(0.0, math.log(limit / (mass * (before + begun))) - log_e) / log_e
            for (_, mass), before, log_e in zip(ALTERNATIVES, _before(carried), logs, strict=True)
            if log_e > 0.0
        ),
        default=math.inf,
    )


def masses(stage: int) -> tuple[float, float]:
    """Mass of the process that begins with this step, and of all that begin later. Every process has its mass once."""
    later = 1.0 - FIRST_STEP
    return (FIRST_STEP if stage == 1 else later / (stage * (stage - 1))), later / stage


def _exp(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))


def look(evidence: Evidence, candidate: Tally, stable: Tally) -> Evidence:
    """The evidence after one more look at this step's counts. The same counts again change nothing.

    What the stable one had since the last look is compared with what it had before that look, by the chi-squared
    statistic of the two-by-two table: of two neighbours, so that a rate that drifts is not taken for clumps.
    """
    batch = Tally(requests=stable.requests - evidence.stable.requests, bad=stable.bad - evidence.stable.bad)
    update: dict[str, object] = {"candidate": candidate, "stable": stable}
    # A counter that went back tells nothing about clumps.
    if batch.requests > 0 and 0 <= batch.bad <= batch.requests:
        deviation = _deviation(evidence.batch, batch)
        if deviation is not None:
            update["looks"] = evidence.looks + 1
            update["spread"] = evidence.spread + min(deviation, LOUDEST_LOOK)
        update["batch"] = batch
    return evidence.model_copy(update=update)


def _deviation(before: Tally, batch: Tally) -> float | None:
    requests = before.requests + batch.requests
    rate = (before.bad + batch.bad) / requests
    variance = rate * (1.0 - rate) * before.requests * batch.requests / requests
    return (batch.bad - rate * batch.requests) ** 2 / variance if variance > 0.0 else None


def dispersion(evidence: Evidence) -> float:
    """How many bad requests of the stable one make one independent event; at least 1."""
    return max(1.0, (evidence.spread + CALM_LOOKS) / (evidence.looks + CALM_LOOKS))


def beyond_chance(tally: Tally, bound: float, level: float, clump: float = 1.0) -> bool:
    """Whether so many bad requests would come with a probability of at most ``level`` at the bound, or below it, by
    Chernoff's bound: at one look, which convicts nobody who is looked at more often."""
    if tally.requests <= 0 or not tally.bad / tally.requests > bound:
        return False
    return tally.requests / clump * _divergence(tally.bad / tally.requests, bound) >= math.log(1.0 / level)


def upper_limit(record: Tally, level: float, clump: float = 1.0) -> float:
    """A rate that the true one exceeds with a probability of at most ``level``, by Chernoff's bound.

    The smallest p with ``n KL(x/n, p) >= ln(1/level)``; 1 where nothing was seen.
    """
    requests, bad = record.requests / clump, record.bad / clump
    if requests <= 0:
        return 1.0
    rate, needed = bad / requests, math.log(1.0 / level) / requests
    low, high = rate, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if _divergence(rate, middle) < needed:
            low = middle
        else:
            high = middle
    return high


def _divergence(rate: float, p: float) -> float:
    """Kullback and Leibler's, of Bernoulli(rate) from Bernoulli(p)."""
    if p >= 1.0:
        return 0.0 if rate >= 1.0 else math.inf
    if p <= 0.0:
        return 0.0 if rate <= 0.0 else math.inf
    good = 0.0 if rate >= 1.0 else (1.0 - rate) * math.log((1.0 - rate) / (1.0 - p))
    return good + (0.0 if rate <= 0.0 else rate * math.log(rate / p))
