"""What a verdict says to people: figures in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from serin.analysis.checks import Sample
from serin.api.analysis import Check
from serin.api.analysis import Measure
from serin.api.analysis import Tally


def figures(check: Check, sample: Sample, base: Tally, stable: str, failed: Sequence[str]) -> str:
    """Such as "error rate 7.1 % against 0.9 % of v12 after 1,204 requests"."""
    candidate = sample.candidate
    if candidate.requests == 0:
        return "no requests"
    share = percent(candidate.bad / candidate.requests)
    if check.measure is Measure.SLOWER_THAN:
        said = f"{share} of the requests slower than {check.threshold}"
    else:
        said = f"error rate {share}"
    if "bounded" in failed and "compared" not in failed:
        said += f", above {check.at_most},"
    elif check.not_worse_than_stable is not None and base.requests > 0:
        before = "" if sample.concurrent else " before"
        said += f" against {percent(base.bad / base.requests)} of {stable}{before}"
    elif check.at_most is not None:
        said += f", bound {check.at_most},"
    said += f" after {candidate.requests:,} request{'' if candidate.requests == 1 else 's'}"
    return f"{said} ({sample.remark})" if sample.remark else said


def missing(requests: int) -> str:
    """Such as "120 more requests are needed"."""
    return f"{requests:,} more {'request is' if requests == 1 else 'requests are'} needed"


def percent(share: float) -> str:
    """Two significant digits where it is small, one decimal where it is not: 0.93 %, 7.1 %, 100 %."""
    hundredths = 100.0 * share
    text = f"{hundredths:.1f}" if hundredths >= 1 else f"{float(f'{hundredths:.2g}'):.6f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"
