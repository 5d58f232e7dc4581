"""What is made once and kept: it appears whole or not at all, also where the machine loses its power meanwhile."""

import os
from pathlib import Path


def is_whole(file: Path) -> bool:
    """Whether it is there. Empty, it is what such a machine has left of one."""
    return file.is_file() and file.stat().st_size > 0


def keep(unfinished: Path, place: Path) -> None:
    """Put a file, or a folder with its files, in its place, where nothing is."""
    for path in (unfinished, *unfinished.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file)
    unfinished.rename(place)
