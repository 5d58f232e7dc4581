"""What a rollout is judged by, as people write it, and what the status keeps of the judgement.

``analysis`` of a rollout or a RolloutPolicy is an :class:`Analysis`; ``status.analysis`` is a list of
:class:`CheckStatus`. The statistics behind them are in ``serin.analysis``, which knows these models and nothing else.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Annotated
from typing import Self

from pydantic import Field
from pydantic import StringConstraints
from pydantic import ValidatorFunctionWrapHandler
from pydantic import WithJsonSchema
from pydantic import WrapValidator
from pydantic import model_validator

from serin.api.base import SpecModel
from serin.api.base import StatusModel
from serin.api.quantities import PERCENTAGE_PATTERN
from serin.api.quantities import Duration
from serin.api.quantities import Percentage
from serin.api.quantities import Time
from serin.api.quantities import fraction
from serin.api.quantities import int_or_text
from serin.api.quantities import seconds

CHECK_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
BOUND_PATTERN = r"^-?[0-9]+(\.[0-9]+)?%?$"
BOUND_LENGTH = 20
QUERY_MAX_LENGTH = 4096
LONGEST_THRESHOLD = 3600
SHORTEST_THRESHOLD = "5ms"
"""Where the histograms of all known model servers begin: of a shorter one nobody could ever tell."""
THRESHOLD_RULE = (
    f"threshold of a check must be at least {SHORTEST_THRESHOLD}, where the model servers' histograms begin, "
    "and at most 1h"
)
MOST_CONFIDENT = "99.99%"
LEAST_CONFIDENT = "50%"
MOST_TOLERANT = "1000%"
DEFAULT_CONFIDENCE = "95%"
"""Confidence of a bound of a measure that is compared with nothing."""


def _bound(value: object, read: ValidatorFunctionWrapHandler) -> int | str:
    bound = int_or_text(value, read)
    if bound is None or (isinstance(bound, str) and not re.fullmatch(BOUND_PATTERN, bound)):
        raise ValueError(f'{value!r} is neither a number nor a percentage such as 5%; "0.2" has its quotes')
    if len(str(bound)) > BOUND_LENGTH:
        raise ValueError(f"{bound} is longer than {BOUND_LENGTH} characters")
    return bound


Bound = Annotated[
    int | str,
    WrapValidator(_bound),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": BOUND_PATTERN,
            "maxLength": BOUND_LENGTH,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""``5%``, ``3`` or ``"0.2"``: a structural schema has no union of number and string, only of integer and string."""


class Measure(StrEnum):
    """What is counted, built in for every model server that Serin knows."""

    ERROR_RATE = "ErrorRate"
    SLOWER_THAN = "SlowerThan"


class Verdict(StrEnum):
    """What is known of the candidate. Inconclusive and Error are neither good nor bad: nothing moves."""

    PASS = "Pass"  # noqa: S105 (a word, not a password)
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"


class NotWorseThanStable(SpecModel):
    """The candidate is compared with the stable one, under the same traffic in the same time."""

    tolerance: Percentage = Field(
        default="25%",
        description="How much worse than the stable one is still good: with 25% a share of 1.25 % passes against 1 %.",
    )
    confidence: Percentage = Field(
        default=DEFAULT_CONFIDENCE,
        description=(
            "100% minus the share of good candidates that may be rolled back, over the whole rollout and all checks "
            "together, however often they are looked at. That holds for requests that fail independently of each "
            "other; failures in bursts cost more good candidates (bench/judge.md)."
        ),
    )

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        if not fraction(LEAST_CONFIDENT) <= fraction(self.confidence) <= fraction(MOST_CONFIDENT):
            raise ValueError(f"confidence must be at least {LEAST_CONFIDENT} and at most {MOST_CONFIDENT}")
        if fraction(self.tolerance) > fraction(MOST_TOLERANT):
            raise ValueError(f"tolerance must be at most {MOST_TOLERANT}")
        return self


class Check(SpecModel):
    """One thing that a candidate is judged by: a built-in measure, or a query of one's own."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=CHECK_NAME_PATTERN)] = Field(
        description="Name of the check, as the status shows it."
    )
    measure: Measure | None = Field(
        default=None,
        description=(
            "ErrorRate: the share of requests that failed. SlowerThan: the share of answers that took longer than "
            "threshold. Exactly one of measure and query."
        ),
    )
    threshold: Duration | None = Field(
        default=None,
        description=(
            "For SlowerThan, at least 5ms. It counts at the nearest boundary of the model server's histogram that is "
            "not above it."
        ),
    )
    query: str | None = Field(
        default=None,
        min_length=1,
        max_length=QUERY_MAX_LENGTH,
        description=(
            "PromQL that gives one number, as a Jinja2 template with name, namespace, model, version, revision, "
            "stable_version, stable_revision, weight, step and seconds (since the step began). "
            "Exactly one of measure and query."
        ),
    )
    at_most: Bound | None = Field(
        default=None,
        description='Upper bound: a percentage for a measure, a number for a query (decimals as a string: "0.2").',
    )
    at_least: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="Lower bound of a query's number."
    )
    not_worse_than_stable: NotWorseThanStable | None = Field(
        default=None, description="Compares a measure with the stable one's."
    )
    dry_run: bool = Field(default=False, description="True: the verdict is shown and decides nothing.")

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if (self.measure is None) == (self.query is None):
            raise ValueError("exactly one of measure and query must be set")
        if (self.threshold is not None) != (self.measure is Measure.SLOWER_THAN):
            raise ValueError("threshold must be set for SlowerThan, and for nothing else")
        if self.threshold is not None and not 0 < seconds(self.threshold) <= LONGEST_THRESHOLD:
            raise ValueError("threshold must be above 0s and at most 1h")
        if self.at_most is None and self.at_least is None and self.not_worse_than_stable is None:
            raise ValueError("a check needs a bound: atMost, atLeast or notWorseThanStable")
        if self.measure is not None and self.at_least is not None:
            raise ValueError("atLeast must be set for a query only")
        if self.query is not None and self.not_worse_than_stable is not None:
            raise ValueError("notWorseThanStable must be set for a measure only")
        self._check_at_most()
        return self

    def _check_at_most(self) -> None:
        if self.at_most is None:
            return
        text = str(self.at_most)
        if self.measure is None:
            if text.endswith("%"):
                raise ValueError("atMost of a query must be a number")
        elif not re.fullmatch(PERCENTAGE_PATTERN, text) or not 0 < fraction(text) < 1:
            raise ValueError("atMost of a measure must be a percentage above 0% and below 100%")

    @property
    def most(self) -> float:
        """Upper bound as a number; infinite where there is none."""
        if self.at_most is None:
            return math.inf
        text = str(self.at_most)
        return fraction(text) if text.endswith("%") else float(text)


class Analysis(SpecModel):
    """How the candidate is judged while it has traffic, and during the bake."""

    every: Duration = Field(default="30s", description="How often it is judged.")
    min_requests: int = Field(
        default=200,
        ge=1,
        le=1_000_000_000,
        description=(
            "Requests in a step before the step can pass: to the candidate and, where a check compares them, to the "
            "stable revision. Queries count none."
        ),
    )
    checks: tuple[Check, ...] = Field(
        default=(),
        max_length=16,
        description="What it is judged by. Every check must pass; one that fails ends the rollout.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if not 5 <= seconds(self.every) <= LONGEST_THRESHOLD:
            raise ValueError("every must be at least 5s and at most 1h")
        if len({check.name for check in self.checks}) < len(self.checks):
            raise ValueError("names of checks must differ")
        return self


class Tally(StatusModel):
    """Requests of one revision in one step, or in several."""

    requests: int = Field(default=0, description="Requests.")
    bad: int = Field(default=0, description="Those of them that failed, or that were slow.")


class Evidence(StatusModel):
    """What a check carries from one look to the next: with it, a restarted operator comes to the same verdict."""

    stage: int = Field(default=1, description="Steps that were judged, with the one that runs.")
    compared: tuple[float, ...] = Field(
        default=(), description="Evidence of earlier steps that it is worse than the stable one, by how much worse."
    )
    bounded: tuple[float, ...] = Field(
        default=(), description="Evidence of earlier steps that it is above the bound, by how much."
    )
    looks: int = Field(default=0, description="Looks that told how much the stable one's figures scatter.")
    spread: float = Field(default=0.0, description="Sum of the squared, standardized deviations in those looks.")
    candidate: Tally = Field(default=Tally(), description="The candidate's requests in this step at the last look.")
    stable: Tally = Field(default=Tally(), description="The stable one's requests in this step at the last look.")
    batch: Tally = Field(default=Tally(), description="Those of them since the look before the last.")
    record: Tally = Field(default=Tally(), description="The stable one's requests in earlier steps of the rollout.")
    apart: bool = Field(default=False, description="The candidate had all the traffic at the last look.")


class CheckStatus(StatusModel):
    """What one check says of the candidate."""

    check: str = Field(description="Name of the check.")
    verdict: Verdict = Field(default=Verdict.INCONCLUSIVE, description="Pass, Fail, Inconclusive or Error.")
    dry_run: bool = Field(default=False, description="The verdict decides nothing.")
    candidate: float | None = Field(default=None, description="The candidate's figure: a share of 1, or a number.")
    stable: float | None = Field(default=None, description="The stable one's figure.")
    requests: int | None = Field(default=None, description="Requests to the candidate in this step.")
    needed: int | None = Field(default=None, description="Requests that are missing before the step can pass.")
    enough_at: Time | None = Field(default=None, description="When they will have come, at the rate so far.")
    e_value: float | None = Field(default=None, description="Evidence against the candidate; 1 says nothing.")
    limit: float | None = Field(default=None, description="Evidence at which it fails.")
    errors: int = Field(default=0, description="Looks in a row at which the source could not tell.")
    message: str = Field(default="", description="The verdict in one sentence.")
    evidence: Evidence | None = Field(default=None, description="What the next look begins with.")


# Rules by the path below the field ``analysis``, in the form of those in serin.api.rules.
_HUNDREDTHS = "double(self.{0}.substring(0, self.{0}.size() - 1))"
ANALYSIS_RULES: dict[tuple[str, ...], list[dict[str, str]]] = {
    (): [
        {
            "rule": "duration(self.every) >= duration('5s') && duration(self.every) <= duration('1h')",
            "message": "every of analysis must be at least 5s and at most 1h",
        }
    ],
    ("checks", "[]"): [
        {
            "rule": "has(self.measure) != has(self.query)",
            "message": "exactly one of measure and query must be set for each check",
        },
        {
            "rule": "has(self.threshold) == (has(self.measure) && self.measure == 'SlowerThan')",
            "message": "threshold must be set for the measure SlowerThan, and for nothing else",
        },
        {
            "rule": "!has(self.threshold) || "
            f"(duration(self.threshold) >= duration('{SHORTEST_THRESHOLD}') "
            "&& duration(self.threshold) <= duration('1h'))",
            "message": THRESHOLD_RULE,
        },
        {
            "rule": "has(self.atMost) || has(self.atLeast) || has(self.notWorseThanStable)",
            "message": "a check needs a bound: atMost, atLeast or notWorseThanStable",
        },
        {
            "rule": "!has(self.atLeast) || has(self.query)",
            "message": "atLeast must be set for a query only: a share of bad requests cannot be too low",
        },
        {
            "rule": "!has(self.notWorseThanStable) || has(self.measure)",
            "message": "notWorseThanStable must be set for a measure only: of a query only bounds are judged",
        },
        {
            "rule": "!has(self.atMost) || !has(self.measure) || (type(self.atMost) == string && "
            f"self.atMost.matches(r'{PERCENTAGE_PATTERN}') && {_HUNDREDTHS.format('atMost')} > 0.0 && "
            f"{_HUNDREDTHS.format('atMost')} < 100.0)",
            "message": "atMost of a measure must be a percentage above 0% and below 100%, such as 5%",
        },
        {
            "rule": "!has(self.atMost) || !has(self.query) || type(self.atMost) == int || !self.atMost.endsWith('%')",
            "message": "atMost of a query must be a number, not a percentage",
        },
    ],
    ("checks", "[]", "notWorseThanStable"): [
        {
            "rule": f"{_HUNDREDTHS.format('confidence')} >= 50.0 && {_HUNDREDTHS.format('confidence')} <= 99.99",
            "message": f"confidence must be at least {LEAST_CONFIDENT} and at most {MOST_CONFIDENT}",
        },
        {
            "rule": f"{_HUNDREDTHS.format('tolerance')} <= 1000.0",
            "message": f"tolerance must be at most {MOST_TOLERANT}",
        },
    ],
}
