"""Where the figures come from: a Prometheus that is named, or the one the operator judges by.

An address of the cluster's inside (``http://prometheus.monitoring.svc:9090``) means nothing outside of it, so it is
reached by way of the API server, which needs the right to ``get services/proxy`` there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml

from serin.api.kinds import CONFIG_MAP
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.offline import KEY
from serin.cli.reach import FORBIDDEN
from serin.cli.seen import record
from serin.cli.seen import text
from serin.errors import ClusterError
from serin.errors import MetricsError
from serin.metrics.ranges import Get
from serin.metrics.ranges import Ranges
from serin.metrics.ranges import straight

if TYPE_CHECKING:
    from serin.cluster.session import Session

OPERATORS_LABEL = "app.kubernetes.io/name=serin"
NAMESPACE = "serin-system"
"""Where the operator is, unless its ConfigMap is found elsewhere."""
PORTS = {"http": 80, "https": 443}

_SERVICE = re.compile(r"^(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(\.[a-z0-9.-]+)?$")
REMEDY = "Name one that you reach with --prometheus, such as http://localhost:9090 after kubectl port-forward."


@dataclass(frozen=True, slots=True)
class Operator:
    """What the operator's ConfigMap tells; ``complaint`` where it could not be read."""

    namespace: str = NAMESPACE
    prometheus: str = ""
    matchers: str = ""
    """By which its queries find the series of this cluster."""
    complaint: str = ""


def find_operator(session: Session) -> Operator:
    """The operator's namespace and its Prometheus. Not to be allowed to look is no error."""
    try:
        found = session.list(CONFIG_MAP, None, selector=OPERATORS_LABEL)
    except ClusterError:
        # Not everybody may look everywhere.
        try:
            found = session.list(CONFIG_MAP, NAMESPACE, selector=OPERATORS_LABEL)
        except ClusterError as error:
            return Operator(complaint=f"the operator's settings cannot be read ({_why(error)})")
    for body in found:
        raw = record(body.get("data")).get(KEY)
        if isinstance(raw, str):
            namespace = text(record(body.get("metadata")).get("namespace")) or NAMESPACE
            return _settings(raw, namespace)
    return Operator(complaint=f"there is no ConfigMap of the operator ({OPERATORS_LABEL})")


def _settings(raw: str, namespace: str) -> Operator:
    try:
        settings = record(yaml.safe_load(raw))
    except yaml.YAMLError:
        return Operator(namespace, complaint="the operator's settings are no YAML")
    url, matchers = text(settings.get("prometheus_url")), text(settings.get("prometheus_matchers"))
    complaint = "" if url else "the operator's settings name no Prometheus (settings.prometheusUrl)"
    return Operator(namespace, url, matchers, complaint)


def ranges(session: Session, url: str) -> Ranges:
    """The way to that Prometheus. Raises CommandError where the URL is none."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise _wrong(error) from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise _wrong("it must begin with http:// or https://")
    inside = _SERVICE.match(parts.hostname)
    if inside is None:
        return Ranges(straight(url))
    service = f"{inside['name']}:{port or PORTS[parts.scheme]}"
    if parts.scheme == "https":
        service = f"https:{service}"
    return Ranges(_through(session, inside["namespace"], service, parts.path.rstrip("/")))


def shown(url: str) -> str:
    """The URL without a login that may be in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _through(session: Session, namespace: str, service: str, base: str) -> Get:
    def get(path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            return session.through(namespace, service, f"{base}{path}", dict(query))
        except ClusterError as error:
            asked = f"Service {service.removeprefix('https:')} in namespace {namespace}"
            raise MetricsError(f"{asked} does not answer through the API server ({_why(error)})") from error

    return get


def _why(error: ClusterError) -> str:
    said = text(error.message)[:300]
    return f"you may not: {said}" if error.status == FORBIDDEN else said


def _wrong(why: object) -> CommandError:
    return CommandError(f"the URL of --prometheus is none: {why}", code=Exit.USAGE)
