"""What people may write as gates: accepted as the manual shows it, refused with the field and the remedy."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from serin.api.gates import Gates
from serin.api.gates import QualityGate
from serin.api.gates import SignatureGate
from serin.api.rollout import Rollout

F1: dict[str, Any] = {"metric": "f1", "atLeast": 0.8, "notWorseThanStable": "2%"}

# These also decide what the API server has to admit, in tests/integration/test_admission.py.
ACCEPTED: dict[str, dict[str, Any]] = {
    "every field": {
        "signature": "Warn",
        "quality": [{**F1, "dataset": "holdout", "atMost": 1.0, "lowerIsBetter": False}, {"metric": "b", "atMost": 3}],
    },
    "nothing": {},
    "a metric as MLflow allows it": {"quality": [{"metric": "val/f1 score (macro)", "atLeast": -1.5e-3}]},
    "equal bounds": {"quality": [{"metric": "f1", "atLeast": 1, "atMost": 1}]},
    "no tolerance": {"quality": [{"metric": "f1", "notWorseThanStable": "0%", "lowerIsBetter": True}]},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a metric without a bound": ({"quality": [{"metric": "f1"}]}, "a metric of quality needs a bound: atLeast, atMost"),
    "bounds that nothing fits": (
        {"quality": [{"metric": "f1", "atLeast": 0.9, "atMost": 0.8}]},
        "atLeast of quality must not be above atMost",
    ),
    "a tolerance without an end": (
        {"quality": [{"metric": "f1", "notWorseThanStable": "1001%"}]},
        "notWorseThanStable of quality must be at most 1000%",
    ),
    "a direction of nothing": (
        {"quality": [{"metric": "f1", "atLeast": 1, "lowerIsBetter": True}]},
        "looks: set that, too",
    ),
}
REFUSED_BY_SCHEMA: dict[str, tuple[dict[str, Any], str]] = {
    "a tolerance that is no percentage": ({"quality": [{"metric": "f1", "notWorseThanStable": "2"}]}, "should match"),
    "a bound that is a text": ({"quality": [{"metric": "f1", "atLeast": "high"}]}, "number"),
    "a metric without a name": ({"quality": [{"metric": "", "atLeast": 1}]}, "at least 1 char"),
    "an unknown way": ({"signature": "Maybe"}, "Enforce"),
    # YAML reads Off as false, so there is no such word.
    "off": ({"signature": False}, "string"),
    "too many": ({"quality": [F1] * 33}, "at most 32 items"),
}


@pytest.mark.parametrize("gates", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_accepted(gates: dict[str, Any]) -> None:
    assert Rollout.model_validate({"gates": gates}).gates == Gates.model_validate(gates)


@pytest.mark.parametrize(("gates", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(gates: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Rollout.model_validate({"gates": gates})


@pytest.mark.parametrize("gates", [gates for gates, _ in REFUSED_BY_SCHEMA.values()], ids=REFUSED_BY_SCHEMA)
def test_what_is_refused_by_its_form(gates: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rollout.model_validate({"gates": gates})


def test_defaults() -> None:
    assert Rollout().gates is None
    assert Gates() == Gates(signature=SignatureGate.ENFORCE, quality=())


@pytest.mark.parametrize(
    ("gate", "falls"),
    [
        (F1, False),
        ({"metric": "loss", "atMost": 1, "notWorseThanStable": "2%"}, True),
        ({"metric": "loss", "atLeast": 0, "atMost": 1, "notWorseThanStable": "2%"}, False),
        ({"metric": "loss", "notWorseThanStable": "2%"}, False),
        ({"metric": "loss", "notWorseThanStable": "2%", "lowerIsBetter": True}, True),
        ({"metric": "r2", "atMost": 1, "notWorseThanStable": "2%", "lowerIsBetter": False}, False),
    ],
)
def test_which_way_is_better(gate: dict[str, Any], falls: bool) -> None:
    assert QualityGate.model_validate(gate).falls == falls


@pytest.mark.parametrize("bound", [math.nan, math.inf])
def test_a_bound_is_a_number(bound: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        QualityGate.model_validate({"metric": "f1", "atLeast": bound})


@pytest.mark.parametrize("word", list(SignatureGate))
def test_every_word_is_a_text_in_yaml(word: SignatureGate) -> None:
    assert yaml.safe_load(f"signature: {word}") == {"signature": str(word)}
