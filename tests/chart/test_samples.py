"""Samples that promise something of a pod: what the backend is told says it at the right place."""

from __future__ import annotations

import yaml

from charts import generate
from tests.unit.cli.conftest import run


def test_restricted_sample_sets_the_profile_of_the_whole_pod() -> None:
    """A predictor of KServe has the fields of a pod, and each container inherits it, also the one that fetches."""
    shown = run("render", "-f", str(generate.ROOT / "manifests" / "samples" / "restricted.yaml"))
    assert shown.exit_code == 0, shown.output
    service = next(one for one in yaml.safe_load_all(shown.stdout) if one["kind"] == "InferenceService")
    assert service["spec"]["predictor"]["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
