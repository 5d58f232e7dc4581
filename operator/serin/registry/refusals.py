"""What an answer of MLflow means that is not the one asked for: a reason and one or two sentences. Pure.

Every message of the layer about a registry goes through :func:`failure`, which keeps it short and without secrets.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.config import RegistryConfig

MESSAGE_LIMIT = 300
_EXCERPT = 120
# Codes that say the server, or what stands before it, is not able to answer anything now.
_WHOLE_SERVER = frozenset({408, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``location`` is the Location header of a redirect, otherwise empty."""

    status: int
    body: bytes
    location: str = ""


class UnreachableError(RegistryError):
    """The registry as a whole did not answer: asking it for something else would fail alike."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.REGISTRY_UNAVAILABLE, message, transient=True)


def error_code(answer: Answer) -> str:
    """MLflow's own code of a refusal, empty where the body is not its JSON: proxies and the host check send text."""
    code = _error(answer).get("error_code")
    return code if isinstance(code, str) else ""


def is_missing(answer: Answer) -> bool:
    """Whether MLflow itself says that what was asked for does not exist, not that the path is unknown."""
    return answer.status == 404 and error_code(answer) == "RESOURCE_DOES_NOT_EXIST"


def is_host_check(answer: Answer) -> bool:
    """Whether it is the check of MLflow 3.5 and later, text and not JSON; its list is exact, port included
    (mlflow#22095)."""
    return answer.status == 403 and b"Invalid Host header" in answer.body


def refusal(config: RegistryConfig, answer: Answer) -> RegistryError:
    """The error for a status that no caller expects."""
    status = answer.status
    if status == 401:
        remedy = "check the Secret of auth.secretName" if config.credentials else "set auth.secretName"
        return failure(config, Reason.REGISTRY_REFUSED, f"asks for another login (401): {remedy}.", transient=False)
    if status == 403:
        return _forbidden(config, answer)
    if 300 <= status < 400:
        target = urlsplit(answer.location)
        where = f"{target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}" if target.netloc else target.path
        return failure(
            config,
            Reason.REGISTRY_UNAVAILABLE,
            f"redirects to {_clean(config, where)} ({status}), which is not followed: set url to the API itself.",
        )
    if status == 404:
        return failure(config, Reason.REGISTRY_UNAVAILABLE, "has no MLflow API under this url (404): check url.")
    said = f": {_said(config, answer)}" if 400 <= status < 500 and _said(config, answer) else ""
    error = failure(config, Reason.REGISTRY_UNAVAILABLE, f"answered with status {status}{said}.")
    return UnreachableError(error.message) if status in _WHOLE_SERVER else error


def failure(config: RegistryConfig, reason: Reason, what: str, *, transient: bool = True) -> RegistryError:
    """A RegistryError about this registry, within the length limit and without a secret."""
    return RegistryError(reason, shorten(config.redact(f"MLflow at {config.host} {what}")), transient=transient)


def shorten(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """The text in one line of printable characters, cut where it is too long for a status."""
    text = "".join(c if c.isprintable() else " " for c in re.sub(r"\s+", " ", text))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _forbidden(config: RegistryConfig, answer: Answer) -> RegistryError:
    if is_host_check(answer):
        what = f'does not know this host name (403): start it with --allowed-hosts "{config.host}" among the others.'
    elif config.credentials is None:
        what = "refuses requests without a login (403): set auth.secretName."
    else:
        what = "refuses the operator's login (403): give it READ permission on the registered models."
    return failure(config, Reason.REGISTRY_REFUSED, what, transient=False)


def _error(answer: Answer) -> dict[str, object]:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _said(config: RegistryConfig, answer: Answer) -> str:
    """The first line of MLflow's own words, shortened."""
    message = _error(answer).get("message")
    return _clean(config, message.strip().partition("\n")[0]).rstrip(".") if isinstance(message, str) else ""


def _clean(config: RegistryConfig, text: str) -> str:
    # Redacted before it is cut: half a secret would not be found any more.
    return shorten(config.redact(text), _EXCERPT)
