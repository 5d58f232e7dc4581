"""`python -m e2e.up`: a cluster, everything that Serin runs on, and Serin. Doing it again changes nothing."""

import argparse
import shlex
import subprocess
import sys

from e2e import serin
from e2e import tools
from e2e.cluster import open_cluster
from e2e.cluster import proxies
from e2e.cluster.choose import taken_away_by
from e2e.cluster.interface import Cluster
from e2e.cluster.interface import ClusterError
from e2e.stack import install as stack
from e2e.stack.builders import NoBuilderError
from e2e.stack.kubectl import KubectlError
from e2e.stack.progress import CommandFailedError
from e2e.stack.somebodys import NotOursError
from e2e.stack.waiting import NotReadyError
from e2e.tools import ToolError
from e2e.traffic import NotAnsweredError

# What can go wrong with the machine or the cluster: each has a message for a person.
FAILURES = (
    ClusterError,
    ToolError,
    NoBuilderError,
    CommandFailedError,
    KubectlError,
    NotReadyError,
    NotOursError,
    NotAnsweredError,
    serin.HelmError,
    subprocess.CalledProcessError,
)


def up(cluster: Cluster) -> None:
    """Bring everything up and wait until it is ready."""
    cluster.up()
    # Before anything is changed: of the stack it is asked by itself.
    serin.refuse_somebodys(cluster)
    stack.install(cluster)
    serin.install(cluster)


def main() -> int:
    """Bring everything up; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m e2e.up", description=__doc__)
    parser.add_argument("--cluster", help="default: the environment variable SERIN_CLUSTER, or local")
    try:
        cluster = open_cluster(parser.parse_args().cluster)
        up(cluster)
    except FAILURES as error:
        print(f"up: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nup: interrupted; doing it again goes on from here", file=sys.stderr)
        return 130
    print(f"up: ready. Look around:\n{look_around(cluster)}")
    return 0


def look_around(cluster: Cluster) -> str:
    """Commands for a person who wants to see what is there, and to take it away again."""
    away = taken_away_by(cluster)
    if away is None:
        # What else was installed may be somebody's by now.
        end = f"helm uninstall {serin.RELEASE} -n {serin.NAMESPACE}   # the cluster was given: it stays, with all else"
    else:
        end = f"{away}   # takes the cluster away"
    return (
        f"  export {shlex.join([f'KUBECONFIG={cluster.kubeconfig()}', *proxies.settings()])} "
        f"PATH={tools.binary('kubectl').parent}:$PATH\n"
        f"  kubectl get modeldeployments -A\n"
        f"  {end}"
    )


if __name__ == "__main__":
    sys.exit(main())
