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
            sync = ["pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(file)]
            subprocess.run([*uv, *sync], check=True)
            (venv / "complete").touch()
    return python
