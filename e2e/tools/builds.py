"""Build a tool once and keep it in the user's cache, keyed by tool and version.

Everything that is built is in one table. Two runs at the same time build once (file lock), and a build that was killed
leaves nothing that the next run would take for a finished one (built beside its place, then renamed).
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.kept import is_whole
from e2e.kept import keep
from e2e.tools.golang import HERE
from e2e.tools.golang import ToolError
from e2e.tools.golang import environment
from e2e.tools.golang import go_command
from e2e.tools.golang import module_version

_HEARTBEAT_SECONDS = 5.0
_KUBERNETES_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Tool:
    """How a tool is built."""

    binaries: dict[str, str]
    """Name of the binary to the import path of its main package."""
    module: str | None = None
    """The module whose version is the tool's; None for a program whose source is here."""
    kubernetes_version: bool = False
    """Whether the version is linked in the way Kubernetes does: without it kubectl cannot parse the server's."""
    tags: str = ""
    """Go build tags, with commas between them: what the program can leave out."""
    folder: str | None = None
    """Where its go.mod is, if not in a folder of its name."""


_K8S = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet")

TOOLS = {
    "argohealth": Tool({"argohealth": "serin.dev/tools/argohealth"}),
    "contour": Tool({"contour": "github.com/projectcontour/contour/cmd/contour"}, "github.com/projectcontour/contour"),
    "coredns": Tool({"coredns": "github.com/coredns/coredns"}, "github.com/coredns/coredns"),
    "etcd": Tool({"etcd": "go.etcd.io/etcd/server/v3"}, "go.etcd.io/etcd/server/v3"),
    "kserve": Tool({"kserve-manager": "github.com/kserve/kserve/cmd/manager"}, "github.com/kserve/kserve"),
    # Apart from the rest, which takes minutes: whatever runs Kubernetes, this speaks to it.
    "kubectl": Tool({"kubectl": "k8s.io/kubernetes/cmd/kubectl"}, "k8s.io/kubernetes", True, folder="kubernetes"),
    "kubernetes": Tool({name: f"k8s.io/kubernetes/cmd/{name}" for name in _K8S}, "k8s.io/kubernetes", True),
    "pause": Tool({"pause": "serin.dev/tools/pause"}),
    "podmonitor": Tool({"podmonitor": "serin.dev/tools/podmonitor"}),
    "probe": Tool({"probe": "serin.dev/tools/probe"}),
    # Of all the clouds that Prometheus can ask what to scrape, it is Kubernetes that we have: the others are two thirds
    # of the program.
    "prometheus": Tool(
        {name: f"github.com/prometheus/prometheus/cmd/{name}" for name in ("prometheus", "promtool")},
        "github.com/prometheus/prometheus",
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    "versitygw": Tool({"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, "github.com/versity/versitygw"),
}


def binary(name: str) -> Path:
    """The path of one binary of any tool, built when it is not in the cache."""
    for tool, recipe in TOOLS.items():
        if name in recipe.binaries:
            return next(path for path in build(tool) if path.name == name)
    known = ", ".join(sorted(name for recipe in TOOLS.values() for name in recipe.binaries))
    raise ToolError(f"no tool here builds {name!r}; there are {known}")


def build(tool: str) -> tuple[Path, ...]:
    """The paths of all binaries of `tool`, built when they are not in the cache.

    Raises:
        ToolError: Go is missing or too old, or the build failed; with the reason.
    """
    recipe = TOOLS[tool]
    folder = cache_folder() / f"{tool}-{_version(tool)}"
    paths = tuple(folder / name for name in recipe.binaries)
    if _complete(paths):
        return paths
    with _lock(folder.with_suffix(folder.suffix + ".lock"), tool):
        if not _complete(paths):
            _build(tool, folder)
    return paths


def cache_folder() -> Path:
    """Where binaries are kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "serin" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _version(tool: str) -> str:
    module = TOOLS[tool].module
    if module is not None:
        return module_version(_source(tool), module)
    digest = hashlib.sha256()
    # What it is made of besides stands in go.sum, where there is anything.
    for source in sorted([*(HERE / tool).glob("*.go"), *(HERE / tool).glob("go.sum")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _source(tool: str) -> str:
    return TOOLS[tool].folder or tool


def _complete(paths: tuple[Path, ...]) -> bool:
    return all(is_whole(path) and os.access(path, os.X_OK) for path in paths)


def _build(tool: str, folder: Path) -> None:
    recipe = TOOLS[tool]
    source = _source(tool)
    go = go_command(source)
    for abandoned in folder.parent.glob(f".{folder.name}-*"):  # of a run that was killed; we hold the lock
        shutil.rmtree(abandoned)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    unfinished.chmod(0o755)
    ldflags = "-s -w"
    if recipe.kubernetes_version:
        version = _version(tool)
        major, minor = version.removeprefix("v").split(".")[:2]
        settings = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        ldflags += "".join(f" -X {_KUBERNETES_VERSION}.{key}={value}" for key, value in settings.items())
    log = folder.with_suffix(folder.suffix + ".log")
    with _heartbeat(f"building {folder.name} from source (once)"), log.open("wb") as output:
        for name, package in recipe.binaries.items():
            options = ["-trimpath", "-tags", recipe.tags, "-ldflags", ldflags]
            argv = [go, "build", *options, "-o", str(unfinished / name), package]
            done = subprocess.run(argv, cwd=HERE / source, env=environment(), stdout=output, stderr=output, check=False)
            if done.returncode != 0:
                end = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                raise ToolError(f"building {name} of {folder.name} failed; the end of {log}:\n{end}")
    if folder.exists():  # incomplete: a binary was removed by hand, or is empty
        shutil.rmtree(folder)
    keep(unfinished, folder)


@contextmanager
def _lock(path: Path, tool: str) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _heartbeat(f"waiting for another run that builds {tool}"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _heartbeat(what: str) -> Iterator[None]:
    """Say every few seconds how long it has been going on: a silent four minutes looks like a hang."""
    over = threading.Event()
    start = time.monotonic()

    def beat() -> None:
        while not over.wait(_HEARTBEAT_SECONDS):
            print(f"tools: {what}: {time.monotonic() - start:.0f} s so far", flush=True)

    print(f"tools: {what}", flush=True)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        print(f"tools: {what}: over after {time.monotonic() - start:.0f} s", flush=True)
