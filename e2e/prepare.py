"""`python -m e2e.prepare`: build what the cluster, the demo and the tests are made of, before anybody's time runs.

Built where it is first needed, Kubernetes alone would take longer than a test may. What is there already costs a few
seconds. Two lanes side by side: programs from source, and environments and images, which mostly wait for downloads.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from e2e import tools
from e2e.cluster import open_cluster
from e2e.cluster.interface import ClusterError
from e2e.cluster.local import LocalCluster
from e2e.environment import interpreter
from e2e.stack import images
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
    if with_images and isinstance(cluster := open_cluster(), LocalCluster):
        # Installs Debian's packages, and finds out whether this machine can carry a cluster before the long part.
        cluster.preflight()
    with ThreadPoolExecutor(max_workers=2) as lanes:
        programs = lanes.submit(_programs)
        others = lanes.submit(_others, names)
        programs.result()
        others.result()
    for name in images.IMAGES if with_images else ():
        images.build(name)


def _programs() -> None:
    for tool in dict.fromkeys((*_TOOLS_FIRST, *tools.TOOLS)):
        tools.build(tool)


def _others(names: list[str]) -> None:
    for environment in _ENVIRONMENTS:
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
    except KeyboardInterrupt:
        print("\nprepare: interrupted; doing it again goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
