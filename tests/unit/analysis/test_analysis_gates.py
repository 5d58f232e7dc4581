"""Gates of two records: what passes, and the sentence where something does not. What is not known never passes."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.analysis.gates import Metric
from serin.analysis.gates import Outcome
from serin.analysis.gates import Record
from serin.analysis.gates import Unreadable
from serin.analysis.gates import asks_for_stable
from serin.analysis.gates import outcome_of
from serin.analysis.signature import Field
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.api.gates import Gates

UNREADABLE = Unreadable("is not one that this operator can read")


def gates(*quality: dict[str, Any], signature: str = "Ignore") -> Gates:
    return Gates.model_validate({"signature": signature, "quality": list(quality)})


def record(version: str, *metrics: Metric, **values: float) -> Record:
    return Record(version, metrics=(*metrics, *(Metric(name, value) for name, value in values.items())))


def quality(gate: dict[str, Any], candidate: Record, stable: Record | None = None) -> str:
    found = outcome_of(gates(gate), candidate, stable)
    assert found == Outcome(quality=found.quality)
    assert found.passes == (not found.quality)
    return found.quality


V12 = record("v12", f1=0.9, loss=0.5, drift=-0.2, zero=0.0)
AT_LEAST = {"metric": "f1", "atLeast": 0.8}
COMPARED = {"metric": "f1", "notWorseThanStable": "2%"}
FIGURES: list[tuple[dict[str, Any], float, str]] = [
    (AT_LEAST, 0.8, ""),
    (AT_LEAST, 0.79, "f1 of v13 is 0.79, below 0.8"),
    (AT_LEAST, 0.79999999, "f1 of v13 is 0.79999999, below 0.8"),
    ({"metric": "f1", "atMost": 1}, 1.0, ""),
    ({"metric": "f1", "atMost": 1}, 1.0000001, "f1 of v13 is 1.0000001, above 1"),
    ({"metric": "f1", "atMost": 1}, 1.01, "f1 of v13 is 1.01, above 1"),
    ({"metric": "f1", "atLeast": 0, "atMost": 1}, 0.5, ""),
    ({"metric": "f1", "atLeast": 0, "atMost": 1}, -1, "f1 of v13 is -1, below 0"),
    (COMPARED, 0.9, ""),
    (COMPARED, 0.99, ""),
    # 0.9 - 0.02 * 0.9 is 0.882 in decimals and more than that in binary.
    (COMPARED, 0.882, ""),
    (COMPARED, 0.8819, "f1 of v13 is 0.8819, worse than 0.9 of v12 by more than 2% (higher is better)"),
    ({**COMPARED, "atLeast": 0.95}, 0.9, "f1 of v13 is 0.9, below 0.95"),
    ({**COMPARED, "notWorseThanStable": "0%"}, 0.9, ""),
    ({**COMPARED, "notWorseThanStable": "0%"}, 0.89999999, "f1 of v13 is 0.89999999, worse than 0.9 of v12 by more"),
    ({**COMPARED, "notWorseThanStable": "0%"}, 0.8999, "f1 of v13 is 0.8999, worse than 0.9 of v12 by more than 0% "),
    ({"metric": "loss", "lowerIsBetter": True, "notWorseThanStable": "10%"}, 0.1, ""),
    ({"metric": "loss", "lowerIsBetter": True, "notWorseThanStable": "10%"}, 0.55, ""),
    (
        {"metric": "loss", "lowerIsBetter": True, "notWorseThanStable": "10%"},
        0.56,
        "loss of v13 is 0.56, worse than 0.5 of v12 by more than 10% (lower is better)",
    ),
    # Which way is better, by the bound that is set.
    ({"metric": "loss", "atMost": 1, "notWorseThanStable": "10%"}, 0.1, ""),
    ({"metric": "loss", "atMost": 1, "notWorseThanStable": "10%"}, 0.6, "loss of v13 is 0.6, worse than 0.5"),
    ({"metric": "loss", "atMost": 1, "lowerIsBetter": False, "notWorseThanStable": "10%"}, 0.1, "loss of v13 is 0.1"),
    ({"metric": "loss", "atLeast": 0, "atMost": 1, "notWorseThanStable": "10%"}, 0.1, "loss of v13 is 0.1, worse"),
    # The tolerance is a share of the size, also below zero.
    ({"metric": "drift", "notWorseThanStable": "50%"}, -0.3, ""),
    ({"metric": "drift", "notWorseThanStable": "50%"}, -0.31, "drift of v13 is -0.31, worse than -0.2"),
    ({"metric": "zero", "notWorseThanStable": "50%"}, 0.0, ""),
    ({"metric": "zero", "notWorseThanStable": "50%"}, -0.001, "zero of v13 is -0.001, worse than 0"),
]


@pytest.mark.parametrize(("gate", "value", "sentence"), FIGURES)
def test_figures(gate: dict[str, Any], value: float, sentence: str) -> None:
    said = quality(gate, record("v13", **{gate["metric"]: value}), V12)
    assert said.startswith(sentence)
    assert bool(said) == bool(sentence)


def test_a_first_version_has_nothing_to_be_compared_with() -> None:
    assert quality(COMPARED, record("v1", f1=0.1)) == ""
    assert quality({**COMPARED, "atLeast": 0.8}, record("v1", f1=0.1)) == "f1 of v1 is 0.1, below 0.8"
    assert quality(COMPARED, record("v1")) == "v1 has no metric f1 (it has none)"


def test_a_metric_that_is_missing_does_not_pass() -> None:
    assert quality(AT_LEAST, record("v13", acc=1, F1=1)) == "v13 has no metric f1 (it has F1, acc)"
    assert quality(COMPARED, record("v13", f1=1), record("v12", acc=1)) == "v12 has no metric f1 (it has acc)"
    many = record("v13", **{f"m{number:02}": 1.0 for number in range(40)})
    assert quality(AT_LEAST, many).endswith("m09, m10, m11 and 28 more)")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, sys.float_info.max])
@pytest.mark.parametrize("gate", [AT_LEAST, {"metric": "f1", "atMost": 1}, {**COMPARED, "lowerIsBetter": True}])
def test_what_is_not_a_number_does_not_pass(value: float, gate: dict[str, Any]) -> None:
    assert quality(gate, record("v13", f1=value), V12) == "f1 of v13 is not a number"


def test_a_stable_figure_that_is_not_a_number() -> None:
    assert quality(COMPARED, record("v13", f1=1), record("v12", f1=math.nan)) == "f1 of v12 is not a number"


def test_metrics_that_are_not_known_do_not_pass() -> None:
    unknown = Record("v12", metrics=Unreadable("MLflow has no v12"))
    assert quality(COMPARED, record("v13", f1=1), unknown) == "f1 of v12 is not known: MLflow has no v12"
    assert quality(AT_LEAST, record("v13", f1=1), unknown) == ""


def test_datasets() -> None:
    train, test = Metric("f1", 0.99, "train"), Metric("f1", 0.7, "test")
    ambiguous = "f1 of v13 was logged for several datasets: name one of them (test, train)"
    assert quality(AT_LEAST, record("v13", train, test)) == ambiguous
    assert quality({**AT_LEAST, "dataset": "train"}, record("v13", train, test)) == ""
    assert quality({**AT_LEAST, "dataset": "test"}, record("v13", train, test)) == "f1 of v13 is 0.7, below 0.8"
    assert (
        quality({**AT_LEAST, "dataset": "eval"}, record("v13", train))
        == "v13 has no f1 for dataset eval (it has train)"
    )
    # The only one, and the one that was logged for none.
    assert quality(AT_LEAST, record("v13", train)) == ""
    assert quality(AT_LEAST, record("v13", test, f1=0.9)) == ""
    assert quality({**COMPARED, "dataset": "test"}, record("v13", test), record("v12", test)) == ""


def test_every_metric_must_be_good() -> None:
    both = gates(AT_LEAST, {"metric": "acc", "atLeast": 0.5})
    found = outcome_of(both, record("v13", f1=0.1, acc=0.1), None)
    assert found.quality == "f1 of v13 is 0.1, below 0.8; acc of v13 is 0.1, below 0.5"
    many = gates(*({"metric": f"m{number}", "atLeast": 1} for number in range(9)))
    assert outcome_of(many, record("v13"), None).quality.endswith("; and 4 more")


SOME = Signature(inputs=Schema((Field("a", Scalar("double")),)))
OTHER = Signature(inputs=Schema((Field("a", Scalar("string")),)))
BREAKS = "the signature breaks clients of v12: "
SIGNATURES: list[tuple[Signature | Unreadable | None, Signature | Unreadable | None, str]] = [
    (SOME, SOME, ""),
    (SOME, OTHER, "input 'a' is string and was double"),
    (SOME, None, "v13 was logged without a signature"),
    (SOME, UNREADABLE, "nobody can tell, since that of v13 is not one that this operator can read"),
    (UNREADABLE, SOME, "nobody can tell, since that of v12 is not one that this operator can read"),
    # What promised nothing can break no promise.
    (None, SOME, ""),
    (None, None, ""),
    (None, UNREADABLE, ""),
]


@pytest.mark.parametrize(("before", "after", "words"), SIGNATURES)
def test_signatures(before: Any, after: Any, words: str) -> None:
    stable, candidate, said = Record("v12", before), Record("v13", after), BREAKS + words if words else ""
    assert outcome_of(gates(signature="Enforce"), candidate, stable) == Outcome(signature=said)
    assert outcome_of(gates(signature="Warn"), candidate, stable) == Outcome(warning=said)
    assert outcome_of(gates(signature="Ignore"), candidate, stable) == Outcome()
    assert outcome_of(gates(signature="Enforce"), candidate, None) == Outcome()


def test_a_warning_is_deployed() -> None:
    assert outcome_of(gates(signature="Warn"), Record("v13"), Record("v12", SOME)).passes
    assert not outcome_of(gates(signature="Enforce"), Record("v13"), Record("v12", SOME)).passes


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        (gates(), False),
        (gates(AT_LEAST), False),
        (gates(COMPARED), True),
        (gates(signature="Enforce"), True),
        (gates(signature="Warn"), True),
    ],
)
def test_whether_the_stable_version_matters(asked: Gates, needs: bool) -> None:
    assert asks_for_stable(asked) == needs


NUMBERS = st.floats() | st.integers(-3, 3).map(float)


@given(NUMBERS, NUMBERS, st.sampled_from(["0%", "2%", "150%"]), st.booleans())
def test_a_better_figure_never_turns_a_pass_into_a_refusal(one: float, other: float, room: str, falls: bool) -> None:
    gate = {"metric": "m", "notWorseThanStable": room, "lowerIsBetter": falls}
    stable = record("v12", m=0.5)
    better = other < one if falls else other > one
    if (
        better
        and not math.isinf(other)
        and abs(other) < sys.float_info.max
        and not quality(gate, record("v13", m=one), stable)
    ):
        assert quality(gate, record("v13", m=other), stable) == ""
