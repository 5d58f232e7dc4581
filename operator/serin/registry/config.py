"""What is needed to talk to one registry: built by the controller from a ModelRegistry and the Secrets it names.

Secrets live in here and must not leave: they are in no ``repr``, and :func:`RegistryConfig.redact` takes them out of
text that came from elsewhere.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Self
from urllib.parse import quote
from urllib.parse import urlsplit

from serin.api.reasons import Reason
from serin.errors import RegistryError

DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True)
class Credentials:
    """A username with its password, or a bearer token."""

    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        basic = (self.username is not None, self.password is not None)
        if basic not in {(False, False), (True, True)} or (self.token is None) != all(basic):
            raise RegistryError(
                Reason.INVALID_SECRET,
                "The login needs both username and password, or a token, and not both kinds: set the keys "
                "username and password, or the key token.",
                transient=False,
            )
        if not all(value and value.isprintable() for value in self._values()) or not (self.token or "").isascii():
            # http.client would refuse the header with an exception that quotes it.
            raise RegistryError(
                Reason.INVALID_SECRET,
                "The login has an empty value or characters that no HTTP header can carry: write the keys of its "
                "Secret without line breaks inside.",
                transient=False,
            )

    @classmethod
    def from_secret(cls, secret_name: str, data: Mapping[str, bytes]) -> Self:
        """Reads the (decoded) data of the Secret that ``spec.auth`` names. Raises RegistryError(InvalidSecret).

        Line breaks at the ends go: a Secret made from a file nearly always has one, and no password ends in one.
        """
        try:
            text = {key: data[key].decode().strip("\r\n") for key in ("username", "password", "token") if key in data}
            return cls(**text)
        except (UnicodeDecodeError, RegistryError) as error:
            why = error.message if isinstance(error, RegistryError) else "Its values are not UTF-8 text."
            message = f"Secret {secret_name!r} cannot be used. {why}"
            raise RegistryError(Reason.INVALID_SECRET, message, transient=False) from None

    def _values(self) -> tuple[str, ...]:
        return tuple(value for value in (self.username, self.password, self.token) if value is not None)

    def spellings(self) -> tuple[str, ...]:
        """The secrets in every form in which a server may echo them, longest first."""
        secrets = [value for value in (self.password, self.token) if value]
        forms = {form for secret in secrets for form in (secret, quote(secret), quote(secret, safe=""))}
        if self.username and self.password:
            forms.add(base64.standard_b64encode(f"{self.username}:{self.password}".encode()).decode())
        return tuple(sorted(forms, key=len, reverse=True))


@dataclass(frozen=True)
class RegistryConfig:
    """One registry. ``timeout``: seconds that one request may take in all; ``ca_pem``: certificates to trust."""

    url: str
    credentials: Credentials | None = None
    ca_pem: str | None = field(default=None, repr=False)
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        try:
            _ = urlsplit(self.url).port
        except ValueError as error:
            message = f"spec.url is no URL: {error}; write it like http://mlflow.mlflow.svc:5000"
            raise RegistryError(Reason.INVALID_SPEC, message, transient=False) from None
        if self.ca_pem is None:
            return
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=self.ca_pem)
        except (ssl.SSLError, ValueError):
            message = f"The CA for MLflow at {self.host} is not PEM: put its certificates under ca.crt into the Secret."
            raise RegistryError(Reason.INVALID_SECRET, message, transient=False) from None

    @property
    def host(self) -> str:
        """Host and port as people know the registry; never user information."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def redact(self, text: str) -> str:
        """The text without any spelling of this registry's secrets."""
        for form in self.credentials.spellings() if self.credentials else ():
            text = text.replace(form, "***")
        return text
