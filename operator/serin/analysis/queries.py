"""What is asked of Prometheus for a check with a measure, and how its answer is read: one request a check and look.

One query gives all requests and the bad ones (or the good ones, where a server counts those) of both revisions since
the step began::

    label_replace(sum by (revision) (<requests>), "serin_count", "requests", "", "")
    or label_replace(sum by (revision) (<bad>), "serin_count", "bad", "", "")
    or label_replace(sum by (revision) (<answers>), "serin_count", "up", "", "")

**Requests, and the bad ones.** Each is the growth of a counter ``c`` since ``s``, when the step began. With
``last = last_over_time(c[w])``, where the window ``w`` reaches an hour further back than ``s``, and ``before`` for what
``last`` was a stride ago, but not before ``s``, that is::

      ((last_over_time(last[stride:stride]) > last) or last)
    - ((last @ s) or last * 0)
    + (sum_over_time((before > last and on () vector(time()) > s)[<since s>:stride]) or last * 0)

    before = (last offset stride and on () vector(time()) >= s + stride) or last @ s

- Plain differences, never ``increase``: that extrapolates, so counts are no integers and grow with the scrape interval,
  and it loses the first value of a series that is born within the step, as the series of the first error is.
- The second line is what the counter had when the step began. A series that it does not know was born later: all that
  it shows counts.
- ``last_over_time``, never the bare selector: that is empty where a pod went, and after a scrape that was missed. The
  errors of such a pod would go while its requests stay, or all that it ever counted would be new.
- The third line is what was lost: a container that starts anew begins at 0, and what its counters had by then is added
  again. Looked for at each stride, and not by whether the last value is below the first, since a counter that was reset
  comes by that, and those of requests and of errors each at another time. What a container counted in all of its lives
  since ``s`` counts, so that requests and errors are of the same ones.
- The first line is ``last``, but for a counter that fell after the last stride: for that the third line does not know
  of it yet, it stays what it was for the rest of this one.

What a container counted between the last stride and its end is lost, of requests and of errors; and a reset is hidden
where a counter comes, within a stride, by all that it had. Both are at most the requests of a stride, which is a scrape
interval's length, and a 480th of a step that lasts longer than two hours.

The window is wide enough that a series which has any value in it and none at ``s`` was born after ``s``. A source that
had not scraped in the hour before ``s`` cannot tell what is new: then all counts as new. The question of a later moment
gives the same figures at an earlier one, which is how a report asks it. ``@`` needs Prometheus 2.33, Thanos 0.23 or
Mimir.

**Answers** are pods that answer Prometheus' scrapes, each once, however many targets Prometheus makes of it: by the
label ``pod``, or by ``instance`` without that. They tell no requests from no measurements: a server that is too busy to
be scraped counts nothing, and is the last one of which that may be taken for a good sign. Where fewer answer than are
ready, what is known speaks against a candidate, but not for it.
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

LOOK_BACK_SECONDS = 3600
"""How old the value may be that a counter had when the step began."""
STRIDE_SECONDS = 15
"""How often a counter that fell is looked for, at least while a step is young."""
MOST_STRIDES = 480
"""In a step. In one that is longer the strides are."""


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
    return _labelled(f"sum by ({REVISION_SERIES_LABEL}) ({_growth(counter, scope)})", count)


def _labelled(expression: str, count: str) -> str:
    return f'label_replace({expression}, "{COUNT_LABEL}", "{count}", "", "")'


def _growth(counter: Counter, scope: Scope) -> str:
    """The formula of this module's docstring."""
    series = f"{counter.name}{{{_matchers(scope)}{',' if counter.matchers else ''}{counter.matchers}}}"
    begun, passed = scope.since.timestamp(), max(1, math.ceil((scope.at - scope.since).total_seconds()))
    stride = _stride(passed)
    window = f"{series}[{LOOK_BACK_SECONDS + passed}s]"
    last, at_first = f"last_over_time({window})", f"last_over_time({window} @ {begun:.3f})"
    a_stride_ago = f"last_over_time({window} offset {stride}s) and on () vector(time()) >= {begun + stride:.3f}"
    fell = f"({a_stride_ago} or {at_first}) > {last} and on () vector(time()) > {begun:.3f}"
    return (
        f"((last_over_time({last}[{stride}s:{stride}s]) > {last}) or {last})"
        f" - ({at_first} or {last} * 0)"
        f" + (sum_over_time(({fell})[{passed}s:{stride}s]) or {last} * 0)"
    )


def _stride(passed: int) -> int:
    """Doubled until there are few enough: what the counters were at a longer one's ends, the shorter ones saw, too."""
    stride = STRIDE_SECONDS
    while passed > stride * MOST_STRIDES:
        stride *= 2
    return stride


def _matchers(scope: Scope) -> str:
    revisions = "|".join(one for one in (scope.candidate, scope.stable) if one is not None)
    # Names of revisions and namespaces are DNS labels: nothing in them means anything in a regular expression.
    return f'namespace="{scope.namespace}",{REVISION_SERIES_LABEL}=~"{revisions}"'
