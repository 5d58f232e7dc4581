"""Training that a killed run has left, on a real API server."""

from __future__ import annotations

from functools import partial

import pytest

from e2e import scientist
from e2e.cluster.controlplane import ControlPlane
from e2e.stack import models
from e2e.stack import registry
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


def names(kubectl: Kubectl, kind: str) -> list[str]:
    return sorted(one["metadata"]["name"][: len("train-one")] for one in kubectl.list_all(kind, registry.NAMESPACE))


def test_a_model_is_forgotten_when_nobody_registers_versions_of_it_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with ControlPlane() as plane:
        kubectl = Kubectl(plane.kubeconfig)
        plane.kubectl(["create", "namespace", registry.NAMESPACE])
        kubectl.apply([models._job("train-one", "ping pong", "{}"), models._job("train-two", "fraud", "{}")])
        eventually(lambda: names(kubectl, "pods") == ["train-one", "train-two"], "a pod of each")
        left: list[list[str]] = []

        def forgotten(_kubectl: Kubectl, verb: str, path: str, body: Object) -> None:
            assert (verb, path, body) == ("DELETE", "registered-models/delete", {"name": "ping pong"})
            left.extend(map(partial(names, kubectl), ("jobs", "pods")))

        monkeypatch.setattr(scientist, "_call", forgotten)
        scientist.forget(kubectl, "ping pong")
        assert left == [["train-two"], ["train-two"]]
