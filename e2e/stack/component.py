"""What a part of the stack is to the installer, and the small things all parts do with their manifests.

A component turns references of images into objects to apply; install.py applies them and waits.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object

_MANIFESTS = Path(__file__).parent / "manifests"


@dataclass(frozen=True)
class Component:
    """A part of the stack."""

    name: str
    images: tuple[str, ...]
    """Names in images.IMAGES."""
    objects: Callable[[Kubectl, Mapping[str, str]], list[Object]]
    """All of its objects in the order to apply them, given the references of its images."""


def own_manifest(name: str) -> list[Object]:
    """The objects of a file in manifests/."""
    return read_manifests(_MANIFESTS / f"{name}.yaml")


def read_manifests(*files: Path) -> list[Object]:
    """The objects of YAML files with any number of documents."""
    return [found for file in files for found in parse_manifests(file.read_text())]


def parse_manifests(text: str) -> list[Object]:
    """The objects of a YAML text with any number of documents."""
    # The C loader: the CRD of InferenceService alone is 2 MB, 20 s in pure Python.
    documents = yaml.load_all(text, Loader=yaml.CSafeLoader)
    return [_without_creation_time(document) for document in documents if document]


def _without_creation_time(found: Object) -> Object:
    # Generated manifests say `creationTimestamp: null`, which server-side apply would own.
    found["metadata"].pop("creationTimestamp", None)
    return found


def namespace(name: str) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def set_images(objects: Iterable[Object], references: Mapping[str, str]) -> None:
    """Replace the image of every container by its reference.

    Raises:
        KeyError: an image that is not among the keys of `references`, so that nothing is pulled from elsewhere.
    """
    for found in objects:
        for container in containers(found):
            container["image"] = references[container["image"]]
            container["imagePullPolicy"] = "IfNotPresent"


def containers(found: Object) -> Iterator[dict[str, Any]]:
    """The containers of a workload, init containers included; nothing for other kinds."""
    spec = found.get("spec", {}).get("template", {}).get("spec", {})
    yield from spec.get("initContainers", [])
    yield from spec.get("containers", [])
