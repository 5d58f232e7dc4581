"""Prometheus of the stack: what is applied, and that Prometheus itself accepts its configuration."""

import subprocess
from pathlib import Path

import pytest

from e2e import tools
from e2e.stack import monitoring
from e2e.stack.component import own_manifest
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object

REFERENCES = {"prometheus": "localhost/prometheus:h"}


def deployment(monkeypatch: pytest.MonkeyPatch, config: str | None = None) -> Object:
    """The Deployment as it is applied, with another configuration or its own."""
    objects = own_manifest("prometheus")
    if config is not None:
        next(one for one in objects if one["kind"] == "ConfigMap")["data"]["prometheus.yml"] = config
    monkeypatch.setattr(monitoring, "own_manifest", lambda _: objects)
    monkeypatch.setattr(tools, "binary", lambda name: Path(name))
    applied = monitoring.COMPONENT.objects(Kubectl(Path("none")), REFERENCES)
    return next(one for one in applied if one["kind"] == "Deployment")


def test_another_configuration_is_another_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = [deployment(monkeypatch, config)["spec"]["template"] for config in (None, None, "global: {}")]
    assert templates[0] == templates[1] != templates[2]
    assert templates[0]["spec"]["containers"][0]["image"] == REFERENCES["prometheus"]


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    (config,) = [one for one in own_manifest("prometheus") if one["kind"] == "ConfigMap"]
    file = tmp_path / "prometheus.yml"
    file.write_text(config["data"]["prometheus.yml"])
    check = [str(tools.binary("promtool")), "check", "config", "--lint=all", "--lint-fatal", str(file)]
    done = subprocess.run(check, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
