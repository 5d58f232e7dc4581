"""Python environments apart from the development's own, made from a lock once and kept while it says the same."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements"


def interpreter(lock: str) -> Path:
    """The Python of an environment that has what ``requirements/<lock>.txt`` names, and nothing else."""
    file = REQUIREMENTS / f"{lock}.txt"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serin" / "venvs"
    venv = cache / f"{lock}-{hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"
    python = venv / "bin" / "python"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{venv.name}.lock").open("w") as made:
        fcntl.flock(made, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)], check=True)
            _install(file, python)
            (venv / "complete").touch()
    return python


def _install(file: Path, python: Path) -> None:
    """By uv, in a tenth of pip's time; but uv does not know what pip is told of an index or a certificate."""
    options = ["--quiet", "--require-hashes", "--requirement", str(file)]
    uv = [sys.executable, "-m", "uv", "pip", "install", "--python", str(python)]
    if subprocess.run([*uv, *options], check=False).returncode != 0:
        print("uv cannot; pip does the same", flush=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
        subprocess.run([*pip, *options], check=True)
