"""The settings: a file, variables over it, and errors that name every wrong field."""

from __future__ import annotations

from pathlib import Path

import pytest

from serin.api.modeldeployment import GatewayRef
from serin.errors import SettingsError
from serin.settings import RUNTIMES
from serin.settings import load
from serin.settings import platform


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERIN_DOMAIN", "SERIN_WORKERS", "SERIN_NAMESPACE", "SERIN_KUBECONFIG", "SERIN_GATEWAYS"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def test_without_a_file() -> None:
    settings = load(None)
    assert (settings.domain, settings.gateways, settings.runtimes) == ("example.com", (), RUNTIMES)


def test_a_file_and_variables_over_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "domain: a.test\nworkers: 3\ngateways: [{name: public, namespace: gateways}]\n")
    monkeypatch.setenv("SERIN_WORKERS", "5")
    settings = load(path)
    assert (settings.domain, settings.workers) == ("a.test", 5)
    assert settings.gateways == (GatewayRef(name="public", namespace="gateways"),)
    monkeypatch.setenv("SERIN_GATEWAYS", '[{"name": "inner", "namespace": "g"}]')
    assert load(path).gateways == (GatewayRef(name="inner", namespace="g"),)


def test_the_namespace_is_the_pods_whatever_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "namespace: serin-system\n")
    monkeypatch.setenv("SERIN_NAMESPACE", "mlops")
    assert load(path).namespace == "mlops"


def test_an_empty_file_is_no_file(tmp_path: Path) -> None:
    assert load(written(tmp_path, "")).domain == "example.com"


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml does not exist"):
        load(tmp_path / "absent.yaml")


@pytest.mark.parametrize("text", ["domain: [", "- a\n- b\n", "just text", "domain: \x01"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"settings\.yaml"):
        load(written(tmp_path, text))


def test_every_wrong_field_is_named(tmp_path: Path) -> None:
    text = "workers: 0\nnovel: 1\nlog_level: LOUD\nruntimes: [{name: a, server: Other}]\n"
    with pytest.raises(SettingsError) as wrong:
        load(written(tmp_path, text))
    for field in ("workers", "novel", "log_level", "runtimes.0.server", "runtimes.0.protocol"):
        assert field in str(wrong.value)


def test_a_variable_that_is_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERIN_GATEWAYS", "public")
    with pytest.raises(SettingsError, match="gateways"):
        load(None)


def test_what_decisions_depend_on() -> None:
    chosen = platform(load(None))
    assert [one.name for one in chosen.runtimes] == [one.name for one in RUNTIMES]
    assert chosen.domain == "example.com"


@pytest.mark.parametrize("matchers", ["", 'cluster="eu"', 'cluster=~"eu|us",_replica!="a b"', 'a!~"[.]{1,2}"'])
def test_matchers_of_promql(monkeypatch: pytest.MonkeyPatch, matchers: str) -> None:
    monkeypatch.setenv("SERIN_PROMETHEUS_MATCHERS", matchers)
    assert load(None).prometheus_matchers == matchers


@pytest.mark.parametrize(
    "matchers",
    [
        "cluster=eu",
        "cluster='eu'",
        'cluster="eu",',
        'clüster="eu"',
        'cluster=="eu"',
        'cluster="e"u"',
        'cluster="eu\\',
        'cluster="eu\\"',
        '{cluster="eu"}',
        'a="b"} or vector(1) or x{a="b"',
    ],
)
def test_what_is_no_matchers_of_promql(monkeypatch: pytest.MonkeyPatch, matchers: str) -> None:
    """It is put into queries as it stands."""
    monkeypatch.setenv("SERIN_PROMETHEUS_MATCHERS", matchers)
    with pytest.raises(SettingsError, match="prometheus_matchers"):
        load(None)
