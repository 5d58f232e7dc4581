"""How far a share that was counted may be from the true one."""

from __future__ import annotations

import math

from serin.api.analysis import Tally

Z = 1.959963984540054
"""Of a confidence of 95 %, two-sided."""


def wilson(tally: Tally) -> tuple[float, float]:
    """The 95 % interval of a share: Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 1927.

    It holds for one moment and for requests that are bad independently of each other; what decides is the evidence,
    which holds however often it is looked at. Everything from 0 to 1 where nothing was counted.
    """
    requests = tally.requests
    if requests <= 0:
        return 0.0, 1.0
    share = min(max(tally.bad / requests, 0.0), 1.0)
    squared = Z * Z
    middle = (share + squared / (2 * requests)) / (1 + squared / requests)
    half = Z / (1 + squared / requests) * math.sqrt(share * (1 - share) / requests + squared / (4 * requests**2))
    # Rounding must not put the interval beside what was counted.
    return max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))
