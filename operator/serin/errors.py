"""The exceptions of Serin: the lowest layer, imported by every other and importing none.

Inside the pure core nothing is raised for what the world may do: absence and refusal are values there.
Exceptions exist at the rings of I/O, and each says the thing, the reason and the remedy.
"""

from __future__ import annotations


class SerinError(Exception):
    """Root of all errors that Serin raises on purpose."""


class RegistryError(SerinError):
    """A model registry could not be asked, or answered that something does not exist.

    ``reason`` is a value of :class:`serin.api.reasons.Reason`; ``transient`` tells whether asking again
    without anybody changing anything may help (a registry that is down) or not (a missing version).
    """

    def __init__(self, reason: str, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.transient = transient


class ClusterError(SerinError):
    """The Kubernetes API refused a request.

    ``status`` is the HTTP status code, 0 where no answer came, or none that is Kubernetes'.
    """

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class MetricsError(SerinError):
    """The source of measurements could not tell. Nothing is known then, good or bad."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class SettingsError(SerinError):
    """The operator cannot start with the settings it was given."""


class KubeconfigError(SerinError):
    """A person's command cannot tell which API server to ask, or as whom."""
