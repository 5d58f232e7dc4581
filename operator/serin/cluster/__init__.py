"""The only user of the kubernetes client: requests to the API server, and what they may answer."""

from __future__ import annotations

from serin.lean import import_lean

# ``import kubernetes`` loads the whole synchronous client, watches and informers: 17 MB that an operator has no use
# for, and kopf pays them too where the package is installed.
import_lean("kubernetes")
