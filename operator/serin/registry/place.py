"""From the location that MLflow names to the one the pods fetch: rewritten, normalised, and allowed. Pure.

This is the operator's guard against a registry entry that points somewhere it must not: MLflow accepts ``s3``, ``hf``,
``oci`` and ``pvc`` sources from whoever may register a model, and KServe takes a URI without ``://`` for a path on the
node's file system. What :func:`place` returns begins with an allowed prefix and cannot be read in a second way.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from serin.api.modelregistry import Artifacts
from serin.api.modelregistry import Rewrite
from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.refusals import shorten

_URI = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/]*)(?P<path>/.*)?")
# The account host that KServe knows as Azure Blob Storage (kserve pkg/utils, azureBlobURIRegEx), with its container.
_AZURE = re.compile(r"https://[a-z0-9]+\.blob\.core\.windows\.net/[^/]+(/.*)?")
# What MLflow calls Azure: wasbs://container@account.blob..., abfss://container@account.dfs...
_WASBS = re.compile(
    r"(?:wasbs|abfss)://(?P<container>[a-z0-9$-]+)@(?P<account>[a-z0-9]+)\.(?:blob|dfs)\.core\.windows\.net(?P<path>/.*)?"
)
_DECODINGS = 4
# What the tracking server keeps in a store that it tells nobody: MLflow's default.
_PROXIED = "mlflow-artifacts:/"
# Schemes of our own instead of the server's, which images/storage-initializer puts back. KServe gives it what begins
# like this (charts/serin, ClusterStorageContainer). They must not hold the server's own scheme: KServe's container
# "default" takes whatever has https?:// anywhere in it, and of two that take one KServe uses any (kserve v0.20,
# config/storagecontainers/default.yaml, storage_initializer_injector.go).
_THROUGH = {"http": "mlflow", "https": "mlflows"}
_API = "/api/2.0/mlflow-artifacts/artifacts/"


def place(uri: str, artifacts: Artifacts, registry: str = "", *, server: str | None = None) -> str:
    """The location as the pods fetch it, without a trailing slash. Raises RegistryError(ArtifactNotAllowed).

    The first rewrite whose ``from`` matches is applied, Azure's ``wasbs://`` becomes the ``https://`` that KServe
    wants, then the result must match a prefix of ``allowed`` (by default any bucket of ``s3://`` and ``gs://``,
    Azure Blob Storage, and ``mlflow-artifacts:/``). ``registry``: the ModelRegistry's name, for the message.
    ``server``: URL of the tracking server, where pods can fetch through it what lies in its own store.

    A prefix matches **whole names**: ``s3://models`` allows ``s3://models`` and ``s3://models/a``, not
    ``s3://models-evil``. One that ends in ``/`` allows what is below it. One that ends in ``-`` or ``_`` says that the
    name goes on: ``gs://ml-`` allows ``gs://ml-fraud/a``. Rewrites match by the same rule.
    """
    owner = f"ModelRegistry {registry!r}" if registry else "the ModelRegistry"
    found = _azure_as_https(_rewritten(uri, artifacts.rewrite))
    if (problem := _ambiguity(found)) is not None:
        raise _refused(found, f"{problem}. Register the model with a plain URI.")
    if "://" not in found and not _proxied(found):
        raise _refused(found, f"it is no URI that pods can fetch. Add artifacts.rewrite to {owner}.")
    if not _allowed(found, artifacts.allowed):
        what = "artifacts.allowed" if artifacts.allowed else "the default artifacts.allowed"
        raise _refused(found, f"it matches no prefix of {what} of {owner}. Add its prefix there.")
    if _proxied(found):
        if server is None:
            remedy = f"Enable storageInitializer in Serin's chart, or add artifacts.rewrite to {owner}."
            raise _refused(found, f"pods cannot fetch it through the tracking server. {remedy}")
        scheme, _, rest = server.rstrip("/").partition("://")
        return f"{_THROUGH[scheme.lower()]}://{rest}{_API}{found[len(_PROXIED) :].rstrip('/')}"
    return found.rstrip("/")


def matches(uri: str, prefix: str) -> bool:
    """Whether the location lies under the prefix, by the rule of :func:`place`."""
    if prefix.endswith("/"):
        return f"{uri}/".startswith(prefix)
    if prefix.endswith(("-", "_")):
        return uri.startswith(prefix)
    return uri == prefix or uri.startswith(f"{prefix}/")


def _rewritten(uri: str, rewrites: tuple[Rewrite, ...]) -> str:
    for rewrite in rewrites:
        if matches(uri, rewrite.from_) and not _other_server(uri, rewrite.from_):
            rest = uri[len(rewrite.from_) :]
            if rewrite.from_.endswith(("-", "_")):
                return rewrite.to + rest
            # "s3://models/" and "s3://models" mean the same here, whichever of both sides has the slash.
            base = rewrite.to if rewrite.to.endswith("/") else f"{rewrite.to}/"
            return base + rest.lstrip("/")
    return uri


def _other_server(uri: str, prefix: str) -> bool:
    """``mlflow-artifacts:/`` is the server's own store; ``mlflow-artifacts://host/`` begins alike and is another's."""
    return prefix.endswith(":/") and uri.startswith(f"{prefix}/")


def _proxied(uri: str) -> bool:
    return uri.startswith(_PROXIED) and not _other_server(uri, _PROXIED)


def _azure_as_https(uri: str) -> str:
    match = _WASBS.fullmatch(uri)
    if match is None:
        return uri
    return f"https://{match['account']}.blob.core.windows.net/{match['container']}{match['path'] or ''}"


def _ambiguity(uri: str) -> str | None:
    """Why the location could be read in more than one way, by us and by what downloads it; None where it cannot."""
    decoded = uri
    for _ in range(_DECODINGS):
        decoded = unquote(decoded)
    if unquote(decoded) != decoded:
        return "it is percent-encoded several times over"
    if any(part in {".", ".."} for part in re.split(r"[/\\]", decoded)):
        return "it has a '..' or '.' segment"
    if not decoded.isprintable() or uri != uri.strip() or "\\" in uri:
        return "it has backslashes, control characters or spaces around it"
    if "?" in uri or "#" in uri:
        # Downloaders cut it off, and what stands there is often a signature that must not get into a status.
        return "it has a query or a fragment"
    match = _URI.fullmatch(uri)
    if match is not None and ("@" in match["authority"] or "%" in match["authority"]):
        return "its host or bucket is not a plain name"
    return None


def _allowed(uri: str, prefixes: tuple[str, ...]) -> bool:
    if _proxied(uri):
        # All of a store is no model.
        below = uri[len(_PROXIED) :].strip("/") != ""
        return below and (not prefixes or any(matches(uri, prefix) for prefix in prefixes))
    match = _URI.fullmatch(uri)
    if match is None or not (match["authority"] or (match["scheme"] == "file" and (match["path"] or "").strip("/"))):
        return False
    if prefixes:
        return any(matches(uri, _azure_as_https(prefix)) for prefix in prefixes)
    return match["scheme"] in {"s3", "gs"} or _AZURE.fullmatch(uri) is not None


def _refused(uri: str, why: str) -> RegistryError:
    shown = re.sub(r"//[^/]*@", "//***@", re.split(r"[?#]", uri)[0])
    text = f"The artifact location {shorten(shown, 100)!r} is refused: {why}"
    return RegistryError(Reason.ARTIFACT_NOT_ALLOWED, shorten(text), transient=False)
