"""containerd as seen by a local cluster: images brought in, containers of the past put out. Speaks `ctr`."""

import subprocess
from pathlib import Path

from e2e import tools
from e2e.cluster import programs
from e2e.cluster.cgroup import Cgroup
from e2e.cluster.image import write_pause_image
from e2e.cluster.interface import ClusterError
from e2e.cluster.layout import Layout
from e2e.cluster.namespaces import run
from e2e.cluster.progress import wait_for
from e2e.cluster.supervise import Supervisor

_START_SECONDS = 30.0


class Runtime:
    """The containerd of one local cluster."""

    def __init__(self, layout: Layout, supervisor: Supervisor, cgroup: Cgroup) -> None:
        self._layout = layout
        self._supervisor = supervisor
        self._pods = cgroup.child("kubepods")

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for("containerd", self._not_ready, _START_SECONDS)

    def load(self, archive: Path) -> None:
        """Import the images of a docker-archive."""
        if not archive.is_file():
            raise ClusterError(f"{archive} is not a file: give a docker-archive made by buildah or `docker save`")
        if not self._supervisor.running("containerd"):
            raise ClusterError(f"cluster {self._layout.name} is not up: `python -m e2e.cluster up`")
        run(self._ctr("images", "import", str(archive)))

    def provide_pause_image(self) -> None:
        """Have the image that every pod starts with."""
        if programs.PAUSE_IMAGE in run(self._ctr("images", "list", "--quiet")).split():
            return
        archive = self._layout.run / "pause.tar"
        write_pause_image(archive, tools.binary("pause"), programs.PAUSE_IMAGE)
        self.load(archive)
        archive.unlink()

    def forget_containers(self) -> None:
        """End all containers and remove them from containerd's records, so that the next start finds images only.

        With a containerd that does not run there is nothing to be done: its records are cleaned at the next start.
        """
        self._pods.kill()
        if not self._supervisor.running("containerd") or self._not_ready():
            return
        for container in run(self._ctr("containers", "list", "--quiet")).split():
            for argv in (["tasks", "delete", "--force", container], ["containers", "delete", container]):
                subprocess.run(self._ctr(*argv), check=False, capture_output=True)

    def _not_ready(self) -> str | None:
        done = subprocess.run(self._ctr("version"), check=False, capture_output=True, text=True)
        return None if done.returncode == 0 else done.stderr.strip()

    def _ctr(self, *argv: str) -> list[str]:
        return ["ctr", f"--address={self._layout.containerd_socket}", "--namespace=k8s.io", *argv]
