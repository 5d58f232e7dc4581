"""``serin render``: the objects that a manifest would come to, without a cluster, by the operator's own code."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING
from typing import Annotated
from typing import Any

import typer

from serin.cli import terminal
from serin.cli.names import plain_namespace

if TYPE_CHECKING:
    from serin.api.status import Resolved
    from serin.cli.manifest import Manifest
    from serin.cli.rehearse import Settled

Json = dict[str, Any]

# What only the registry knows. Documented in docs/how-to/command-line.md.
ALIAS_VERSION = 1
ARTIFACTS = "s3://example/models"
FLAVOR = "python_function"
DIGEST = "0" * 64
NAMESPACE = "default"

Files = Annotated[
    list[str],
    typer.Option("--filename", "-f", help="Manifest; - reads standard input; repeatable.", show_default=False),
]
SettingsFile = Annotated[
    str | None,
    typer.Option(
        "--settings",
        help="The operator's settings: the chart's values, its ConfigMap, or the file in that. By default the chart's "
        "own values, and a gateway named public in namespace gateways.",
        show_default=False,
    ),
]
Version = Annotated[
    int | None, typer.Option(min=1, help="Version that an alias stands for.", show_default=str(ALIAS_VERSION))
]


def location(value: str | None) -> str | None:
    """Where pods fetch something. Raises BadParameter where they cannot."""
    if value is not None and not re.match(r"[a-z][a-z0-9+.-]*://[^/]|file:///", value, re.IGNORECASE):
        raise typer.BadParameter(
            f"{value!r} is no location that pods can fetch, such as s3://models/fraud/7; "
            "of a version that was resolved, status.resolved.artifactUri tells it"
        )
    return value


Artifact = Annotated[
    str | None,
    typer.Option(
        "--artifact-uri",
        help="Where pods fetch the version's artifacts.",
        callback=location,
        show_default=f"{ARTIFACTS}/NAME/VERSION",
    ),
]
Flavors = Annotated[
    list[str] | None, typer.Option("--flavor", help="MLflow flavor of the version; repeatable.", show_default=FLAVOR)
]
InNamespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="Namespace where the manifest names none.",
        callback=plain_namespace,
        show_default=NAMESPACE,
    ),
]


def render(
    filename: Files,
    settings: SettingsFile = None,
    version: Version = None,
    artifact_uri: Artifact = None,
    flavor: Flavors = None,
    namespace: InNamespace = None,
) -> None:
    """Print the objects of a manifest, without a cluster.

    They are those of the moment when the declared version has all traffic. What only the registry knows is made up,
    unless options say it: the version behind an alias, the artifacts' location, the flavors. The hash in a revision's
    name depends on it, and ownerReferences are left out, since there is no owner yet.

    What the API server refuses at admission is refused here. With kubectl, and a cluster, for what others there refuse:
    kubectl apply --dry-run=server -f FILE
    """
    # Imported here: --help of the other commands need not wait for the API's models.
    from serin.cli.documents import documents
    from serin.cli.documents import named
    from serin.cli.manifest import declared
    from serin.cli.offline import platform_of
    from serin.cli.rehearse import rehearse

    found = [one for file in filename for one in documents(file)]
    manifests = declared(found, ", ".join(named(file) for file in filename))
    platform = platform_of(settings)
    for manifest in manifests:
        if version is not None and manifest.spec.model.version not in (None, version):
            raise typer.BadParameter(
                f"{manifest.name} declares version {manifest.spec.model.version}", param_hint="--version"
            )
        inside = manifest.namespace or namespace or NAMESPACE
        resolved = _resolved(manifest, version, artifact_uri, tuple(flavor or [FLAVOR]))
        _print(rehearse(manifest, inside, resolved, platform), manifest, resolved)
    others = [str(one.get("kind")) for one in found if one.get("kind") != "ModelDeployment"]
    if others:
        sys.stderr.write(f"left out, as no ModelDeployments: {', '.join(others)}\n")


def _resolved(manifest: Manifest, version: int | None, artifact_uri: str | None, flavors: tuple[str, ...]) -> Resolved:
    from serin.api.status import Resolved

    model = manifest.spec.model
    number = model.version or version or ALIAS_VERSION
    return Resolved(
        registry=model.registry,
        name=model.name,
        version=number,
        alias=model.alias,
        artifact_uri=artifact_uri or f"{ARTIFACTS}/{model.name}/{number}",
        digest=DIGEST,
        flavors=flavors,
    )


def _print(settled: Settled, manifest: Manifest, resolved: Resolved) -> None:
    import yaml

    rendered = settled.rendered
    replicas = {scale.workload: scale.replicas for scale in rendered.scales}
    head = [
        f"# ModelDeployment {manifest.name}: {resolved.name} version {resolved.version} from {resolved.artifact_uri},",
        f"# flavors {', '.join(resolved.flavors)}; when it has all traffic.",
        *(f"# Deployment {workload}, made by the backend; replicas: {count}." for workload, count in replicas.items()),
    ]
    sys.stdout.write("\n".join(head) + "\n")
    for one in (*rendered.objects, *((rendered.route,) if rendered.route else ())):
        body = {**one.body, "metadata": {k: v for k, v in one.body["metadata"].items() if k != "ownerReferences"}}
        sys.stdout.write(
            "---\n" + yaml.safe_dump(body, sort_keys=False, width=120, allow_unicode=terminal.any_letter())
        )
