"""The token of the pod's service account as its file has it now: the kubelet writes it anew before it runs out."""

from __future__ import annotations

import contextlib
from pathlib import Path

from kubernetes.aio.client.configuration import Configuration


class Token:
    """Puts the token into a configuration whenever its file has changed.

    The library reads the file by the wall clock (kubernetes aio/config/incluster_config.py): where that is set back by
    hours, the token that it knows runs out long before.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._read: tuple[int, int, int] | None = None

    def __call__(self, configuration: Configuration) -> None:
        """Before each request. While the file is away or empty the last token counts."""
        with contextlib.suppress(OSError):
            state = Path(self._file).stat()
            now = (state.st_ino, state.st_mtime_ns, state.st_size)
            if now != self._read and (text := Path(self._file).read_text().strip()):
                configuration.api_key["BearerToken"] = f"Bearer {text}"
                self._read = now

    def doubt(self) -> None:
        """The token was refused: read the file again, whatever it looks like from outside."""
        self._read = None
