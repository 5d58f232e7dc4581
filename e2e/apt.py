"""How packages of Debian are installed: without a question, and after whoever else installs some at the moment."""

import os
from collections.abc import Sequence

_APT = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")


def commands(packages: Sequence[str]) -> list[list[str]]:
    """What to run, one after the other."""
    return [[*_APT, "update"], [*_APT, "install", "--yes", "--no-install-recommends", *packages]]


def environment() -> dict[str, str]:
    """What to run them with."""
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
