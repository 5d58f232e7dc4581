"""What is asked of Prometheus for a check with a measure, and how its answer is read: one request a check and look.

One query gives all requests and the bad ones (or the good ones, where a server counts those) of both revisions since
the step began::

    label_replace(sum by (revision) (<requests>), "serin_count", "requests", "", "")
    or label_replace(sum by (revision) (<bad>), "serin_count", "bad", "", "")
    or label_replace(sum by (revision) (up), "serin_count", "up", "", "")

The last part tells no requests from no measurements: a server that is too busy to be scraped counts nothing, and is the
last one of which that may be taken for a good sign.

In the others the growth of a counter ``c`` since ``s`` is ``(last_over_time(c[<since s>]) - c @ s >= 0) or c``:

- plain differences, never ``increase``: that extrapolates, so counts are no integers and grow with the scrape interval,
  and it loses the first value of a series that is born within the step, as the series of the first error is;
- a series without a value at ``s`` was born later, and one that fell was reset: what it shows now is what it counted;
- a pod that went since ``s`` still has its last value in the window, which reaches a look-back further than ``s``: in
  one shorter than the scrape interval a living series would have no value, and all that it ever counted would be new.

A source that had not scraped in the five minutes before ``s`` cannot tell what is new: then all counts as new. The
``@`` modifier needs Prometheus 2.33, Thanos 0.23 or Mimir.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from serin.analysis.checks import Number
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.runtimes import REVISION_SERIES_LABEL
from serin.analysis.runtimes import Counted
from serin.analysis.runtimes import Counter
from serin.api.analysis import Tally

COUNT_LABEL = "serin_count"
REQUESTS = "requests"
BAD = "bad"
GOOD = "good"
UP = "up"

LOOK_BACK_SECONDS = 300
"""How far back Prometheus looks for a series' value at a moment (query.lookback-delta)."""


@dataclass(frozen=True, slots=True)
class Series:
    """One element of a query's result: its labels and its value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose requests are counted, and since when."""

    namespace: str
    candidate: str
    """Name of the candidate's revision."""
    stable: str | None
    since: datetime
    """When the step began."""
    at: datetime
    """The moment the query is evaluated at."""
    concurrent: bool = True
    """False while the candidate has all the traffic."""

    @property
    def measured(self) -> tuple[str, ...]:
        """Revisions whose requests count now."""
        if self.stable is None or not self.concurrent:
            return (self.candidate,)
        return (self.candidate, self.stable)


def counts_query(how: Counted, scope: Scope) -> str:
    """All requests and some of them, of both revisions, since the step began."""
    part = BAD if how.part_is_bad else GOOD
    up = _labelled(f"sum by ({REVISION_SERIES_LABEL}) ({UP}{{{_matchers(scope)}}})", UP)
    return f"{_called(how.requests, REQUESTS, scope)} or {_called(how.part, part, scope)} or {up}"


def read_counts(result: Iterable[Series], how: Counted, scope: Scope) -> Sample | Unknown:
    """The sample that the answer to :func:`counts_query` stands for. No series is no request."""
    found: dict[tuple[str, str], float] = {}
    for series in result:
        key = series.labels.get(REVISION_SERIES_LABEL, ""), series.labels.get(COUNT_LABEL, "")
        if key in found or not math.isfinite(series.value):
            return Unknown("the metrics' source gave an answer that cannot be counts")
        found[key] = series.value
    silent = next((one for one in scope.measured if not found.get((one, UP))), None)
    if silent is not None:
        scraped = "do not answer Prometheus' scrapes" if (silent, UP) in found else "are not scraped by Prometheus"
        return Unknown(f"the pods of {silent} {scraped}: what they do is not known")
    boundary = "" if how.boundary is None else f"counted at {how.boundary:g} s, the histogram's boundary below"
    return Sample(
        candidate=_tally(found, scope.candidate, how),
        stable=_tally(found, scope.stable, how),
        since=scope.since,
        at=scope.at,
        concurrent=scope.concurrent,
        remark=boundary,
    )


def read_number(result: Sequence[Series], requests: int | None = None) -> Number | Unknown:
    """The number that a query of one's own gave; ``requests`` to the candidate where another check counted them."""
    if len(result) > 1:
        return Unknown(f"the query gave {len(result)} series; it must give one number")
    value = result[0].value if result else None
    # 0/0 and x/0: no data in the denominator.
    return Number(value if value is not None and math.isfinite(value) else None, requests)


def _tally(found: Mapping[tuple[str, str], float], revision: str | None, how: Counted) -> Tally:
    if revision is None:
        return Tally()
    requests = max(0, round(found.get((revision, REQUESTS), 0.0)))
    # A server that had no such request yet has no series of them.
    part = max(0, round(found.get((revision, BAD if how.part_is_bad else GOOD), 0.0)))
    bad = part if how.part_is_bad else requests - part
    # Two counters of one scrape may be a request apart.
    return Tally(requests=requests, bad=min(requests, max(0, bad)))


def _called(counter: Counter, count: str, scope: Scope) -> str:
    return _labelled(_sum(counter, scope), count)


def _labelled(expression: str, count: str) -> str:
    return f'label_replace({expression}, "{COUNT_LABEL}", "{count}", "", "")'


def _matchers(scope: Scope) -> str:
    revisions = "|".join(one for one in (scope.candidate, scope.stable) if one is not None)
    # Names of revisions and namespaces are DNS labels: nothing in them means anything in a regular expression.
    return f'namespace="{scope.namespace}",{REVISION_SERIES_LABEL}=~"{revisions}"'


def _sum(counter: Counter, scope: Scope) -> str:
    series = f"{counter.name}{{{_matchers(scope)}{',' if counter.matchers else ''}{counter.matchers}}}"
    since = scope.since.timestamp()
    window = LOOK_BACK_SECONDS + max(0, math.ceil((scope.at - scope.since).total_seconds()))
    growth = f"(last_over_time({series}[{window}s]) - ({series} @ {since:.3f}) >= 0) or {series}"
    return f"sum by ({REVISION_SERIES_LABEL}) ({growth})"
