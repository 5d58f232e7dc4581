"""The operator's settings without the operator: from the chart's values, its ConfigMap, or the file in that."""

from __future__ import annotations

import re
from typing import Any

import yaml
from pydantic import ValidationError

from serin.api.modeldeployment import GatewayRef
from serin.cli.exits import CommandError
from serin.cli.manifest import documents
from serin.rollout.observed import Platform
from serin.settings import Settings
from serin.settings import platform

Json = dict[str, Any]

KEY = "settings.yaml"
"""Key of the chart's ConfigMap."""
GATEWAY = GatewayRef(name="public", namespace="gateways")


def platform_of(file: str | None) -> Platform:
    """What the settings say for all ModelDeployments; without a file the chart's values and a made-up gateway."""
    if file is None:
        return platform(Settings.model_construct(gateways=(GATEWAY,)))
    found = documents(file)
    if len(found) != 1:
        raise CommandError(f"{file} must hold one document with settings; it has {len(found)}")
    raw = _settings(found[0], file)
    try:
        return platform(Settings.model_validate(raw))
    except ValidationError as error:
        wrong = "\n".join(f"  {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise CommandError(
            f"the settings in {file} are not valid:\n{wrong}", "charts/serin/README.md lists them."
        ) from error


def _settings(found: Json, file: str) -> Json:
    """The settings as the operator reads them."""
    if found.get("kind") == "ConfigMap":
        text = (found.get("data") or {}).get(KEY)
        if text is None:
            raise CommandError(f"the ConfigMap in {file} has no key {KEY}: it is not the operator's")
        inner = yaml.safe_load(text)
        return inner if isinstance(inner, dict) else {}
    if isinstance(found.get("settings"), dict):
        # The chart's values, which Helm users write in its manner.
        # What is empty there is not set.
        values = {_snake(name): value for name, value in found["settings"].items() if value not in ("", None)}
        values["runtimes"] = [
            {_snake(name): value for name, value in runtime.items()} for runtime in values.get("runtimes") or []
        ] or list(Settings.model_fields["runtimes"].default)
        return values
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
