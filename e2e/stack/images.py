"""Images by content: what they are made of decides their tag, so nothing is built or loaded twice.

`build(name)` gives a reference and an archive, for the installer to load into a cluster and to name in manifests. The
archives live outside the tree, in the cache folder of the user. The operator's own image is built here too, but
nothing here knows what is in it.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e import tools
from e2e.kept import is_whole
from e2e.kept import keep
from e2e.stack import debian
from e2e.stack.builders import Build
from e2e.stack.builders import Builder
from e2e.stack.builders import DamagedStoreError
from e2e.stack.builders import find_builder
from e2e.stack.progress import say

REPOSITORY = Path(__file__).resolve().parents[2]
_REGISTRY_BASE = "python:3.11-slim-bookworm"
_DIGEST_LENGTH = 12
_ARCHIVES_KEPT = 3
_CONTEXT = "context-"
_IGNORED = ("__pycache__", "*.pyc", ".*_cache", "*.in")


@dataclass(frozen=True)
class ImageArchive:
    """An image as a docker-archive."""

    reference: str
    """With a tag made from the content: `localhost/serin/<name>:<hash>`."""
    path: Path


@dataclass(frozen=True)
class Image:
    """How an image is made."""

    context: str
    """Folder of the build context, relative to the repository."""
    dockerfile: str = "Dockerfile"
    """Relative to the context."""
    include: tuple[str, ...] = (".",)
    """What of the context counts, relative to it."""
    tool: str | None = None
    """The tool whose binaries are put into the context; such an image has an empty base."""


IMAGES = {
    "mlserver": Image("images/mlserver"),
    "storage-initializer": Image("images/storage-initializer"),
    "operator": Image(".", "operator/Dockerfile", ("operator", "requirements")),
    "mlflow": Image("e2e/stack/images/mlflow"),
    "envoy": Image("e2e/stack/images/envoy"),
    "contour": Image("e2e/stack/images/contour", tool="contour"),
    "kserve": Image("e2e/stack/images/kserve", tool="kserve"),
    "prometheus": Image("e2e/stack/images/prometheus", tool="prometheus"),
    "versitygw": Image("e2e/stack/images/versitygw", tool="versitygw"),
}


def cache_folder() -> Path:
    """Where archives are kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "serin" / "images"


def build(name: str) -> ImageArchive:
    """The archive of one of `IMAGES`, built unless the very same content was built before.

    Raises:
        KeyError: there is no such image.
        FileNotFoundError: a file it is made of is missing.
        NoBuilderError, CommandFailedError: it cannot be built.
    """
    image = IMAGES[name]
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    # The lock is for two runs at once: the second one finds the archive of the first.
    with _locked(cache / "lock"):
        for abandoned in cache.glob(f"{_CONTEXT}*"):  # of a run that was killed; we hold the lock
            shutil.rmtree(abandoned, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=_CONTEXT) as folder:
            context = Path(folder) / name
            _stage(image, context)
            digest = _digest(context, "" if image.tool else debian.RECIPE)
            archive = ImageArchive(f"localhost/serin/{name}:{digest}", cache / f"{name}-{digest}.tar")
            if not is_whole(archive.path):
                _build(name, image, context, archive)
    return archive


def _build(name: str, image: Image, context: Path, archive: ImageArchive) -> None:
    cache = archive.path.parent
    builder = find_builder(cache / "storage")
    log = cache / "log" / f"{archive.path.stem}.log"
    # A killed build must not leave half an archive under the final name.
    unfinished = archive.path.with_suffix(".unfinished")

    def attempt() -> None:
        base = None if image.tool else _base(builder, cache, context.parent)
        unfinished.unlink(missing_ok=True)
        builder.build(Build(name, context, image.dockerfile, archive.reference, unfinished, log, base))

    say(f"building image {name} (once, until its content changes)")
    try:
        attempt()
    except DamagedStoreError:
        say("something has changed what was built before: building it afresh")
        builder.forget()
        attempt()
    keep(unfinished, archive.path)
    _prune(cache, name)
    say(f"built {archive.reference} ({archive.path.stat().st_size / 1e6:.0f} MB)")


def _prune(cache: Path, name: str) -> None:
    """Keep the newest few archives of an image: one is a gigabyte, and who goes back and forth goes between two."""
    archives = sorted(cache.glob(f"{name}-{'?' * _DIGEST_LENGTH}.tar"), key=lambda path: path.stat().st_mtime)
    for outdated in archives[:-_ARCHIVES_KEPT]:
        outdated.unlink()


def _base(builder: Builder, cache: Path, scratch: Path) -> str:
    """The reference of the base image, which the builder then has or can pull."""
    if builder.pulls:
        return _REGISTRY_BASE
    digest = hashlib.sha256(debian.RECIPE.encode()).hexdigest()[:_DIGEST_LENGTH]
    reference, path = f"localhost/serin/base:{digest}", cache / f"base-{digest}.tar"
    if not is_whole(path):
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        debian.build_base(builder, reference, unfinished, cache / "log" / f"base-{digest}.log", scratch)
        keep(unfinished, path)
    builder.load(reference, path)
    return reference


def _stage(image: Image, context: Path) -> None:
    """Copy what the image is made of, and nothing else, so that a stray file neither changes nor enters the image."""
    source = REPOSITORY / image.context
    ignore = shutil.ignore_patterns(*_IGNORED)
    for part in image.include:
        if (source / part).is_dir():
            shutil.copytree(source / part, context / part, ignore=ignore, dirs_exist_ok=True)
        else:
            context.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / part, context / part)
    if image.tool:
        for binary in tools.build(image.tool):
            shutil.copy(binary, context / binary.name)
    if not (context / image.dockerfile).is_file():
        raise FileNotFoundError(f"{source / image.dockerfile} does not exist, so its image cannot be built")
    # Without a checkout's times, so that a builder's own cache sees the same files as the same, and without the modes
    # that it has by the umask of whoever made it: containers run as other users.
    for path in (context, *context.rglob("*")):
        path.chmod(0o755 if path.is_dir() or _is_executable(path) else 0o644)
        os.utime(path, (0, 0))


def _digest(context: Path, extra: str) -> str:
    """A short hash of every file's path, execute bit and content."""
    digest = hashlib.sha256(extra.encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        digest.update(f"\0{path.relative_to(context)}\0{_is_executable(path)}\0".encode())
        with path.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()[:_DIGEST_LENGTH]


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that builds images")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
