"""The chart as it renders, for tests to look into."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
from functools import cache
from functools import cached_property
from typing import Any

import yaml

from charts import generate

Json = dict[str, Any]


class Rendered:
    """All objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def objects(self) -> list[Json]:
        """As they are read."""
        return [one for one in map(_read, self.documents) if one]

    @property
    def documents(self) -> list[str]:
        """The text of each. Only between two of them a line is just this."""
        return re.split(r"^---$", self.text, flags=re.MULTILINE)

    def all(self, kind: str) -> list[Json]:
        """The objects of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str) -> Json:
        """The only object of a kind."""
        (found,) = self.all(kind)
        return found

    @property
    def pod(self) -> Json:
        """The pod template of the operator's Deployment."""
        template: Json = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Json:
        """The operator's container."""
        (found,) = self.pod["spec"]["containers"]
        return dict(found)

    @property
    def settings_text(self) -> str:
        """The operator's settings file."""
        (found,) = [one["data"]["settings.yaml"] for one in self.all("ConfigMap") if "settings.yaml" in one["data"]]
        return str(found)

    @property
    def settings(self) -> Json:
        """What is in it."""
        loaded: Json = yaml.safe_load(self.settings_text)
        return loaded


def _read(document: str) -> Json | None:
    """Objects of one's own, though most documents, and the largest, are the same in every rendering."""
    found: Json | None = pickle.loads(_pickled(document))  # noqa: S301 (from ourselves)
    return found


@cache
def _pickled(document: str) -> bytes:
    return pickle.dumps(yaml.load(document, yaml.CSafeLoader))


def render(values: Json | None = None) -> Rendered:
    """The chart with some values, named as ``--set`` names them."""
    return Rendered(_rendered(*arguments(values or {})))


@cache
def _rendered(*arguments: str) -> str:
    return generate.render(*arguments)


def without_crds(*names: str) -> Json:
    """Values that leave out the CRDs, half of Helm's time, where none of these names is about them."""
    return {} if any(name.split(".")[0] == "crds" for name in names) else {"crds.install": False}


def refusal(values: Json) -> str:
    """What Helm says against these values."""
    try:
        generate.render(*arguments(values))
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    raise AssertionError(f"Helm accepts {values}")


def arguments(values: Json) -> list[str]:
    """Helm's options for these values."""
    return [f"--set-json={name}={json.dumps(value)}" for name, value in values.items()]
