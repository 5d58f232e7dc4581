"""`python -m e2e.prepare`: build what the cluster, the demo and the tests are made of, before anybody's time runs.

Built where it is first needed, Kubernetes alone would take longer than a test may. What is there already costs a few
seconds. Two lanes side by side: programs from source, and environments and images, which mostly wait for downloads.
"""

import argparse
import errno
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from e2e import serin
from e2e import tools
from e2e.cluster import open_cluster
from e2e.cluster.interface import ClusterError
from e2e.cluster.local import LocalCluster
from e2e.environment import interpreter
from e2e.stack import images
from e2e.stack import install as stack
from e2e.stack.progress import StackError
from e2e.tools import ToolError

# The longest first: what is still missing when the other lane is done is built by one core.
_TOOLS_FIRST = ("kubernetes", "kserve")
_ENVIRONMENTS = ("mlflow-server",)


def prepare(*, with_images: bool) -> None:
    """Build whatever is missing.

    Args:
        with_images: for a cluster with nodes. A control plane alone runs none.

    Raises:
        ToolError, StackError, ClusterError: something cannot be built here; with the remedy.
    """
    names = [name for name, image in images.IMAGES.items() if image.tool is None] if with_images else []
    needed: Sequence[str] = tuple(tools.TOOLS)
    environments: Sequence[str] = _ENVIRONMENTS
    if with_images:
        # Finds out whether there can be a cluster, and whether it may be changed, before the long part.
        cluster = open_cluster()
        cluster.preflight()
        if not isinstance(cluster, LocalCluster):
            serin.refuse_somebodys(cluster)
            stack.refuse_somebodys(cluster)
            # Somebody else's Kubernetes, and no control planes of the tests.
            needed = ("kubectl", *(image.tool for image in images.IMAGES.values() if image.tool))
            environments = ()
    with ThreadPoolExecutor(max_workers=2) as lanes:
        programs = lanes.submit(_programs, needed)
        others = lanes.submit(_others, environments, names)
        programs.result()
        others.result()
    for name in images.IMAGES if with_images else ():
        images.build(name)


def _programs(needed: Sequence[str]) -> None:
    for tool in dict.fromkeys((*(first for first in _TOOLS_FIRST if first in needed), *needed)):
        tools.build(tool)


def _others(environments: Sequence[str], names: Sequence[str]) -> None:
    for environment in environments:
        interpreter(environment)
    for name in names:
        images.build(name)


def main() -> int:
    """Build; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m e2e.prepare", description=__doc__)
    parser.add_argument("--control-plane", action="store_true", help="only what a control plane without nodes needs")
    options = parser.parse_args()
    try:
        prepare(with_images=not options.control_plane)
    except (ToolError, StackError, ClusterError, subprocess.CalledProcessError) as error:
        print(f"prepare: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"prepare: error: {error}", file=sys.stderr)
        if error.errno in (errno.EACCES, errno.EROFS, errno.ENOSPC):
            print("prepare: to keep what is built elsewhere than in ~/.cache, set XDG_CACHE_HOME", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nprepare: interrupted; doing it again goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
