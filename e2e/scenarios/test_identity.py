"""Names that meet: two of the same name, one that follows another of its name, and a namespace that goes."""

import time

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import World
from e2e.scenarios.world import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

# Kubernetes looks at a namespace anew when half of its pods' grace is over (pkg/controller/namespace/deletion
# estimateGracefulTermination), and theirs is over two minutes.
SHORT_GRACE = {"terminationGracePeriodSeconds": 20}


def test_same_name_in_two_namespaces(world: World, room: Room) -> None:
    other = Room(world, f"{room.namespace}-b")
    try:
        here, there = room.deployment(version=GOOD), other.deployment(version=BETTER, overrides=SHORT_GRACE)
        here.settled(GOOD)
        there.settled(BETTER)
        with here.traffic(20) as to_here, there.traffic(20) as to_there:
            deleted = time.time()
            there.delete_itself("--wait=true")
            wait_until("its pods are gone", lambda: not there.pods(), 60)
        # Deleted by a foreground wait, which no finalizer of ours held up, and only the one that was meant.
        assert time.time() - deleted < 60
        assert to_here.failures == []
        assert {answer.version for answer in to_here.answers()} == {"v1"}
        assert {answer.version for answer in to_there.answers()} <= {"v2", None}
        assert here.watch.latest is not None
        assert here.watch.latest.settled("v1")
    finally:
        other.close()
    # A namespace with a ModelDeployment's leavings in it goes as well.
    world.namespace_goes(other.namespace, 60)


@pytest.mark.starting(version=GOOD)
def test_deleted_and_created_in_one_breath(ping: Deployment, room: Room) -> None:
    first = ping.settled(GOOD)
    service = ping.get("inferenceservice", ping.revision("v1"))
    ping.delete_itself("--wait=false")
    room.world.kubectl.apply([ping.manifest])
    again = ping.until(
        "the new one serves",
        lambda seen: seen.settled("v1") and seen.body["metadata"]["uid"] != first.body["metadata"]["uid"],
        seconds=120,
    )
    # A new object: nothing is carried over from the old one, and what serves belongs to the new one.
    assert len(again.status["history"]) == 1
    assert again.status["stable"]["since"] > first.status["stable"]["since"]
    owned = ping.get("inferenceservice", ping.revision("v1"))
    assert owned is not None
    assert service is not None
    assert owned["metadata"]["ownerReferences"][0]["uid"] == again.body["metadata"]["uid"]
    with ping.traffic(20) as traffic:
        wait_until("some requests are answered", lambda: len(traffic.answers()) >= 20, 20)
    assert traffic.failures == []


@pytest.mark.starting(alias=GOOD, steps=[(50, "10m")], overrides=SHORT_GRACE)
def test_namespace_goes_with_a_rollout_under_way(ping: Deployment, room: Room) -> None:
    moved = time.time()
    ping.move_alias(BETTER)
    ping.step(1, since=moved)
    room.close()
    room.world.namespace_goes(room.namespace, 90)
