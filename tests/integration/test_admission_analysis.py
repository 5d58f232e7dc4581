"""What the API server refuses of an analysis, by schema and CEL: what the models refuse, on a kind of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import wait_for
from serin.api.analysis import ANALYSIS_RULES
from serin.api.analysis import Analysis
from serin.api.crd import structural
from serin.api.kinds import Kind
from tests.integration.conftest import CRD
from tests.integration.kube import Json
from tests.integration.kube import Kube
from tests.integration.kube import RefusedError
from tests.unit.api.test_api_analysis import ACCEPTED
from tests.unit.api.test_api_analysis import REFUSED
from tests.unit.api.test_api_analysis import REFUSED_ANALYSES

pytestmark = pytest.mark.integration

KIND = Kind("test.serin.dev", "v1", "Judgement", "judgements")
SERVED_SECONDS = 60.0


def definition() -> Json:
    analysis = structural(Analysis)
    for path, rules in ANALYSIS_RULES.items():
        schema = analysis
        for part in path:
            schema = schema["items"] if part == "[]" else schema["properties"][part]
        schema["x-kubernetes-validations"] = rules
    schema = {"type": "object", "properties": {"analysis": analysis}}
    versions = [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]
    names = {"kind": KIND.kind, "plural": KIND.plural, "singular": "judgement", "listKind": "JudgementList"}
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.kind,
        "metadata": {"name": f"{KIND.plural}.{KIND.group}"},
        "spec": {"group": KIND.group, "names": names, "scope": "Namespaced", "versions": versions},
    }


@pytest.fixture(scope="module")
def judgements(plane: ControlPlane) -> Iterator[Kube]:
    body = yaml.safe_load(yaml.safe_dump(definition()))
    path = CRD.path(None, body["metadata"]["name"])
    plane.api.apply(path, body)
    wait_for(KIND.plural, partial(plane.api.missing, KIND.path(None)), SERVED_SECONDS)
    kube = Kube(plane.url, plane.pki)
    yield kube
    kube.delete(CRD, None, body["metadata"]["name"])


def _create(kube: Kube, analysis: Json) -> Json:
    created = kube.create(KIND, "default", {"metadata": {"generateName": "judgement-"}, "analysis": analysis})
    stored: Json = created["analysis"]
    return stored


@pytest.mark.parametrize("check", ACCEPTED)
def test_what_the_models_accept_is_admitted(judgements: Kube, check: dict[str, Any]) -> None:
    stored = _create(judgements, {"checks": [check]})
    assert Analysis.model_validate(stored) == Analysis.model_validate({"checks": [check]})


@pytest.mark.parametrize(("check", "message"), REFUSED)
def test_what_the_models_refuse_is_not_admitted(judgements: Kube, check: dict[str, Any], message: str) -> None:
    assert message
    with pytest.raises(RefusedError) as refused:
        _create(judgements, {"checks": [{key: value for key, value in check.items() if value is not None}]})
    assert refused.value.code in (400, 422)
    assert "analysis" in refused.value.message


@pytest.mark.parametrize(("analysis", "message"), REFUSED_ANALYSES)
def test_what_the_models_refuse_of_an_analysis_is_not_admitted(
    judgements: Kube, analysis: dict[str, Any], message: str
) -> None:
    assert message
    with pytest.raises(RefusedError) as refused:
        _create(judgements, analysis)
    assert refused.value.code == 422


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"name": "a", "atMost": 1}, "exactly one of measure and query must be set for each check"),
        ({"name": "a", "query": "up"}, "a check needs a bound: atMost, atLeast or notWorseThanStable"),
        (
            {"name": "a", "measure": "ErrorRate", "atMost": 5},
            "atMost of a measure must be a percentage above 0% and below 100%, such as 5%",
        ),
        (
            {"name": "a", "measure": "ErrorRate", "notWorseThanStable": {"confidence": "100%"}},
            "confidence must be at least 50% and at most 99.99%",
        ),
    ],
)
def test_the_message_names_the_remedy(judgements: Kube, check: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=r"analysis\.checks") as refused:
        _create(judgements, {"checks": [check]})
    assert message in refused.value.message
