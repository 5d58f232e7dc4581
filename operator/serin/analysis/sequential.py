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
candidate's share spends most of its mass on catastrophes that any prior finds in a minute.

**Steps.** Within a step the ratio of the requests is constant; counts begin anew with each step and the evidence is
multiplied over the steps. Were that all, a candidate that did well at 1 % could not be caught at 50 % for a long time:
its evidence would have to climb back. So the evidence is the mixture of all processes that begin at step 1, 2, 3, ...
(Shin, Ramdas, Rinaldo, "E-detectors", NEJSDS 2023), with the masses of :func:`masses`; one float carries it.

**Assumptions, and what breaks them.** Requests are bad independently of each other, given the version. *Bursts* break
that: errors that come in clumps of c are c times as many as they are independent events, and the test would be sure of
itself far too soon. The stable one shows how much its own errors clump: each look's batch is compared with all before
by the chi-squared statistic of the two-by-two table, whose mean is 1 for independent errors and c for clumps of c, and
the logarithm of the evidence is divided by their mean (:func:`dispersion`; Pearson's estimate as in McCullagh and
Nelder, "Generalized Linear Models", 1989, 4.5). For clumps of a constant size that is exact, and no division by a
number above 1 ever breaks the bound (Jensen). What stays: clumps longer than the time between two looks, and clumps
that only the candidate has. *An incident that hits both* at one moment counts little, since a single look's part is
limited. *Mirrored requests* fail together with their originals, which makes the test slower and never bolder.
*Rates high above rare* make the bad requests scatter less than assumed, which is again the careful side. Weights that
change *within* a step are wrong by as much as the ratio of the counts then lags behind.
"""

from __future__ import annotations

import math

from serin.api.analysis import Evidence
from serin.api.analysis import Tally

ALTERNATIVES = ((1.15, 0.05), (1.6, 0.50), (4.0, 0.35), (10.0, 0.10))
"""How many times the tolerated odds, and with which mass."""

FIRST_STEP = 0.95
"""Mass of the process that begins with the first step; later beginnings share the rest."""

CALM_LOOKS = 4
"""Looks without clumps that are taken for granted before the first real one: few looks alone prove little."""
LOUDEST_LOOK = 25.0
"""The most that one look says about clumps, five standard deviations: an incident is not what every day is like."""
MOST_EVIDENCE = 1e9
"""Nothing is surer than that. Cutting evidence never breaks the bound."""


def against_stable(
    candidate: Tally, stable: Tally, tolerance: float, clump: float = 1.0, forgiven: float = 0.0
) -> float:
    """Log evidence that the candidate's rate is above ``(1 + tolerance)`` times the stable one's.

    ``clump`` is what :func:`dispersion` says, ``forgiven`` a number of the candidate's bad requests that shall not
    count. Without requests to either there is no evidence: 0.
    """
    if candidate.requests <= 0 or stable.requests <= 0:
        return 0.0
    odds = (1.0 + tolerance) * candidate.requests / stable.requests
    bad = max(0.0, candidate.bad - forgiven)
    return log_evidence(bad, bad + stable.bad, odds / (1.0 + odds), clump)


def against_bound(candidate: Tally, bound: float, clump: float = 1.0, forgiven: float = 0.0) -> float:
    """Log evidence that the candidate's rate is above ``bound``, a share between 0 and 1."""
    if bound >= 1.0:
        return 0.0
    return log_evidence(max(0.0, candidate.bad - forgiven), candidate.requests, bound, clump)


def log_evidence(bad: float, trials: float, null: float, clump: float = 1.0) -> float:
    """ln of the mixture over m of ``(m^bad / (1 + (m - 1) null)^trials)^(1/clump)``."""
    terms = [
        math.log(mass) + (bad * math.log(m) - trials * math.log1p((m - 1.0) * null)) / clump for m, mass in ALTERNATIVES
    ]
    most = max(terms)
    return most + math.log(math.fsum(math.exp(term - most) for term in terms))


def total(carried: float, stage: int, log_e: float) -> float:
    """The evidence of all steps: ``carried`` of those before step ``stage`` (from 1), ``log_e`` of this one."""
    begun, ahead = masses(stage)
    return min(MOST_EVIDENCE, (carried + begun) * _exp(log_e) + ahead)


def carry(carried: float, stage: int, log_e: float) -> float:
    """What to carry into the step after ``stage``."""
    begun, _ = masses(stage)
    return min(MOST_EVIDENCE, (carried + begun) * _exp(log_e))


def masses(stage: int) -> tuple[float, float]:
    """Mass of the process that begins with this step, and of all that begin later. Every process has its mass once."""
    later = 1.0 - FIRST_STEP
    return (FIRST_STEP if stage == 1 else later / (stage * (stage - 1))), later / stage


def _exp(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))


def look(evidence: Evidence, candidate: Tally, stable: Tally) -> Evidence:
    """The evidence after one more look at this step's counts. The same counts again change nothing.

    What came since the last look is compared with all before it, by the chi-squared statistic of the two-by-two table.
    """
    batch = stable.requests - evidence.stable.requests
    bad = stable.bad - evidence.stable.bad
    seen = {"candidate": candidate, "stable": stable}
    if batch <= 0 or bad < 0:
        # A counter that went back tells nothing about clumps.
        return evidence.model_copy(update=seen)
    rate = stable.bad / stable.requests
    variance = rate * (1.0 - rate) * batch * (1.0 - batch / stable.requests)
    if variance <= 0.0:
        return evidence.model_copy(update=seen)
    deviation = (bad - rate * batch) ** 2 / variance
    return evidence.model_copy(
        update={
            "looks": evidence.looks + 1,
            "spread": evidence.spread + min(deviation, LOUDEST_LOOK),
            **seen,
        }
    )


def dispersion(evidence: Evidence) -> float:
    """How many bad requests of the stable one make one independent event; at least 1."""
    return max(1.0, (evidence.spread + CALM_LOOKS) / (evidence.looks + CALM_LOOKS))


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
