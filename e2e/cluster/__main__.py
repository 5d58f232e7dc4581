"""`python -m e2e.cluster`: the cluster half on the command line. Which cluster: SERIN_CLUSTER, or --cluster."""

import argparse
import subprocess
import sys
from pathlib import Path

from e2e.cluster.choose import SPECS
from e2e.cluster.choose import open_cluster
from e2e.cluster.interface import Cluster
from e2e.cluster.interface import ClusterError
from e2e.tools import ToolError


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(open_cluster(options.cluster), options)
    except (ClusterError, ToolError) as error:
        print(f"cluster: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _run(cluster: Cluster, options: argparse.Namespace) -> int:
    match options.verb:
        case "up":
            cluster.up()
        case "down":
            cluster.down(purge=options.purge)
        case "status":
            print(cluster.status())
        case "kubeconfig":
            print(cluster.kubeconfig())
        case "gateway":
            print(cluster.gateway())
        case "load":
            for archive in options.archives:
                cluster.load_image(archive)
        case "exec":
            # KUBECONFIG is the caller's business; `kubeconfig` prints it.
            return subprocess.run(cluster.command(options.command), check=False).returncode
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description="A Kubernetes to try things on.")
    parser.add_argument("--cluster", help=f"{SPECS}; default: the environment variable SERIN_CLUSTER, or local")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("up", help="bring it up, or back up, until a node is Ready")
    down = verbs.add_parser("down", help="take it away with everything it put on the machine")
    down.add_argument("--purge", action="store_true", help="imported images and logs, too")
    verbs.add_parser("status", help="whether it is up, and what is missing")
    verbs.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    verbs.add_parser("gateway", help="print host:port of the gateway's HTTP listener")
    load = verbs.add_parser("load", help="give the nodes the images of docker-archives")
    load.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    run = verbs.add_parser("exec", help="run a command where pods and Services can be reached")
    run.add_argument("command", nargs="+", metavar="-- COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
