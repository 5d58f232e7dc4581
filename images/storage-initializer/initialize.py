"""Copy a model's files into the pod before the model server starts: `initialize.py <uri> <folder> [...]`.

KServe runs this as init container and reads the end of its log as the reason when it fails, so the last line says which
URI and why, without a stack trace.
"""

import sys
from pathlib import Path

from kserve_storage import Storage
from kserve_storage.logging import configure_logging
from kserve_storage.logging import logger


def main(arguments: list[str]) -> int:
    """Download every URI into the folder named after it; the exit code of the container."""
    if not arguments or len(arguments) % 2:
        logger.error("The arguments must be pairs of <uri> <folder>, got %s", arguments)
        return 2
    uris, folders = arguments[::2], arguments[1::2]
    for folder in folders:
        # Some of the downloaders make only the last part of the path.
        Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        Storage.download_files(uris, folders)
    # Each storage has its own exceptions and no common base; whichever it is, the pod cannot start.
    except Exception as error:  # noqa: BLE001
        logger.error("Could not download %s: %s: %s", ", ".join(uris), type(error).__name__, error)
        return 1
    return 0


if __name__ == "__main__":
    configure_logging()
    sys.exit(main(sys.argv[1:]))
