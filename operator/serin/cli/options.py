"""Options that several commands share, as kubectl names them."""

from __future__ import annotations

from typing import Annotated

import typer

from serin.cli import completion
from serin.cli.names import plain_name
from serin.cli.names import plain_namespace
from serin.cli.names import something

FORMATS = ("text", "json")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of the ModelDeployment.",
        autocompletion=completion.names,
        callback=plain_name,
        show_default=False,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="Namespace; by default the context's.",
        autocompletion=completion.namespaces,
        callback=plain_namespace,
        show_default=False,
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        help="Context of the kubeconfig; by default its current one.",
        autocompletion=completion.contexts,
        callback=something,
        show_default=False,
    ),
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        help="Kubeconfig file; by default $KUBECONFIG, then ~/.kube/config, then the pod's own account.",
        callback=something,
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="text for people, json for machines.",
        metavar="text|json",
        autocompletion=completion.one_of(*FORMATS),
    ),
]


def as_json(output: str) -> bool:
    """Whether JSON is asked for."""
    if output not in FORMATS:
        raise typer.BadParameter("choose text or json", param_hint="-o")
    return output == "json"


def seconds(duration: str | None, option: str) -> float | None:
    """A duration in seconds; None where none is given."""
    if duration is None:
        return None
    # Imported here: it takes a third of a start, and most commands are given no time.
    from serin.api import quantities

    try:
        return quantities.seconds(duration)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
