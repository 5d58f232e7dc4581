"""What a verdict says to people: figures in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

from serin.analysis.checks import Sample
from serin.api.analysis import Check
from serin.api.analysis import Measure
from serin.api.analysis import Tally

MOST_DIGITS = 17
"""As many tell any two floats apart."""


def figures(check: Check, sample: Sample, base: Tally, stable: str, failed: Sequence[str]) -> str:
    """Such as "error rate 7.1 % against 0.9 % of v12 after 1,204 requests"."""
    candidate = sample.candidate
    if candidate.requests == 0:
        return "no requests"
    rate = candidate.bad / candidate.requests
    by_bound = "bounded" in failed and "compared" not in failed
    compared = check.not_worse_than_stable is not None and base.requests > 0 and not by_bound
    before = base.bad / base.requests if compared else 0.0
    # A bound that is not met is named beside the stable one's figure: it is what holds the candidate up.
    above = by_bound or (not failed and rate > check.most)
    lower = [*([before] if compared else []), *([check.most] if above else [])]
    more = max((digits_between(rate, one, percent) for one in lower if one < rate), default=0)
    share = percent(rate, more)
    if check.measure is Measure.SLOWER_THAN:
        said = f"{share} of the requests slower than {check.threshold}"
    else:
        said = f"error rate {share}"
    if compared:
        said += f" against {percent(before, more)} of {stable}{'' if sample.concurrent else ' before'}"
    if above:
        said += f", above {check.at_most},"
    elif check.at_most is not None and not compared:
        said += f", bound {check.at_most},"
    said += f" after {candidate.requests:,} request{'' if candidate.requests == 1 else 's'}"
    return f"{said} ({sample.remark})" if sample.remark else said


def missing(requests: int) -> str:
    """Such as "120 more requests are needed"."""
    return f"{requests:,} more {'request is' if requests == 1 else 'requests are'} needed"


def percent(share: float, more: int = 0) -> str:
    """Two significant digits where it is small, one decimal where it is not, and some more: 0.93 %, 7.1 %, 100 %."""
    hundredths = 100.0 * share
    small = float(f"{hundredths:.{2 + more}g}")
    text = f"{hundredths:.{1 + more}f}" if hundredths >= 1 else f"{small:.{6 + more}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def plain(value: float, more: int = 0) -> str:
    """Such as 0.882: six significant digits, and some more."""
    return f"{value:.{6 + more}g}"


def digits_between(one: float, other: float, written: Callable[[float, int], str]) -> int:
    """How many digits more than usual show that the two differ: what is below 0.8 is not written as 0.8."""
    return next((more for more in range(MOST_DIGITS) if written(one, more) != written(other, more)), 0)
