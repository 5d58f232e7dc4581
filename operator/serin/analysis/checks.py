"""What is measured for a check, and at which level it is judged.

``metrics`` makes a :class:`Sample`, a :class:`Number` or an :class:`Unknown` of each answer; ``verdict`` judges them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from serin.api.analysis import DEFAULT_CONFIDENCE
from serin.api.analysis import Analysis
from serin.api.analysis import Check
from serin.api.analysis import Tally
from serin.api.quantities import fraction

BOUND_SHARE = 0.2
"""Part of its level that a check spends on atMost when it also compares: what breaks a bound is soon seen."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests of both revisions since the step began, of one check with a measure."""

    candidate: Tally
    stable: Tally
    since: datetime
    """When the step began."""
    at: datetime
    """The moment that the counts speak of."""
    concurrent: bool = True
    """False while the candidate has all the traffic: it is then compared with the stable one's earlier steps."""
    remark: str = ""
    """What people have to know about the figures, such as another threshold than theirs."""
    unheard: str = ""
    """Whose pods are not all in the figures: those then speak against the candidate, but not for it."""


@dataclass(frozen=True, slots=True)
class Number:
    """What a query of one's own came to; None where it gave nothing, NaN or infinity."""

    value: float | None
    requests: int | None = None
    """Requests to the candidate since the step began, where a measure counted them."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The source could not tell: it did not answer, refused the query, or has no such measure."""

    message: str


Measurement = Sample | Number | Unknown


@dataclass(frozen=True, slots=True)
class Levels:
    """Probability with which a check may ever fail a good candidate, by each of its tests. 0 where it has no such."""

    bounded: float = 0.0
    compared: float = 0.0


def levels(analysis: Analysis, check: Check) -> Levels:
    """The check's part of the level: split over all checks of a measure that decide something, and over its tests.

    The sum of the levels bounds the probability that any of them fails a good candidate (Bonferroni).
    """
    deciding = sum(other.measure is not None and not other.dry_run for other in analysis.checks)
    compares = check.not_worse_than_stable
    confidence = DEFAULT_CONFIDENCE if compares is None else compares.confidence
    level = (1.0 - fraction(confidence)) / max(1, deciding)
    if check.measure is None:
        return Levels()
    if compares is None:
        return Levels(bounded=level)
    if check.at_most is None:
        return Levels(compared=level)
    return Levels(bounded=level * BOUND_SHARE, compared=level * (1.0 - BOUND_SHARE))
