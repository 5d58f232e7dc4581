"""The command line of a local cluster, and a look into the cluster, for tests."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from e2e import tools
from e2e.cluster.cgroup import Cgroup
from e2e.cluster.cgroup import hierarchies
from e2e.cluster.local import LocalCluster
from e2e.cluster.progress import wait_for

Report = Callable[[str], None]
"""Takes a figure for the end of the test run: figures are told and not asserted, for machines differ."""

REPOSITORY = Path(__file__).resolve().parents[2]
PROBE_IMAGE = "localhost/serin-probe:1"
_LOG_LINES = 60


@dataclass
class Command:
    """`python -m e2e.cluster` on one local cluster, as a person runs it."""

    name: str
    before: dict[str, Any] = field(default_factory=dict)
    """What the machine looked like before the first `up`."""

    @property
    def cluster(self) -> LocalCluster:
        return LocalCluster(self.name)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "e2e.cluster", f"--cluster=local:{self.name}", *arguments]
        return subprocess.Popen(
            argv,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As strict as some have it: what a cluster makes for its pods is there for other users nevertheless.
            umask=0o077,
        )

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        return output

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        argv = [str(tools.binary("kubectl")), f"--kubeconfig={self.cluster.kubeconfig()}", *arguments]
        done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_probe(self) -> None:
        """Have the pod and Service `probe` running."""
        self.kubectl("apply", "-f", str(REPOSITORY / "tests/cluster/probe.yaml"))
        try:
            self.kubectl("wait", "--for=condition=Ready", "pod/probe", "--timeout=60s")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._findings()}") from error

    def _findings(self) -> str:
        """What tells why a pod does not run: the cluster and its logs go with the tests."""
        logs = [
            f"-- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
            for log in sorted(Path(os.environ["XDG_STATE_HOME"], "serin", self.name, "log").glob("*.log"))
        ]
        return "\n".join([self.cluster.status(), self.kubectl("describe", "nodes,pods"), *logs])

    def processes(self) -> dict[str, set[int]]:
        """The processes of each program; not those that one starts for a moment, as kube-proxy does nft."""
        folders = {path for mount in hierarchies() for path in (mount / f"serin-{self.name}/programs").glob("*/")}
        found = {folder.name: Cgroup(f"serin-{self.name}/programs/{folder.name}").processes() for folder in folders}
        return {name: {pid for pid in pids if _parent(pid) not in pids | {None}} for name, pids in found.items()}

    def ask(self, path: str) -> str:
        """What the probe answers on port 8080 of the node, asked from the machine."""
        with urllib.request.urlopen(f"http://{self.cluster.gateway()}{path}", timeout=10) as response:
            return str(response.read().decode())

    def eventually(self, what: str, check: Callable[[], object], seconds: float = 60) -> None:
        """Wait until `check` neither raises nor gives something false."""

        def reason() -> str | None:
            try:
                return None if check() else "not so"
            except (OSError, AssertionError) as error:
                return str(error)

        wait_for(what, reason, seconds)


def _parent(pid: int) -> int | None:
    """None: the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
