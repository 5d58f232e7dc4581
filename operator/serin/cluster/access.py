"""How a person's command gets to the API server, and as whom: by the kubeconfig that kubectl would use, or in a pod."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import load_incluster_config
from kubernetes.config.kube_config import ConfigNode
from kubernetes.config.kube_config import KubeConfigLoader
from kubernetes.config.kube_config import KubeConfigMerger

from serin.cluster.words import in_one_line
from serin.cluster.words import without_secrets
from serin.errors import KubeconfigError

Json = dict[str, Any]

DEFAULT_KUBECONFIG = "~/.kube/config"
SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
IN_CLUSTER_VARIABLE = "KUBERNETES_SERVICE_HOST"

IMPERSONATE = "Impersonate-"
# client-go escapes the rest of a header's name (transport/round_trippers.go headerKeyEscape).
HEADER_NAME = "!#$&'*+-.^_`|~"
# The scheme and the credential; http.client refuses others, and its words would show them.
AUTHORIZATION = re.compile(r"[!-~]+( [!-~]+)?")
# What is logged of a login helper that failed on a terminal: its words went there, and the Python client looks for them
# all the same (kubernetes/config/exec_provider.py run).
SAID_ALREADY = "'NoneType' object has no attribute 'strip'"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

PARTS = ("clusters", "contexts", "users")
# Where libyaml is: for 50 clusters the pure Python loader takes 0.2 s, at every command.
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Access:
    """How the API server is reached, and as whom."""

    configuration: Any
    namespace: str
    """The context's namespace."""
    user: str
    """The context's user, or the one whom it impersonates; "" in a pod."""
    complaints: tuple[str, ...] = ()
    """What went wrong with the credentials, such as the words of a login helper that failed."""
    impersonated: tuple[tuple[str, str], ...] = ()
    """Headers that say as whom the requests shall count."""


def find_access(kubeconfig: str | None, context: str | None) -> Access:
    """As kubectl finds it: the file that is named, those of $KUBECONFIG, ~/.kube/config, then a pod's service account.

    Raises KubeconfigError.
    """
    paths = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
    try:
        found = _Merged(paths)
    except (ConfigException, yaml.YAMLError, OSError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise KubeconfigError(f"the kubeconfig {paths} cannot be read: {in_one_line(error)}") from error
    if found.config is not None:
        return _of_context(found, paths, context)
    if kubeconfig is None and context is None and os.environ.get(IN_CLUSTER_VARIABLE):
        return _of_pod()
    raise KubeconfigError(
        f"no cluster is known: there is no kubeconfig at {paths}, or nothing in it. "
        "Name one with --kubeconfig or KUBECONFIG"
    )


def contexts_of(kubeconfig: str | None) -> list[str]:
    """Names of the contexts. Raises KubeconfigError."""
    paths = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
    try:
        found = _Merged(paths).config
        return [] if found is None else [entry.value["name"] for entry in found["contexts"]]
    except (ConfigException, yaml.YAMLError, OSError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise KubeconfigError(f"the kubeconfig {paths} cannot be read: {in_one_line(error)}") from error


def authorization(configuration: Any) -> str:
    """The header that says who asks; "" where nothing does. Renewed where it has run out."""
    # A file with a token mostly ends with a newline (kubernetes/config/kube_config.py _load_user_token keeps it).
    return str(configuration.get_api_key_with_prefix("BearerToken") or "").strip()


def _of_context(found: _Merged, paths: str, context: str | None) -> Access:
    heard = _Heard()
    # A login helper that fails is only logged (kubernetes/config/kube_config.py _load_from_exec_plugin); the request
    # then goes out as nobody, and its 401 would tell nothing of the cause.
    root = logging.getLogger()
    root.addHandler(heard)
    configuration = Configuration()
    try:
        loader = KubeConfigLoader(found.config, active_context=context, config_base_path=None)
        with _heard_by_people():
            loader.load_and_set(configuration)
        if getattr(loader, "proxy", None):
            # As kubectl has it (client-go tools/clientcmd/client_config.go): NO_PROXY is for the environment's proxy.
            configuration.no_proxy = None
        current = loader.current_context["context"]
        user = current.get("user") or ""
        impersonated = tuple(_impersonated(_user(found, user)))
    except (ConfigException, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        names = ", ".join(contexts_of(paths)) or "none"
        wanted = "its current context" if context is None else f"context {context}"
        raise KubeconfigError(
            f"the kubeconfig {paths} does not say how to reach {wanted}: {in_one_line(error)}. "
            f"Its contexts are: {names}; choose one with --context"
        ) from error
    finally:
        root.removeHandler(heard)
    if not configuration.host:
        raise KubeconfigError(f"cluster {current.get('cluster')} in the kubeconfig {paths} has no server")
    token = authorization(configuration)
    if token and not AUTHORIZATION.fullmatch(token):
        raise KubeconfigError(
            f"the token of user {user} in the kubeconfig {paths} has characters that no token has: log in again as "
            "you would for kubectl"
        )
    return Access(
        configuration,
        namespace=current.get("namespace") or "default",
        user=_user(found, user).get("as") or user,
        complaints=tuple(heard.messages),
        impersonated=impersonated,
    )


def _user(found: _Merged, name: str) -> Json:
    """What the kubeconfig says of the user; the loader has checked that much of it."""
    entry = found.config["users"].get_with_name(name, safe=True) if name else None
    user = entry.value.get("user") if entry is not None else None
    return user if isinstance(user, dict) else {}


def _impersonated(user: Json) -> Iterator[tuple[str, str]]:
    """The headers that kubectl sends for ``as`` and what goes with it (client-go transport/round_trippers.go); the
    Python client knows none of them. Raises ValueError."""
    more = [field for field in ("as-uid", "as-groups", "as-user-extra") if user.get(field)]
    if not user.get("as") and more:
        raise ValueError(f"{more[0]} needs as: without it nobody is impersonated")
    wanted = [("as", "User", user.get("as")), ("as-uid", "Uid", user.get("as-uid"))]
    wanted += [("as-groups", "Group", group) for group in _texts(user.get("as-groups"))]
    for key, many in (user.get("as-user-extra") or {}).items():
        wanted += [("as-user-extra", f"Extra-{quote(key, safe=HEADER_NAME)}", one) for one in _texts(many)]
    for field, header, value in wanted:
        if value and (not isinstance(value, str) or CONTROL.search(value)):
            raise ValueError(f"{field} of its user must be text on one line")
        if value:
            # Headers go out in latin-1; those who read them take them for UTF-8.
            yield f"{IMPERSONATE}{header}", value.encode().decode("latin-1")


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _of_pod() -> Access:
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise KubeconfigError(f"this pod has no usable service account: {in_one_line(error)}") from error
    try:
        namespace = SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    except OSError:
        namespace = "default"
    return Access(configuration, namespace=namespace, user="")


@contextmanager
def _heard_by_people() -> Iterator[None]:
    """A login helper may have to tell a person what to do, as with a code for the browser. The Python client lets it
    speak where the standard output is a terminal (kubernetes/config/exec_provider.py run); kubectl does so, too, where
    that is a pipe."""
    # None where it was closed.
    person = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))
    with redirect_stdout(sys.stderr if person else sys.stdout):
        yield


class _Merged(KubeConfigMerger):  # type: ignore[misc]
    """Several files as kubectl reads them (client-go tools/clientcmd/loader.go Load): the first that names a current
    context says which it is, and one that is empty says nothing. The Python client takes the last one's word, so that
    an order would go to another cluster than kubectl's, and refuses an empty file."""

    def load_config(self, path: str) -> None:
        """Take one file more."""
        with Path(path).open("rb") as file:
            read = yaml.load(file, _LOADER)  # noqa: S506 (the safe one)
        if read is None:
            return
        if not isinstance(read, dict):
            raise ConfigException(f"{path} holds something else")
        if self.config is None:
            self.config_merged = ConfigNode(path, {**read, **{part: [] for part in PARTS}}, path)
        merged = self.config.value
        for part in PARTS:
            entries = read.get(part) or []
            if not isinstance(entries, list) or any(not isinstance(one, dict) or "name" not in one for one in entries):
                raise ConfigException(f"{part} in {path} must be a list of entries with a name")
            known = {node.value["name"] for node in merged[part]}
            merged[part] += [
                ConfigNode(f"{path}/{part}/{one['name']}", one, path) for one in entries if one["name"] not in known
            ]
        if not merged.get("current-context"):
            merged["current-context"] = read.get("current-context")


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = without_secrets(record.getMessage())
        self.messages.append("the login helper failed, in its own words above" if said == SAID_ALREADY else said)
