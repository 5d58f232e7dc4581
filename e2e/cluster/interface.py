"""What every kind of cluster can do. The stack and the scenarios know this and nothing else of a cluster."""

from pathlib import Path
from typing import Protocol

from e2e.cluster.audit import AuditLog


class ClusterError(RuntimeError):
    """A cluster cannot do what was asked; the message says what, why and what to do about it."""


class Cluster(Protocol):
    """A Kubernetes with at least one node, and the machine's way to it."""

    @property
    def name(self) -> str:
        """What it is called in messages and commands."""

    @property
    def given(self) -> bool:
        """Whether it was there already: what is on it may be somebody's."""

    def preflight(self) -> None:
        """Find out whether it can be brought up from here, before anything is built for it.

        Raises:
            ClusterError: it cannot; with what is missing and the other ways.
        """

    def up(self) -> None:
        """Bring it up, or back up, until a node is Ready. Changes nothing where that is so already."""

    def down(self, *, purge: bool = False) -> None:
        """Take it away with everything it put on the machine, with `purge` also what would make the next `up` quick.

        Quiet where there is nothing.
        """

    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator."""

    def load_image(self, archive: Path) -> None:
        """Give the nodes the images of a docker-archive (`buildah push … docker-archive:`, `docker save`)."""

    def gateway(self) -> str:
        """host:port under which this machine reaches the gateway's HTTP listener (hostPort 8080 of a node)."""

    def audit(self) -> AuditLog:
        """The API server's audit log, where it can be read; otherwise a ClusterError."""

    def status(self) -> str:
        """A few lines for a person: whether it is up, and what is missing."""

    def command(self, argv: list[str]) -> list[str]:
        """`argv` so wrapped that it runs where pod and Service addresses can be reached, if there is such a place."""
