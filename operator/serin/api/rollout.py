"""How a new revision takes over from the one in use: the same form inline in a ModelDeployment and in a RolloutPolicy.

Defaults are the operator's, not the API server's: only so can a rule tell a policy beside inline settings from a policy
alone. Each description names its default.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated
from typing import Any
from typing import Self

from pydantic import ConfigDict
from pydantic import Field
from pydantic import model_validator

from serin.api.analysis import SHORTEST_THRESHOLD
from serin.api.analysis import THRESHOLD_RULE
from serin.api.analysis import Analysis
from serin.api.base import SpecModel
from serin.api.gates import Gates
from serin.api.quantities import LONGEST
from serin.api.quantities import Duration
from serin.api.quantities import ObjectName
from serin.api.quantities import longer
from serin.api.quantities import seconds

DIRECT_HEADER = "x-serin-revision"
"""Requests with this header and the value ``stable`` or ``candidate`` reach that revision while a rollout runs."""
STABLE, CANDIDATE = "stable", "candidate"

HEADER_NAME_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
"""A token of RFC 7230, as the Gateway API's HTTPHeaderName."""
HEADER_NAME_LENGTH = 256
LONGEST_READINESS = "1h"


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Settings(SpecModel):
    """Settings whose defaults the API server does not know."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)


class OnInconclusive(StrEnum):
    """What happens to a rollout that has not got through by its deadline."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"
    PROMOTE = "Promote"


class Match(Settings):
    """Which requests always go to the candidate."""

    headers: dict[str, Annotated[str, Field(min_length=1, max_length=4096)]] = Field(
        min_length=1,
        max_length=8,
        description="Headers that a request must all have, with exactly these values. Names in any case.",
    )

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if not all(
            re.fullmatch(HEADER_NAME_PATTERN, name) and len(name) <= HEADER_NAME_LENGTH for name in self.headers
        ):
            raise ValueError("headers must be names of HTTP headers")
        plain = [name.lower() for name in self.headers]
        if DIRECT_HEADER in plain:
            raise ValueError(f"headers must not be {DIRECT_HEADER}: it always reaches the revision that it names")
        if len(set(plain)) < len(plain):
            raise ValueError("headers must name each header once, whatever its case")
        return self


class Step(Settings):
    """One step of a rollout."""

    weight: int = Field(ge=0, le=100, description="Percent of the requests for the candidate.")
    mirror: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description=(
            "Percent of the requests of which the candidate gets a copy; its answers are thrown away. It has the "
            "replicas for weight and mirror together, as far as maxReplicas allows."
        ),
    )
    match: Match | None = Field(
        default=None,
        description="Requests that always go to the candidate. The weight shares out the rest.",
    )
    hold: Duration | None = Field(
        default=None,
        description=(
            "How long the step lasts, from the moment the gateway accepted it. 0s passes at once. It may be left out "
            "only where approval is true."
        ),
    )
    approval: bool = Field(
        default=False,
        description="Whether the step, once its hold is over, waits for a person: serin approve. Default false.",
    )

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if self.hold is None and not self.approval:
            raise ValueError("hold must be set where approval is not true")
        if self.hold is not None and longer(self.hold, than=LONGEST):
            raise ValueError(f"hold must be at most {LONGEST}")
        return self


class Readiness(Settings):
    """What counts as ready."""

    stable_for: Duration = Field(
        default="10s",
        description="Replicas are ready without a break for this long before they get traffic. Default 10s.",
    )

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if longer(self.stable_for, than=LONGEST_READINESS):
            raise ValueError(f"stableFor must be at most {LONGEST_READINESS}")
        return self


class OnFailure(StrEnum):
    """What happens to a candidate that fails a check."""

    ROLLBACK = "Rollback"
    FREEZE = "Freeze"


class Rollout(Settings):
    """The steps, and what is around them."""

    steps: tuple[Step, ...] = Field(
        default=(),
        max_length=20,
        description="What the candidate gets, one after the other, then all. Without steps all once it is ready.",
    )
    gates: Gates | None = Field(
        default=None,
        description=(
            "What is looked at before a version is deployed at all. It does not count for going back to a revision "
            "that has served before. By default nothing is looked at."
        ),
    )
    readiness: Readiness = Field(default=Readiness(), description="What counts as ready.")
    analysis: Analysis | None = Field(
        default=None,
        description=(
            "What the candidate is judged by in steps that give it requests, and while it bakes: a step ends when its "
            "hold is over and every check passes. By default it is not judged."
        ),
    )
    on_failure: OnFailure = Field(
        default=OnFailure.ROLLBACK,
        description=(
            "When a check fails: Rollback takes all traffic back, Freeze keeps the weight and waits for a person. "
            "A candidate that crashes is always taken back. Default Rollback."
        ),
    )
    bake: Duration = Field(
        default="0s",
        description=(
            "How long the candidate has all traffic before it is promoted. Until then the stable revision keeps its "
            "replicas, and a failure takes the traffic back within seconds. Default 0s."
        ),
    )
    keep_previous: Duration = Field(
        default="10m",
        description=(
            "How long the previous revision keeps its replicas, untouched and warm, from when the new one has all "
            "traffic; at least as long as bake. Default 10m."
        ),
    )
    deadline: Duration | None = Field(
        default=None,
        description="How long a rollout may take until the candidate has all traffic. By default there is no limit.",
    )
    on_inconclusive: OnInconclusive = Field(
        default=OnInconclusive.HOLD,
        description=(
            "At the deadline: Hold keeps the weight and waits for a person, Rollback takes the candidate back, Promote "
            "gives it all traffic, without a bake and not past a step that asks for approval. Default Hold."
        ),
    )

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        weights = [step.weight for step in self.steps]
        if weights != sorted(weights):
            raise ValueError("weights of steps must not fall from one step to the next")
        for name, length in (("bake", self.bake), ("keepPrevious", self.keep_previous), ("deadline", self.deadline)):
            if length is not None and longer(length, than=LONGEST):
                raise ValueError(f"{name} must be at most {LONGEST}")
        if self.deadline is not None and seconds(self.deadline) == 0:
            raise ValueError("deadline must be above 0s; leave it out for none")
        # Not of the analysis itself: a status has it too, and must be read whatever rule is new.
        if self.analysis is not None and not self.analysis.checks:
            raise ValueError("analysis needs checks: without one nothing is judged; add one, or leave analysis out")
        thresholds = [check.threshold for check in self.analysis.checks] if self.analysis is not None else []
        if any(one is not None and longer(SHORTEST_THRESHOLD, than=one) for one in thresholds):
            raise ValueError(f"analysis: {THRESHOLD_RULE}")
        # Whether it was written, not what it says: the default written out would be ignored, too.
        if "on_failure" in self.model_fields_set and self.analysis is None:
            raise ValueError("onFailure says what happens when a check fails: set analysis, too")
        if "on_inconclusive" in self.model_fields_set and self.deadline is None:
            raise ValueError("onInconclusive says what happens at the deadline: set deadline, too")
        return self


class RolloutOrPolicy(Rollout):
    """The rollout of one ModelDeployment: the name of a RolloutPolicy, or the same settings inline."""

    policy: ObjectName | None = Field(
        default=None,
        description=(
            "Name of a RolloutPolicy in the operator's namespace, and then nothing else. A ModelDeployment without "
            "rollout uses the policy named default, where there is one."
        ),
    )

    @model_validator(mode="after")
    def _policy_alone(self) -> Self:
        if self.policy is not None and self.model_fields_set != {"policy"}:
            raise ValueError("policy must stand alone: the settings beside it belong into the RolloutPolicy")
        return self
