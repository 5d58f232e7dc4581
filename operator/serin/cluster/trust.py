"""The CA of the API server as its file has it now: the kubelet writes the bundle anew when the CA is rotated."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path


class Trust:
    """Adds to a TLS context what its CA file holds since. What was trusted at the start stays trusted: the library
    (kubernetes aio/client/rest.py) reads the file once, and a context forgets nothing.

    Of two CAs of one name TLS finds the right one only by their key identifiers, where the certificates have them.
    """

    def __init__(self, file: str | None, context: ssl.SSLContext) -> None:
        self._file = file
        self._context = context
        self._read: tuple[int, int] | None = None

    def renew(self) -> None:
        """Before a connection may be made. A file that is away, or half written, is read with the next one."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # ssl.SSLError is one
            state = Path(self._file).stat()
            now = (state.st_mtime_ns, state.st_size)
            if now != self._read:
                self._context.load_verify_locations(self._file)
                self._read = now
