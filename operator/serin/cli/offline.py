"""The operator's settings without the operator: from the chart's values, its ConfigMap, or the file in that."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import PydanticBaseSettingsSource

from serin.api.modeldeployment import GatewayRef
from serin.cli.documents import documents
from serin.cli.documents import named
from serin.cli.documents import parsed
from serin.cli.exits import CommandError
from serin.rollout.observed import Platform
from serin.settings import Settings
from serin.settings import platform

Json = dict[str, Any]


KEY = "settings.yaml"
"""Key of the chart's ConfigMap."""
VALUES = frozenset({"settings", "image"})
"""By these the chart's values are known; an image they have to name, settings they need not."""
GATEWAY = GatewayRef(name="public", namespace="gateways")


class Written(Settings):
    """Settings as they are written: variables around the command line say nothing of the operator's."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, and nothing else."""
        return (init_settings,)


def platform_of(file: str | None) -> Platform:
    """What the settings say for all ModelDeployments; without a file the chart's values and a made-up gateway."""
    if file is None:
        return platform(Settings.model_construct(gateways=(GATEWAY,)))
    found = documents(file)
    if len(found) != 1:
        raise CommandError(f"{named(file)} must hold one document with settings; it has {len(found)}")
    raw = _settings(found[0], file)
    try:
        return platform(Written.model_validate(raw))
    except ValidationError as error:
        wrong = "\n".join(f"  {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise CommandError(
            f"the settings in {named(file)} are not valid:\n{wrong}", "charts/serin/README.md lists them."
        ) from error


def _settings(found: Json, file: str) -> Json:
    """The settings as the operator reads them."""
    if found.get("kind") == "ConfigMap":
        return _inner(found.get("data"), file)
    written = found.get("settings") or {}
    if isinstance(written, dict) and found.keys() & VALUES:
        # The chart's values, which Helm users write in its manner. What is empty there is not set.
        values = {_snake(name): value for name, value in written.items() if value not in ("", None)}
        runtimes = values.get("runtimes") or list(Settings.model_fields["runtimes"].default)
        values["runtimes"] = [_snakes(one) for one in runtimes] if isinstance(runtimes, list) else runtimes
        return values
    return found


def _inner(data: object, file: str) -> Json:
    """The settings in the operator's ConfigMap."""
    text = data.get(KEY) if isinstance(data, dict) else None
    if not isinstance(text, str):
        raise CommandError(f"the ConfigMap in {named(file)} has no key {KEY} with a text: it is not the operator's")
    source = f"{KEY} of the ConfigMap in {named(file)}"
    inner = parsed(text, source)
    if len(inner) > 1 or not all(isinstance(one, dict) for one in inner):
        raise CommandError(f"{source} must hold one mapping with settings")
    return inner[0] if inner else {}


def _snakes(runtime: object) -> object:
    return {_snake(name): value for name, value in runtime.items()} if isinstance(runtime, dict) else runtime


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
