"""What is done to other people's manifests before they are applied."""

from typing import Any

import pytest

from e2e.stack.component import parse_manifests
from e2e.stack.component import set_images

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, creationTimestamp: null}
spec:
  template:
    spec:
      initContainers: [{name: first, image: upstream/first:1, imagePullPolicy: Always}]
      containers: [{name: main, image: "upstream/main:1"}]
---
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
"""


def test_every_image_is_replaced_and_none_is_pulled() -> None:
    objects = parse_manifests(MANIFEST)
    set_images(objects, {"upstream/first:1": "localhost/first:h", "upstream/main:1": "localhost/main:h"})
    pod: dict[str, Any] = objects[0]["spec"]["template"]["spec"]
    assert [one["image"] for one in pod["initContainers"] + pod["containers"]] == [
        "localhost/first:h",
        "localhost/main:h",
    ]
    assert {one["imagePullPolicy"] for one in pod["initContainers"] + pod["containers"]} == {"IfNotPresent"}


def test_an_image_that_we_do_not_have_is_refused() -> None:
    with pytest.raises(KeyError, match="upstream/main:1"):
        set_images(parse_manifests(MANIFEST), {"upstream/first:1": "localhost/first:h"})


def test_empty_documents_and_empty_timestamps_are_dropped() -> None:
    objects = parse_manifests(MANIFEST)
    assert [found["metadata"] for found in objects] == [{"name": "a"}, {"name": "b"}]
