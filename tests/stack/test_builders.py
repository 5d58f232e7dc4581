"""A build reaches the package index as this machine does, and leaves no trace of how."""

import configparser
import os
from pathlib import Path

import pytest

from e2e.stack import builders
from e2e.stack.progress import run_logged


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


@pytest.mark.parametrize("variable", ["PIP_CERT", "SSL_CERT_FILE", None])
def test_the_certificate_authority_is_the_one_that_pip_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("configured", "environment"):
        (tmp_path / name).write_text(name)
    (tmp_path / "config").write_text(f"[global]\ncert = {tmp_path}/configured\nindex-url = https://one.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example")
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "environment"))
    folder = tmp_path / "secrets"
    folder.mkdir()
    builders._write_secrets(folder)
    # As pip has it: its own variable before its files, and those before what others are told.
    assert (folder / "ca.pem").read_text() == ("environment" if variable == "PIP_CERT" else "configured")
    assert (folder / "pip.conf").read_text().splitlines()[-1] == "cert = /run/serin/ca.pem"
    assert "index-url = https://other.example" in (folder / "pip.conf").read_text()


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


@pytest.mark.parametrize(("plugin", "user", "chosen"), [(True, 1000, "Docker"), (False, 0, "Buildah")])
def test_docker_builds_where_it_has_buildkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: bool, user: int, chosen: str
) -> None:
    _play_docker(tmp_path, monkeypatch, plugin=plugin, user=user)
    assert type(builders.find_builder(tmp_path)).__name__ == chosen


def test_without_buildkit_its_plugin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _play_docker(tmp_path, monkeypatch, plugin=False, user=1000)
    with pytest.raises(builders.NoBuilderError, match=r"no BuildKit.*install Docker's plugin buildx"):
        builders.find_builder(tmp_path)


def test_docker_builds_an_archive_that_a_node_can_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _play_docker(tmp_path, monkeypatch, plugin=True, user=1000)
    asked = tmp_path / "docker"
    asked.write_text(f'#!/bin/sh\necho "$1 $DOCKER_BUILDKIT $BUILDX_NO_DEFAULT_ATTESTATIONS" >> {tmp_path}/asked\n')
    builders.Docker().build(
        builders.Build("x", tmp_path, "Dockerfile", "x:1", tmp_path / "x.tar", tmp_path / "log" / "x.log")
    )
    assert (tmp_path / "asked").read_text().splitlines()[0] == "build 1 1"


def test_a_package_is_installed_after_whoever_else_installs_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = tmp_path / "apt-get"
    played.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n')
    played.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    builders.install_package("buildah")
    update, install = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install --yes --no-install-recommends buildah")
    assert "DPkg::Lock::Timeout=300" in install


def _play_docker(folder: Path, monkeypatch: pytest.MonkeyPatch, *, plugin: bool, user: int) -> None:
    """A Docker 23 or newer whose engine answers. The rest is only looked for."""
    known = "info) ;; build) [ $DOCKER_BUILDKIT = 1 ] && " + ("exit 0" if plugin else "exit 1")
    for name in ("docker", "buildah", "debootstrap"):
        (folder / name).write_text(f"#!/bin/sh\ncase $1 in {known} ;; esac\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: user)


def test_what_is_built_and_installed_does_not_depend_on_the_umask_of_the_caller(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        run_logged(["sh", "-c", "umask"], what="asking", log=tmp_path / "log")
    finally:
        os.umask(before)
    assert (tmp_path / "log").read_text() == "0022\n"
