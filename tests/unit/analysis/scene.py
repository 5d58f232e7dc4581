"""What the tests of the judge have in common: an analysis as people write it, and counts as a source gives them."""

from __future__ import annotations

from datetime import UTC
from datetime import datetime
from datetime import timedelta
from typing import Any

from serin.analysis.checks import Sample
from serin.analysis.verdict import Versions
from serin.api.analysis import Analysis
from serin.api.analysis import Tally

SINCE = datetime(2026, 11, 20, 12, tzinfo=UTC)
VERSIONS = Versions("v13", "v12")
COMPARED: dict[str, Any] = {"name": "errors", "measure": "ErrorRate", "notWorseThanStable": {}}
BOUNDED: dict[str, Any] = {"name": "errors", "measure": "ErrorRate", "atMost": "5%"}
SLOW: dict[str, Any] = {
    "name": "slow",
    "measure": "SlowerThan",
    "threshold": "250ms",
    "notWorseThanStable": {"tolerance": "25%", "confidence": "95%"},
}
MARGIN: dict[str, Any] = {"name": "margin", "query": "avg(margin)", "atLeast": 0.1}


def analysis(*checks: dict[str, Any], **fields: Any) -> Analysis:
    return Analysis.model_validate({"checks": list(checks) or [COMPARED], **fields})


def sample(candidate: tuple[int, int], stable: tuple[int, int] = (0, 0), seconds: float = 600, **fields: Any) -> Sample:
    """Requests and bad ones of both."""
    return Sample(
        candidate=Tally(requests=candidate[0], bad=candidate[1]),
        stable=Tally(requests=stable[0], bad=stable[1]),
        since=SINCE,
        at=SINCE + timedelta(seconds=seconds),
        **fields,
    )
