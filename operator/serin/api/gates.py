"""What a version must be like before anything of it is deployed, as people write it: ``gates`` of a rollout.

The comparison itself is in ``serin.analysis.gates``, which knows these models and nothing of the registry.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from typing import Self

from pydantic import Field
from pydantic import model_validator

from serin.api.base import SpecModel
from serin.api.quantities import Percentage
from serin.api.quantities import fraction

MOST_TOLERANT = "1000%"
NAME_LENGTH = 250
"""MLflow's own limit for the name of a metric."""

Number = Annotated[float, Field(allow_inf_nan=False)]


class SignatureGate(StrEnum):
    """What happens to a version whose signature breaks the clients of the stable one.

    Not Off: YAML reads that as false.
    """

    ENFORCE = "Enforce"
    WARN = "Warn"
    IGNORE = "Ignore"


class QualityGate(SpecModel):
    """One metric that was logged with the model."""

    metric: str = Field(
        min_length=1,
        max_length=NAME_LENGTH,
        description="Name of the metric as MLflow has it. A version that has no such metric does not pass.",
    )
    dataset: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description=(
            "Name of the dataset that the metric was logged for (MLflow 3). Needed where it was logged for several."
        ),
    )
    at_least: Number | None = Field(default=None, description="The metric's lowest good value.")
    at_most: Number | None = Field(default=None, description="The metric's highest good value.")
    not_worse_than_stable: Percentage | None = Field(
        default=None,
        description=(
            "How much worse than the stable version's metric is still good, in hundredths of that: with 2% an f1 of "
            "0.882 passes against 0.9. A first version has nothing to be compared with, and passes."
        ),
    )
    lower_is_better: bool | None = Field(
        default=None,
        description=(
            "Which way notWorseThanStable looks: true for a loss or an error. By default it is true where atMost is "
            "set and atLeast is not, otherwise false."
        ),
    )

    @property
    def falls(self) -> bool:
        """Whether a lower value is the better one."""
        if self.lower_is_better is not None:
            return self.lower_is_better
        return self.at_most is not None and self.at_least is None

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if self.at_least is None and self.at_most is None and self.not_worse_than_stable is None:
            raise ValueError("a metric of quality needs a bound: atLeast, atMost or notWorseThanStable")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("atLeast of quality must not be above atMost")
        if self.not_worse_than_stable is not None and fraction(self.not_worse_than_stable) > fraction(MOST_TOLERANT):
            raise ValueError(f"notWorseThanStable of quality must be at most {MOST_TOLERANT}")
        if self.lower_is_better is not None and self.not_worse_than_stable is None:
            raise ValueError("lowerIsBetter of quality says which way notWorseThanStable looks: set that, too")
        return self


class Gates(SpecModel):
    """What is looked at before a version is deployed. One that does not pass is not deployed, and the status says why;
    nothing that serves is touched."""

    signature: SignatureGate = Field(
        default=SignatureGate.ENFORCE,
        description=(
            "The version's MLflow signature against that of the stable one: a request that is good today must stay "
            "good, and an answer must keep its form. Enforce: one that breaks clients is not deployed. Warn: it is "
            "deployed, with a warning event and the condition GatesWarning. Ignore: signatures are not looked at."
        ),
    )
    quality: tuple[QualityGate, ...] = Field(
        default=(),
        max_length=32,
        description="Metrics that MLflow has of the version. Every one must be good.",
    )


# Rules by the path below the field ``gates``, in the form of those in serin.api.rules.
GATE_RULES: dict[tuple[str, ...], list[dict[str, str]]] = {
    ("quality", "[]"): [
        {
            "rule": "has(self.atLeast) || has(self.atMost) || has(self.notWorseThanStable)",
            "message": "a metric of quality needs a bound: atLeast, atMost or notWorseThanStable",
        },
        {
            "rule": "!has(self.atLeast) || !has(self.atMost) || self.atLeast <= self.atMost",
            "message": "atLeast of quality must not be above atMost",
        },
        {
            "rule": "!has(self.notWorseThanStable) || "
            "double(self.notWorseThanStable.substring(0, self.notWorseThanStable.size() - 1)) <= 1000.0",
            "message": f"notWorseThanStable of quality must be at most {MOST_TOLERANT}",
        },
        {
            "rule": "!has(self.lowerIsBetter) || has(self.notWorseThanStable)",
            "message": "lowerIsBetter of quality says which way notWorseThanStable looks: set that, too",
        },
    ],
}
