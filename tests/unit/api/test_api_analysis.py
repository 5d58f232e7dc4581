"""What people may write to judge by: accepted as the manual shows it, refused with the field and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter
from pydantic import ValidationError

from serin.api.analysis import ANALYSIS_RULES
from serin.api.analysis import Analysis
from serin.api.analysis import Check
from serin.api.analysis import CheckStatus
from serin.api.crd import structural
from serin.api.quantities import Percentage
from serin.api.quantities import fraction

ERRORS: dict[str, Any] = {
    "name": "errors",
    "measure": "ErrorRate",
    "atMost": "5%",
    "notWorseThanStable": {"tolerance": "25%", "confidence": "95%"},
}
SLOW = {"name": "slow", "measure": "SlowerThan", "threshold": "250ms", "notWorseThanStable": {}}
MARGIN = {"name": "margin", "query": 'avg(margin{revision="{{ revision }}"})', "atLeast": 0.1, "dryRun": True}


# These also decide what the API server has to admit, in tests/integration/test_admission_analysis.py.
ACCEPTED: list[dict[str, Any]] = [
    ERRORS,
    SLOW,
    MARGIN,
    {"name": "a", "measure": "ErrorRate", "atMost": "0.5%"},
    {"name": "a", "measure": "ErrorRate", "notWorseThanStable": {"tolerance": "0%", "confidence": "99.9%"}},
    {"name": "a", "query": "up", "atMost": 3},
    {"name": "a", "query": "up", "atMost": "0.2", "atLeast": -1},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "a", "atMost": 1}, "exactly one of measure and query"),
    ({**ERRORS, "query": "up"}, "exactly one of measure and query"),
    ({"name": "a", "measure": "ErrorRate"}, "a check needs a bound"),
    ({"name": "a", "query": "up"}, "a check needs a bound"),
    ({**ERRORS, "threshold": "1s"}, "threshold must be set for SlowerThan"),
    ({**SLOW, "threshold": None}, "threshold must be set for SlowerThan"),
    ({**SLOW, "threshold": "0s"}, "threshold must be above 0s"),
    ({**SLOW, "threshold": "61m"}, "threshold must be above 0s and at most 1h"),
    ({**ERRORS, "atLeast": 0.1}, "atLeast must be set for a query only"),
    ({**MARGIN, "notWorseThanStable": {}}, "notWorseThanStable must be set for a measure only"),
    ({**ERRORS, "atMost": 5}, "atMost of a measure must be a percentage"),
    ({**ERRORS, "atMost": "0%"}, "atMost of a measure must be a percentage"),
    ({**ERRORS, "atMost": "100%"}, "atMost of a measure must be a percentage"),
    ({**ERRORS, "atMost": "-5%"}, "atMost of a measure must be a percentage"),
    ({**MARGIN, "atMost": "5%"}, "atMost of a query must be a number"),
    ({**MARGIN, "atMost": "high"}, "neither a number nor a percentage"),
    ({**MARGIN, "atMost": 0.2}, 'neither a number nor a percentage such as 5%; "0.2" has its quotes'),
    ({**MARGIN, "atMost": "0." + "2" * 19}, "is longer than 20 characters"),
    ({**ERRORS, "notWorseThanStable": {"confidence": "49%"}}, "confidence must be at least 50%"),
    ({**ERRORS, "notWorseThanStable": {"confidence": "100%"}}, "confidence must be at least 50%"),
    ({**ERRORS, "notWorseThanStable": {"tolerance": "1001%"}}, "tolerance must be at most 1000%"),
    ({**ERRORS, "notWorseThanStable": {"tolerance": "some"}}, "'some' is not a percentage such as 5%"),
    ({**ERRORS, "name": "Errors!"}, "should match pattern"),
    ({**MARGIN, "query": "x" * 4097}, "at most 4096 characters"),
    ({**ERRORS, "treshold": "1s"}, "Extra inputs"),
]
REFUSED_ANALYSES: list[tuple[dict[str, Any], str]] = [
    ({"every": "1s"}, "every must be at least 5s"),
    ({"every": "2h"}, "every must be at least 5s and at most 1h"),
    ({"minRequests": 0}, "greater than or equal to 1"),
    ({"checks": [ERRORS, ERRORS]}, "names of checks must differ"),
    ({"checks": [{**ERRORS, "name": f"a{number}"} for number in range(17)]}, "at most 16 items"),
]


def test_as_the_manual_shows_it() -> None:
    analysis = Analysis.model_validate({"every": "30s", "minRequests": 200, "checks": [ERRORS, SLOW, MARGIN]})
    errors, slow, margin = analysis.checks
    assert (errors.most, slow.most, margin.at_least) == (0.05, math.inf, 0.1)
    assert slow.not_worse_than_stable is not None
    assert (slow.not_worse_than_stable.tolerance, slow.not_worse_than_stable.confidence) == ("25%", "95%")
    assert margin.dry_run
    assert Analysis.model_validate({}) == Analysis(every="30s", min_requests=200, checks=())


@pytest.mark.parametrize("check", ACCEPTED)
def test_what_is_accepted(check: dict[str, Any]) -> None:
    Check.model_validate(check)


@pytest.mark.parametrize(("bound", "most"), [(3, 3.0), ("0.2", 0.2), ("-1.5", -1.5), (0, 0.0)])
def test_bounds_of_a_query(bound: int | str, most: float) -> None:
    assert Check.model_validate({"name": "a", "query": "b", "atMost": bound}).most == most


@pytest.mark.parametrize(("check", "message"), REFUSED)
def test_what_is_refused(check: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Check.model_validate(check)


@pytest.mark.parametrize(("analysis", "message"), REFUSED_ANALYSES)
def test_what_is_refused_of_an_analysis(analysis: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Analysis.model_validate(analysis)


@pytest.mark.parametrize("bound", [math.nan, math.inf, -math.inf])
def test_a_bound_is_a_number(bound: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Check.model_validate({**MARGIN, "atLeast": bound})


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("0.25%", 0.0025), ("100%", 1.0), ("1000%", 10.0)])
def test_percentages(text: str, value: float) -> None:
    assert TypeAdapter(Percentage).validate_python(text) == text
    assert fraction(text) == value


@pytest.mark.parametrize("text", ["", "5", "%", "5 %", "-5%", ".5%", "5%\n", "1e1%", "12345%", "0.12345%"])
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="is not a percentage such as 5%"):
        fraction(text)
    with pytest.raises(ValidationError):
        TypeAdapter(Percentage).validate_python(text)


def _schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from _schemas(inner)
    if "items" in schema:
        yield from _schemas(schema["items"])


def test_the_schemas_are_structural_and_the_rules_stand_where_they_belong() -> None:
    for model in (Analysis, CheckStatus):
        for schema in _schemas(structural(model)):
            if schema.get("x-kubernetes-int-or-string"):
                assert "type" not in schema
            else:
                assert "anyOf" not in schema
                assert "type" in schema
    for path, rules in ANALYSIS_RULES.items():
        schema = structural(Analysis)
        for part in path:
            schema = schema["items"] if part == "[]" else schema["properties"][part]
        assert schema["type"] == "object"
        assert all(set(rule) == {"rule", "message"} for rule in rules)
