"""Two ways to turn a Dockerfile into an archive that a node can import: Docker where it runs, otherwise buildah.

Called by images.py, which decides what is built and under which name; nothing here knows which images there are.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from e2e import apt
from e2e.stack.progress import CommandFailedError
from e2e.stack.progress import StackError
from e2e.stack.progress import run_logged
from e2e.stack.progress import say

# The variables by which common programs are told of a certificate authority of the machine's own; pip has a setting.
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# The settings of pip that are about reaching the index. Others (a local folder of wheels, say) mean nothing in a build.
_PIP_SETTINGS = {"index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "retries"}
# Where the Dockerfiles mount the secret ca.pem.
_CA_IN_BUILD = "/run/serin/ca.pem"


# Docker before 23 has BuildKit in it and uses it when told; newer ones need a plugin, without which even --help fails.
# A node cannot import the attestations that the plugin adds by itself: containerd/containerd#11344.
_BUILDKIT = {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
# What buildah says of a layer that is not what it was when it was built.
_CHANGED = "integrity checksum failed"


class NoBuilderError(StackError):
    """Nothing on this machine can build an image."""


class DamagedStoreError(CommandFailedError):
    """Something has changed a file of a layer that was built before, as a machine does that writes a certificate of its
    own into every bundle it finds."""


@dataclass(frozen=True)
class Build:
    """One image to build."""

    name: str
    context: Path
    dockerfile: str
    """Relative to the context."""
    reference: str
    archive: Path
    """Where the docker-archive goes."""
    log: Path
    base: str | None = None
    """The value of the Dockerfile's BASE argument; None where it has none."""


class Builder(Protocol):
    """What images.py needs of a builder."""

    pulls: bool
    """Whether base images can be had from a registry."""

    def build(self, build: Build) -> None:
        """Build the image and write its archive."""

    def load(self, reference: str, archive: Path) -> None:
        """Make an image that was built before usable as a base."""

    def forget(self) -> None:
        """Let go of everything that was built before: something has changed it since."""


def find_builder(store: Path) -> Builder:
    """Docker if its engine answers and it has BuildKit, otherwise buildah (installed by apt where root may do that).

    Raises:
        NoBuilderError: with the remedy.
    """
    answers = shutil.which("docker") is not None and _succeeds(["docker", "info"])
    if answers and _succeeds(["docker", "build", "--help"], env=_BUILDKIT):
        return Docker()
    if os.geteuid() != 0:
        if answers:
            raise NoBuilderError(
                "this docker has no BuildKit, and buildah needs root here: install Docker's plugin buildx "
                "(docker-buildx or docker-buildx-plugin) or run as root"
            )
        raise NoBuilderError("no Docker engine answers, and buildah needs root here: start Docker or run as root")
    for tool in ("buildah", "debootstrap"):
        install_package(tool)
    return Buildah(store)


def install_package(name: str) -> None:
    """Install a Debian package unless its command is there."""
    if shutil.which(name):
        return
    if not shutil.which("apt-get"):
        raise NoBuilderError(f"{name} is not installed and apt-get is not here to install it: install {name} or Docker")
    say(f"installing {name} by apt")
    log = Path(tempfile.gettempdir()) / f"serin-apt-{name}.log"
    for command in apt.commands([name]):
        run_logged(command, what=f"`{shlex.join(command)}`", log=log, env=apt.environment())


class Docker:
    """`docker build` and `docker save`."""

    pulls = True

    def build(self, build: Build) -> None:
        """Build the image and write its archive."""
        with tempfile.TemporaryDirectory() as secrets:
            argv = ["docker", "build", "--network=host", *_build_options(build, Path(secrets)), str(build.context)]
            run_logged(argv, what=f"building {build.name}", log=build.log, env={**os.environ, **_BUILDKIT})
        save = ["docker", "save", "-o", str(build.archive), build.reference]
        run_logged(save, what=f"saving {build.name}", log=build.log)

    def load(self, reference: str, archive: Path) -> None:
        """Make an image that was built before usable as a base."""
        if not _succeeds(["docker", "image", "inspect", reference]):
            subprocess.run(["docker", "load", "-q", "-i", archive], check=True)

    def forget(self) -> None:
        """The engine keeps its own store whole."""


class Buildah:
    """`buildah build` with a store of its own, so that nobody else's images are touched."""

    pulls = False

    def __init__(self, store: Path) -> None:
        self._command = ["buildah", "--root", str(store), "--runroot", f"{store}-run"]
        # Overlay where the kernel allows it here; vfs copies everything for each step, but works anywhere.
        overlay = [*self._command, "--storage-driver", "overlay"]
        self._command = overlay if _succeeds([*overlay, "images"]) else [*self._command, "--storage-driver", "vfs"]

    def build(self, build: Build) -> None:
        """Build the image and write its archive."""
        with tempfile.TemporaryDirectory() as secrets:
            # chroot isolation needs no user namespace and no cgroup delegation: it works inside containers too.
            options = ["--isolation", "chroot", "--network", "host", "--pull-never", "--layers", "--format", "docker"]
            options += _build_options(build, Path(secrets))
            argv = [*self._command, "build", *options, str(build.context)]
            run_logged(argv, what=f"building {build.name}", log=build.log)
        push = [*self._command, "push", build.reference, f"docker-archive:{build.archive}:{build.reference}"]
        try:
            run_logged(push, what=f"saving {build.name}", log=build.log)
        except CommandFailedError as error:
            if _CHANGED in str(error):
                raise DamagedStoreError(str(error)) from error
            raise

    def load(self, reference: str, archive: Path) -> None:
        """Make an image that was built before usable as a base."""
        if not _succeeds([*self._command, "inspect", "--type", "image", reference]):
            subprocess.run([*self._command, "pull", "-q", f"docker-archive:{archive}"], check=True)

    def forget(self) -> None:
        """Remove all images of our store."""
        subprocess.run([*self._command, "rmi", "--all", "--force"], check=True, capture_output=True)


def _build_options(build: Build, secrets: Path) -> list[str]:
    """The options that Docker and buildah have in common."""
    options = ["-f", str(build.context / build.dockerfile), "-t", build.reference]
    if build.base is not None:
        options += ["--build-arg", f"BASE={build.base}"]
        for secret in _write_secrets(secrets):
            options += ["--secret", f"id={secret.name},src={secret}"]
    return options


def _write_secrets(folder: Path) -> list[Path]:
    """How this machine reaches its package index, as build secrets: they leave no trace in the image."""
    settings = _pip_settings()
    # A value of several lines goes on indented.
    told = {key: value.strip().replace("\n", "\n  ") for key, value in settings.items() if key in _PIP_SETTINGS}
    lines = ["[global]", *(f"{key} = {value}" for key, value in sorted(told.items()))]
    written = []
    bundles = [settings.get("cert"), *(os.environ.get(name) for name in _CA_VARIABLES)]
    bundle = next((Path(value).expanduser() for value in bundles if value), None)
    if bundle and bundle.is_file():
        shutil.copy(bundle, folder / "ca.pem")
        written.append(folder / "ca.pem")
        lines.append(f"cert = {_CA_IN_BUILD}")
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")
    return [*written, folder / "pip.conf"]


def _pip_settings() -> dict[str, str]:
    """What the configuration files and the environment of this machine tell pip, as pip itself merges them."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    settings = {}
    # global.index-url='https://…' or, from the environment, which has the last word, :env:.index-url='https://…'
    for line in sorted(listing.splitlines(), key=lambda line: line.startswith(":env:")):
        if match := re.fullmatch(r"(?:[\w:-]+)\.([\w-]+)=(.*)", line):
            settings[match[1]] = str(ast.literal_eval(match[2]))
    return settings


def _succeeds(argv: list[str], env: Mapping[str, str] | None = None) -> bool:
    """`env`: beside this process' own."""
    return subprocess.run(argv, check=False, capture_output=True, env={**os.environ, **(env or {})}).returncode == 0
