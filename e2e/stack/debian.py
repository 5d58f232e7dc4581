"""A base image without an image registry: Debian with Python, from the machine's own package mirror.

Takes the place of `python:3.11-slim-bookworm` wherever buildah builds. Called by images.py.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from e2e.stack.builders import Build
from e2e.stack.builders import Builder
from e2e.stack.progress import run_logged
from e2e.stack.progress import say

_SUITE = "bookworm"
_PACKAGES = "ca-certificates,python3,python3-venv"
# Of no use to a container: 100 of 270 MB.
_DROPPED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")

RECIPE = f"debootstrap minbase {_SUITE} {_PACKAGES} without {' '.join(_DROPPED)}"
"""What the content of the image depends on, for its name."""

_DOCKERFILE = """\
FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
"""


def build_base(builder: Builder, reference: str, archive: Path, log: Path, scratch: Path) -> None:
    """Write the archive of the base image, made in a folder of its own in `scratch`. Takes about a minute and needs
    root."""
    say("building the Debian base image (once, about a minute)")
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        context = Path(folder)
        rootfs = context / "rootfs"
        # What it mounts there goes with it, also when it is killed.
        own_mounts = ["unshare", "--mount", "--propagation=private"]
        argv = [*own_mounts, "debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(rootfs)]
        run_logged([*argv, *_mirror()], what="debootstrap", log=log)
        for name in _DROPPED:
            shutil.rmtree(rootfs / name)
            (rootfs / name).mkdir()
            (rootfs / name).chmod(0o755)  # whatever the umask is
        # A tar file keeps owners and modes; COPY of a folder would give everything to root.
        tar = ["tar", "--numeric-owner", "-C", str(rootfs), "-cf", str(context / "rootfs.tar"), "."]
        run_logged(tar, what="packing the base image", log=log)
        shutil.rmtree(rootfs)
        (context / "Dockerfile").write_text(_DOCKERFILE)
        build = Build("base", context, "Dockerfile", reference, archive, log)
        builder.build(build)


def _mirror() -> list[str]:
    """The mirror this machine uses, where it is a Debian of the same suite; otherwise debootstrap's own default."""
    fields = "$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)"
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
        check=False,
        capture_output=True,
        text=True,
    )
    for line in found.stdout.splitlines():
        origin, codename, component, uri = [*line.split(), "", "", "", ""][:4]
        if (origin, codename, component) == ("Debian", _SUITE, "main"):
            return [uri]
    return []
