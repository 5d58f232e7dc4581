"""What is asked of Prometheus for a check with a measure, and how its answer is read: one request a check and look.

One query gives all requests and the bad ones (or the good ones, where a server counts those) of both revisions since
the step began::

    label_replace(sum by (revision) (<requests>), "serin_count", "requests", "", "")
    or label_replace(sum by (revision) (<bad>), "serin_count", "bad", "", "")
    or label_replace(sum by (revision) (<answers>), "serin_count", "up", "", "")

**Requests, and the bad ones.** Each is the growth of a counter ``c`` since ``s``, when the step began: what it has,
less what it had, and what it lost on the way. With ``last = last_over_time(c[<since s, and an hour>])``::

    sum by (revision) (
      max without (serin_part) (
        last or label_replace(last_over_time(last[stride:stride]), "serin_part", "stride", "", "")
      )
      or label_replace(-last_over_time(c[1h] @ s), "serin_part", "had", "", "")
      or label_replace(sum_over_time((before > came)[<since s>:stride]), "serin_part", "lost", "", "")
    )
    before = last_over_time(c[<at most 6h>] offset stride) and on () vector(time()) >= s + stride
      or last_over_time(c[1h] @ s)
    came = last_over_time(c[stride]) and on () vector(time()) > s

- Plain differences, never ``increase``: that extrapolates, so counts are no integers and grow with the scrape interval,
  and it loses the first value of a series that is born within the step, as the series of the first error is. A series
  without a value at ``s`` was born later: all that it shows counts.
- ``last_over_time``, never the bare selector: that is empty where a pod went, and after a scrape that was missed. The
  errors of such a pod would go while its requests stay, or all that it ever counted would be new.
- *Lost* is what a counter had a stride ago (in the first one: at ``s``) wherever it then came with less: a container
  that starts anew begins at 0. It is looked for at each stride, and not by whether the last value is below the first: a
  counter that was reset comes by that, and those of requests and of errors each at another time. What a container
  counted in all of its lives since ``s`` counts, so that requests and errors are of the same ones.
- *What it has* is ``last``, but for a counter that fell after the last stride: until the next one, which finds what was
  lost, it stays what it was.

What a container counted between the last stride and its end is lost, of requests and of errors; and a reset is hidden
where a counter comes, within a stride, by all that it had. Both are at most the requests of a stride, which is a scrape
interval's length, and a 480th of a step that lasts longer than two hours. A counter that shows nothing for six hours
after a reset, as one of errors until the next, loses what it had come by since ``s``.

A source that had not scraped in the hour before ``s`` cannot tell what is new: then all counts as new. Where a question
is asked for several moments (``Scope.earliest``), as a report asks it, the window reaches further back at the earlier
ones, to series that had gone before that hour, and what they had at ``s`` has to be found, too. ``@`` needs Prometheus
2.33, Thanos 0.23 or Mimir.

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
from dataclasses import field
from datetime import datetime

from serin.analysis.checks import Number
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.runtimes import REVISION_SERIES_LABEL
from serin.analysis.runtimes import Counted
from serin.analysis.runtimes import Counter
from serin.api.analysis import Tally

COUNT_LABEL = "serin_count"
PART_LABEL = "serin_part"
REQUESTS = "requests"
BAD = "bad"
GOOD = "good"
UP = "up"

LOOK_BACK_SECONDS = 3600
"""How old the value may be that a counter had when the step began."""
STRIDE_SECONDS = 15
"""How often a counter that fell is looked for, at least while a step is young."""
LONGEST_SILENCE_SECONDS = 6 * 3600
"""How long a counter may have had no value after a reset, such as one of errors until the next, for that to be seen."""
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
    ready: Mapping[str, int] = field(default_factory=dict)
    """Replicas of each revision that are ready, where that is known."""
    matchers: str = ""
    """PromQL that selects the series of this cluster, where the source has those of several."""
    earliest: datetime | None = None
    """The first moment it is evaluated at, where it is asked for several; ``at`` is the last of them then."""

    @property
    def measured(self) -> tuple[str, ...]:
        """Revisions whose requests count now."""
        if self.stable is None or not self.concurrent:
            return (self.candidate,)
        return (self.candidate, self.stable)


def counts_query(how: Counted, scope: Scope) -> str:
    """All requests and some of them, of both revisions, since the step began."""
    part = BAD if how.part_is_bad else GOOD
    counters = f"{_called(how.requests, REQUESTS, scope)} or {_called(how.part, part, scope)}"
    return f"{counters} or {_labelled(_answering(scope), UP)}"


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
    unheard = (_unheard(one, round(found[one, UP]), scope.ready.get(one, 0)) for one in scope.measured)
    boundary = "" if how.boundary is None else f"counted at {how.boundary:g} s, the histogram's boundary below"
    return Sample(
        candidate=_tally(found, scope.candidate, how),
        stable=_tally(found, scope.stable, how),
        since=scope.since,
        at=scope.at,
        concurrent=scope.concurrent,
        remark=boundary,
        unheard=", ".join(filter(None, unheard)),
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


def _unheard(revision: str, answering: int, ready: int) -> str:
    if answering >= ready:
        return ""
    answer = "answers" if answering == 1 else "answer"
    return f"only {answering} of the {ready} ready pods of {revision} {answer} Prometheus' scrapes"


def _answering(scope: Scope) -> str:
    """Pods that answer scrapes, each once."""
    each = " or ".join(
        f"max by ({REVISION_SERIES_LABEL}, {label}) ({UP}{{{_matchers(scope)},{matcher}}})"
        for label, matcher in (("pod", 'pod!=""'), ("instance", 'pod=""'))
    )
    return f"sum by ({REVISION_SERIES_LABEL}) ({each})"


def _called(counter: Counter, count: str, scope: Scope) -> str:
    return _labelled(f"sum by ({REVISION_SERIES_LABEL}) ({_growth(counter, scope)})", count)


def _labelled(expression: str, count: str) -> str:
    return f'label_replace({expression}, "{COUNT_LABEL}", "{count}", "", "")'


def _growth(counter: Counter, scope: Scope) -> str:
    """The formula of this module's docstring."""
    series = f"{counter.name}{{{_matchers(scope)}{',' if counter.matchers else ''}{counter.matchers}}}"
    begun, passed = scope.since.timestamp(), _seconds(scope.since, scope.at)
    stride = _stride(passed)
    window = LOOK_BACK_SECONDS + passed
    last = f"last_over_time({series}[{window}s])"
    at_first = f"last_over_time({series}[{LOOK_BACK_SECONDS}s] @ {begun:.3f})"
    if scope.earliest is not None:
        # As far as the window does at that moment; at others it may not have what that finds.
        reaching = LOOK_BACK_SECONDS + _seconds(scope.earliest, scope.at)
        at_first = f"(last_over_time({series}[{reaching}s] @ {begun:.3f}) and {last})"
    at_stride = f"last_over_time({last}[{stride}s:{stride}s])"
    # A window of days is moved over each of a step's strides for seconds.
    silent = min(window, LONGEST_SILENCE_SECONDS)
    a_stride_ago = f"last_over_time({series}[{silent}s] offset {stride}s)"
    before = f"{a_stride_ago} and on () vector(time()) >= {begun + stride:.3f} or {at_first}"
    came = f"last_over_time({series}[{stride}s]) and on () vector(time()) > {begun:.3f}"
    fell = f"({before}) > ({came})"
    had, lost = _part(f"-{at_first}", "had"), _part(f"sum_over_time(({fell})[{passed}s:{stride}s])", "lost")
    return f"max without ({PART_LABEL}) ({last} or {_part(at_stride, 'stride')}) or {had} or {lost}"


def _part(expression: str, part: str) -> str:
    return f'label_replace({expression}, "{PART_LABEL}", "{part}", "", "")'


def _seconds(since: datetime, until: datetime) -> int:
    """Whole ones, and at least one: Prometheus knows no shorter window."""
    return max(1, math.ceil((until - since).total_seconds()))


def _stride(passed: int) -> int:
    """Doubled until there are few enough: what the counters were at a longer one's ends, the shorter ones saw, too."""
    stride = STRIDE_SECONDS
    while passed > stride * MOST_STRIDES:
        stride *= 2
    return stride


def _matchers(scope: Scope) -> str:
    revisions = "|".join(one for one in (scope.candidate, scope.stable) if one is not None)
    # Names of revisions and namespaces are DNS labels: nothing in them means anything in a regular expression.
    ours = f'namespace="{scope.namespace}",{REVISION_SERIES_LABEL}=~"{revisions}"'
    return f"{ours},{scope.matchers}" if scope.matchers else ours
