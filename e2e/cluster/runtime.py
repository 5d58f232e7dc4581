"""containerd as seen by a local cluster: images brought in, containers of the past put out. Speaks `ctr`."""

import hashlib
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import quote

from e2e import tools
from e2e.cluster import programs
from e2e.cluster.cgroup import Cgroup
from e2e.cluster.files import write
from e2e.cluster.image import tags_of
from e2e.cluster.image import write_image
from e2e.cluster.interface import ClusterError
from e2e.cluster.layout import Layout
from e2e.cluster.namespaces import run
from e2e.cluster.progress import wait_for

_START_SECONDS = 30.0


class Runtime:
    """The containerd of one local cluster."""

    def __init__(self, layout: Layout, cgroup: Cgroup) -> None:
        self._layout = layout
        self._pods = cgroup.child("kubepods")

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for("containerd", self.not_ready, _START_SECONDS)

    def load(self, archive: Path) -> None:
        """Import the images of a docker-archive, unless the very same were the last under their names.

        Raises:
            ClusterError: it is no docker-archive, or containerd does not answer.
        """
        try:
            manifest, tags = tags_of(archive)
        except (OSError, tarfile.TarError, KeyError, ValueError) as error:
            remedy = "make one with `buildah push IMAGE docker-archive:FILE` or `docker save`"
            raise ClusterError(f"{archive} is not a docker-archive ({error}): {remedy}") from error
        if (reason := self.not_ready()) is not None:
            raise ClusterError(f"cluster {self._layout.name} is not up ({reason}): `python -m e2e.cluster up`")
        digest = hashlib.sha256(manifest).hexdigest()
        # Beside the images themselves: what removes those removes these notes.
        notes = self._layout.images / "serin-loaded"
        notes.mkdir(exist_ok=True)
        files = [notes / quote(tag, safe="") for tag in tags]
        if files and all(file.is_file() and file.read_text() == digest for file in files):
            return
        for file in files:  # while it is being imported nothing is certain
            file.unlink(missing_ok=True)
        run(self._ctr("images", "import", str(archive)))
        for file in files:
            write(file, digest)

    def provide_pause_image(self) -> None:
        """Have the image that every pod starts with."""
        archive = self._layout.run / "pause.tar"
        write_image(archive, tools.binary("pause"), programs.PAUSE_IMAGE)
        self.load(archive)
        archive.unlink()

    def end_containers(self) -> bool:
        """End all containers and take them from containerd's records, so that it knows of images only.

        Gives whether there were any: the CRI plugin learns of it only by a restart.
        """
        self._pods.kill()
        if self.not_ready() is not None:
            return False  # the next start asks again
        containers = run(self._ctr("containers", "list", "--quiet")).split()
        for container in containers:
            # The task of a container may be gone with its shim; the container may not.
            subprocess.run(self._ctr("tasks", "delete", "--force", container), check=False, capture_output=True)
            run(self._ctr("containers", "delete", container))
        return bool(containers)

    def not_ready(self) -> str | None:
        """None when it answers, otherwise what `ctr` says."""
        done = subprocess.run(self._ctr("version"), check=False, capture_output=True, text=True)
        return None if done.returncode == 0 else done.stderr.strip()

    def _ctr(self, *argv: str) -> list[str]:
        address = f"--address={self._layout.containerd_socket}"
        return ["ctr", address, "--connect-timeout=2s", "--namespace=k8s.io", *argv]
