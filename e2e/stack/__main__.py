"""`python -m e2e.stack install|images|status`: the stack half by hand."""

import argparse

from e2e.cluster import open_cluster
from e2e.stack import images
from e2e.stack.install import COMPONENTS
from e2e.stack.install import install
from e2e.stack.install import status


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m e2e.stack", description=__doc__)
    parser.add_argument("verb", choices=["install", "images", "status"])
    verb = parser.parse_args().verb
    if verb == "images":
        for name in dict.fromkeys(name for component in COMPONENTS for name in component.images):
            archive = images.build(name)
            print(f"{archive.reference}  {archive.path}")
    elif verb == "install":
        for one in install(open_cluster()):
            if one.changed:
                print(f"changed  {one.name}")
    else:
        print(status(open_cluster()))


if __name__ == "__main__":
    main()
