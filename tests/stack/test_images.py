"""An image is built once for each content, and never half."""

import fcntl
import threading
from pathlib import Path

import pytest

from e2e.stack import images
from e2e.stack.builders import Build
from e2e.stack.builders import DamagedStoreError


class Recorder:
    """A builder that writes what it was given, or fails as it is told."""

    pulls = True

    def __init__(self) -> None:
        self.builds: list[Build] = []
        self.modes: dict[str, int] = {}
        self.fails = False
        self.damaged = 0
        self.forgotten = 0

    def forget(self) -> None:
        self.forgotten += 1

    def build(self, build: Build) -> None:
        self.builds.append(build)
        self.modes = {path.name: path.stat().st_mode & 0o777 for path in (build.context, *build.context.rglob("*"))}
        if self.damaged:
            self.damaged -= 1
            raise DamagedStoreError("a layer is not what it was")
        build.archive.write_text(build.reference)
        if self.fails:
            raise RuntimeError("killed")

    def load(self, reference: str, archive: Path) -> None:
        raise AssertionError(f"a builder that pulls its base was asked to load {reference} from {archive}")


@pytest.fixture(name="builder")
def _builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    (tmp_path / "repository/image").mkdir(parents=True)
    (tmp_path / "repository/image/Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "repository/image/program.py").write_text("print(1)\n")
    recorder = Recorder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "REPOSITORY", tmp_path / "repository")
    monkeypatch.setattr(images, "IMAGES", {"image": images.Image("image")})
    monkeypatch.setattr(images, "find_builder", lambda _: recorder)
    return recorder


def test_the_same_content_is_built_once(builder: Recorder) -> None:
    first, second = images.build("image"), images.build("image")
    assert first == second
    assert first.path.read_text() == first.reference
    assert len(builder.builds) == 1


@pytest.mark.parametrize("change", ["content", "name", "mode", "Dockerfile"])
def test_other_content_is_another_image(builder: Recorder, tmp_path: Path, change: str) -> None:
    program = tmp_path / "repository/image/program.py"
    before = images.build("image")
    match change:
        case "content":
            program.write_text("print(2)\n")
        case "name":
            program.rename(program.with_name("other.py"))
        case "mode":
            program.chmod(0o755)
        case "Dockerfile":
            (tmp_path / "repository/image/Dockerfile").write_text("FROM scratch\nUSER 1\n")
    assert images.build("image").reference != before.reference
    assert len(builder.builds) == 2


def test_what_is_not_part_of_an_image_does_not_change_it(builder: Recorder, tmp_path: Path) -> None:
    images.build("image")
    cache = tmp_path / "repository/image/__pycache__"
    cache.mkdir()
    (cache / "program.cpython-311.pyc").write_bytes(b"\0")
    images.build("image")
    assert len(builder.builds) == 1


def test_a_build_that_was_killed_is_done_again(builder: Recorder) -> None:
    builder.fails = True
    with pytest.raises(RuntimeError, match="killed"):
        images.build("image")
    builder.fails = False
    assert images.build("image").path.exists()
    assert len(builder.builds) == 2


def test_a_store_that_something_has_changed_is_built_afresh(builder: Recorder) -> None:
    builder.damaged = 1
    assert images.build("image").path.exists()
    assert (len(builder.builds), builder.forgotten) == (2, 1)


def test_a_store_that_stays_damaged_is_told(builder: Recorder) -> None:
    builder.damaged = 2
    with pytest.raises(DamagedStoreError):
        images.build("image")
    assert builder.forgotten == 1


@pytest.mark.usefixtures("builder")
def test_a_missing_dockerfile_is_named(tmp_path: Path) -> None:
    (tmp_path / "repository/image/Dockerfile").unlink()
    with pytest.raises(FileNotFoundError, match="image/Dockerfile does not exist"):
        images.build("image")


def test_what_runs_as_another_user_can_read_what_was_checked_out_for_one_only(
    builder: Recorder, tmp_path: Path
) -> None:
    reference = images.build("image").reference
    modes = builder.modes
    assert modes == {"image": 0o755, "Dockerfile": 0o644, "program.py": 0o644}
    folder = tmp_path / "repository/image"
    for path in folder.iterdir():
        path.chmod(0o600)
    folder.chmod(0o700)
    images.build("image").path.unlink()
    builder.modes = {}
    assert images.build("image").reference == reference
    assert builder.modes == modes
    (folder / "program.py").chmod(0o700)
    images.build("image")
    assert builder.modes["program.py"] == 0o755


def test_what_a_killed_build_left_goes(builder: Recorder, tmp_path: Path) -> None:
    abandoned = tmp_path / "cache/serin/images/context-killed"
    (abandoned / "image").mkdir(parents=True)
    (abandoned / "image/Dockerfile").touch()
    assert images.build("image").path.exists()
    assert not abandoned.exists()


def test_an_archive_of_which_nothing_is_left_is_built_again(builder: Recorder) -> None:
    archive = images.build("image")
    archive.path.write_bytes(b"")
    assert images.build("image") == archive
    assert archive.path.read_text() == archive.reference
    assert len(builder.builds) == 2


def test_who_waits_for_another_run_says_so(builder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    told = threading.Event()

    def say(message: str) -> None:
        said.append(message)
        told.set()

    monkeypatch.setattr(images, "say", say)
    cache = tmp_path / "cache/serin/images"
    cache.mkdir(parents=True)
    build = threading.Thread(target=images.build, args=("image",))
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build.start()
        assert told.wait(30)
        assert said == ["waiting for another run that builds images"]
        assert builder.builds == []
    build.join(30)
    assert len(builder.builds) == 1
