"""RolloutPolicies, told by watches and lists in another order than it happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from serin.api.kinds import ROLLOUT_POLICY
from serin.api.kinds import Kind
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.controller.cache import Parents
from serin.controller.policies import Policies
from serin.controller.queue import Queue
from serin.rollout.observed import Declared
from tests.unit.controller.fake_api import FakeApi

Json = dict[str, Any]
HOME = "serin-system"
SPEC = ModelDeploymentSpec.model_validate({"model": {"name": "fraud-detector", "version": 1}})


class Busy(FakeApi):
    """Something happens between a list and its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Any] = []

    async def pages(self, kind: Kind, *, namespace: str | None = None, selector: str = "") -> AsyncIterator[list[Json]]:
        found = [page async for page in super().pages(kind, namespace=namespace, selector=selector)]
        for happens in self.meanwhile:
            happens()
        for page in found:
            yield page


class Home:
    """The operator's own namespace, with the policy ``default``."""

    def __init__(self) -> None:
        self.api, self.queue, self.parents = Busy(), Queue(), Parents()
        self.policies = Policies(HOME, self.queue, self.parents)
        self.put(10)

    def put(self, weight: int) -> Json:
        spec = {"steps": [{"weight": weight, "hold": "1m"}]}
        return self.api.put(ROLLOUT_POLICY, {"metadata": {"name": "default", "namespace": HOME}, "spec": spec})

    def weight(self) -> int | None:
        """Of the first step of a rollout that starts now; None where it has none, and goes straight to everything."""
        declared = self.policies.declared(SPEC)
        assert isinstance(declared, Declared)
        return declared.rollout.steps[0].weight if declared.rollout.steps else None

    def remove(self) -> Json:
        before = self.api.of(ROLLOUT_POLICY, HOME, "default")
        self.api.remove(ROLLOUT_POLICY, HOME, "default")
        return before


async def test_a_policy_that_is_replaced_is_never_forgotten() -> None:
    """The deletion of the former one may be told last. Without its policy a rollout goes straight to 100 %."""
    home = Home()
    await home.policies.refresh(home.api.client)
    old, new = home.remove(), home.put(20)
    home.policies.take("ADDED", new)
    home.policies.take("DELETED", old)
    assert home.weight() == 20
    home.policies.take("DELETED", new)
    assert home.weight() is None


async def test_a_list_that_is_older_than_the_watch_changes_no_policy() -> None:
    home = Home()
    await home.policies.refresh(home.api.client)
    home.api.meanwhile.append(lambda: home.policies.take("MODIFIED", home.put(5)))
    await home.policies.refresh(home.api.client)
    assert home.weight() == 5


async def test_a_list_that_is_older_than_a_deletion_brings_no_policy_back() -> None:
    home = Home()
    await home.policies.refresh(home.api.client)
    home.api.meanwhile.append(lambda: home.policies.take("DELETED", home.remove()))
    await home.policies.refresh(home.api.client)
    assert home.weight() is None


async def test_a_policy_that_is_made_again_while_the_lists_are_read_counts() -> None:
    home = Home()
    await home.policies.refresh(home.api.client)
    old = home.remove()

    def again() -> None:
        home.policies.take("DELETED", old)
        home.policies.take("ADDED", home.put(20))

    home.api.meanwhile.append(again)
    await home.policies.refresh(home.api.client)
    assert home.weight() == 20


async def test_a_deletion_that_no_watch_told_is_seen_by_the_next_list() -> None:
    home = Home()
    await home.policies.refresh(home.api.client)
    home.remove()
    await home.policies.refresh(home.api.client)
    assert home.weight() is None
