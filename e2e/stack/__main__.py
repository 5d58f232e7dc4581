"""`python -m e2e.stack`: the stack half on the command line. Which cluster: SERIN_CLUSTER, or --cluster."""

import argparse
import sys

from e2e.cluster import ClusterError
from e2e.cluster import open_cluster
from e2e.stack import images
from e2e.stack.install import COMPONENTS
from e2e.stack.install import install
from e2e.stack.install import status
from e2e.stack.progress import StackError
from e2e.tools import ToolError


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (ClusterError, StackError, ToolError) as error:
        print(f"stack: error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    match options.verb:
        case "install":
            for one in install(open_cluster(options.cluster)):
                if one.changed:
                    print(f"changed  {one.name}")
        case "status":
            print(status(open_cluster(options.cluster)))
        case "images":
            for name in dict.fromkeys(name for component in COMPONENTS for name in component.images):
                archive = images.build(name)
                print(f"{archive.reference}  {archive.path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.stack", description="What the operator finds on a cluster.")
    parser.add_argument("--cluster", help="as for python -m e2e.cluster")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("install", help="install everything, or put back what is missing; prints what changed")
    verbs.add_parser("images", help="build the images only")
    verbs.add_parser("status", help="the pods of the stack")
    return parser


if __name__ == "__main__":
    sys.exit(main())
