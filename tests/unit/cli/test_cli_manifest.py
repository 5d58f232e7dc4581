"""What ``serin render`` says of a manifest is what the API server says of it at admission.

The same tables as in tests/integration/test_admission.py and test_admission_analysis.py, where the API server itself is
asked.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from serin.api.group import API_VERSION
from serin.cli.exits import CommandError
from serin.cli.manifest import declared
from serin.serving.compare import merge
from tests.unit.api.manifests import ACCEPTED_DEPLOYMENTS
from tests.unit.api.manifests import DEPLOYMENT
from tests.unit.api.manifests import REFUSED_DEPLOYMENTS
from tests.unit.api.test_api_analysis import ACCEPTED
from tests.unit.api.test_api_analysis import REFUSED
from tests.unit.api.test_api_analysis import REFUSED_ANALYSES

Json = dict[str, Any]


def changed(change: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": "ModelDeployment", **merge(deepcopy(DEPLOYMENT), change)}


def judged(analysis: Json) -> Json:
    return changed({"spec": {"rollout": {"analysis": analysis}}})


@pytest.mark.parametrize("change", [change for change, _ in REFUSED_DEPLOYMENTS.values()], ids=REFUSED_DEPLOYMENTS)
def test_what_admission_refuses_is_not_valid(change: Json) -> None:
    with pytest.raises(CommandError, match="is not valid"):
        declared([changed(change)], "x.yaml")


@pytest.mark.parametrize("change", ACCEPTED_DEPLOYMENTS.values(), ids=ACCEPTED_DEPLOYMENTS)
def test_what_admission_accepts_is_valid(change: Json) -> None:
    [manifest] = declared([changed(change)], "x.yaml")
    assert manifest.name


@pytest.mark.parametrize("check", ACCEPTED)
def test_a_check_that_admission_accepts_is_valid(check: Json) -> None:
    assert declared([judged({"checks": [check]})], "x.yaml")


@pytest.mark.parametrize(
    "analysis", [{"checks": [check]} for check, _ in REFUSED] + [one for one, _ in REFUSED_ANALYSES]
)
def test_an_analysis_that_admission_refuses_is_not_valid(analysis: Json) -> None:
    with pytest.raises(CommandError, match=r"spec\.rollout\.analysis"):
        declared([judged(analysis)], "x.yaml")
