"""Write a file whole and only when it differs: kube-proxy ends when its configuration is so much as touched."""

import os
from pathlib import Path


def write(path: Path, content: str, mode: int = 0o644) -> None:
    """Have `content` in `path`: a reader, or a run after one that was killed, never sees half of it."""
    if path.is_file() and path.read_text() == content:
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.touch(mode=mode)
    unfinished.write_text(content)
    unfinished.rename(path)
