"""A build reaches the package index as this machine does, and leaves no trace of how."""

import configparser
from pathlib import Path

import pytest

from e2e.stack import builders


def test_settings_of_pip_and_a_certificate_authority_go_in_as_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates")
    config = tmp_path / "config"
    config.write_text("[global]\nindex-url = https://index.example/simple\nfind-links = /some/folder\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://a.example/simple https://b.example/simple")
    monkeypatch.setenv("PIP_CERT", str(bundle))
    build = builders.Build("x", tmp_path, "Dockerfile", "x:1", tmp_path / "x.tar", tmp_path / "log", base="debian")
    folder = tmp_path / "secrets"
    folder.mkdir()

    options = builders._build_options(build, folder)

    assert [value for value in options if value.startswith("id=")] == [
        f"id=ca.pem,src={folder}/ca.pem",
        f"id=pip.conf,src={folder}/pip.conf",
    ]
    assert "BASE=debian" in options
    assert (folder / "ca.pem").read_text() == "certificates"
    written = configparser.ConfigParser()
    written.read(folder / "pip.conf")
    settings = dict(written["global"])
    # A folder of this machine is not there in a build.
    assert "find-links" not in settings
    assert settings["index-url"] == "https://index.example/simple"
    assert settings["extra-index-url"].split() == ["https://a.example/simple", "https://b.example/simple"]
    assert settings["cert"] == "/run/serin/ca.pem"


def test_an_image_on_an_empty_base_gets_no_secrets(tmp_path: Path) -> None:
    build = builders.Build("x", tmp_path, "Dockerfile", "x:1", tmp_path / "x.tar", tmp_path / "log")
    options = builders._build_options(build, tmp_path)
    assert "--secret" not in options
    assert "--build-arg" not in options


def test_without_any_builder_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(builders.NoBuilderError, match="start Docker or run as root"):
        builders.find_builder(tmp_path)
