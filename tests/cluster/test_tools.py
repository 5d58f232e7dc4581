"""Tools are built once, whole or not at all, and where Go is missing that is said."""

import subprocess
import sys
from pathlib import Path

import pytest

from e2e import tools
from tests.cluster.command import REPOSITORY

pytestmark = pytest.mark.integration


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of binaries; Go keeps its own."""
    # Asked before the change: Go's build cache lies in XDG_CACHE_HOME, too.
    go_cache = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GOCACHE", go_cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "serin" / "bin"


def test_a_tool_is_built_once_and_is_static(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (path,) = tools.build("pause")
    assert path.is_relative_to(cache)
    assert "building pause-" in capsys.readouterr().out
    built = path.stat().st_mtime_ns
    assert tools.binary("pause") == path
    assert path.stat().st_mtime_ns == built
    assert capsys.readouterr().out == ""
    headers = subprocess.run(["readelf", "--program-headers", path], capture_output=True, text=True, check=True)
    assert "INTERP" not in headers.stdout


def test_a_long_build_shows_signs_of_life(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("e2e.tools.builds._HEARTBEAT_SECONDS", 0.01)
    tools.build("pause")
    assert "s so far" in capsys.readouterr().out


def test_two_at_once_build_once(cache: Path) -> None:
    argv = [sys.executable, "-c", "from e2e import tools; tools.build('pause')"]
    runs = [subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted("building pause" in text for text in said) == [False, True]


def test_what_a_killed_build_left_is_not_taken_for_a_tool(cache: Path) -> None:
    (path,) = tools.build("pause")
    path.unlink()
    abandoned = cache / f".{path.parent.name}-killed"
    abandoned.mkdir()
    (abandoned / "pause").write_text("half a program")
    assert tools.build("pause") == (path,)
    assert path.read_bytes().startswith(b"\x7fELF")
    assert not abandoned.exists()


def test_a_tool_of_which_nothing_is_left_is_built_again(cache: Path) -> None:
    """As on a machine that lost its power."""
    (path,) = tools.build("pause")
    path.write_bytes(b"")
    assert tools.build("pause") == (path,)
    assert path.read_bytes().startswith(b"\x7fELF")


def test_go_works_for_who_has_switched_modules_off(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO111MODULE", "off")
    assert tools.build("pause")


def test_go_finds_its_modules_for_who_has_no_home(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a service has none."""
    for name in ("HOME", "GOPATH", "GOMODCACHE"):
        monkeypatch.delenv(name, raising=False)
    assert tools.build("podmonitor")


def test_versions_are_those_of_go_mod() -> None:
    text = (REPOSITORY / "e2e/tools/kserve/go.mod").read_text()
    version = tools.module_version("kserve", "github.com/kserve/kserve")
    assert f"github.com/kserve/kserve {version}" in text
    assert tools.module_folder("kserve", "github.com/kserve/kserve").name == f"kserve@{version}"


@pytest.mark.parametrize(("fake", "expected"), [(None, "not on PATH"), ("go1.20.3", "needs Go 1.26")])
def test_without_a_fit_go_the_remedy_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: str | None, expected: str
) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    if fake:
        (folder / "go").write_text(f"#!/bin/sh\necho go version {fake} linux/amd64\n")
        (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin" if fake else str(folder))
    with pytest.raises(tools.ToolError, match=expected) as error:
        tools.build("pause")
    assert "install Go 1.26 or newer" in str(error.value)
    assert not any(path.is_dir() for path in cache.iterdir())


def test_an_unknown_binary_is_refused_with_the_known_ones() -> None:
    with pytest.raises(tools.ToolError, match=r"no tool here builds 'kubeadm'.*kubelet"):
        tools.binary("kubeadm")


def test_a_module_that_is_not_pinned_is_refused() -> None:
    with pytest.raises(tools.ToolError, match=r"does not require example\.com/x"):
        tools.module_version("kserve", "example.com/x")
