"""The caches: what watches, lists and answers say, in whatever order they come."""

from __future__ import annotations

from typing import Any

import pytest

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import POD
from serin.api.kinds import REVISION_LABEL
from serin.controller.cache import TOMBSTONES
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.cache import Tombstones
from serin.controller.queue import Key
from serin.rollout.orders import Verb

Json = dict[str, Any]
FRAUD, SPAM = Key("n", "fraud"), Key("n", "spam")


def parent(version: int, uid: str = "u", name: str = "fraud", **parts: Any) -> Json:
    metadata = {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version), "generation": 1}
    return {"metadata": {**metadata, **parts.pop("metadata", {})}, **parts}


def child(version: int, uid: str = "u", of: str | None = "fraud", name: str = "x", **parts: Any) -> Json:
    labels = {} if of is None else {DEPLOYMENT_LABEL: of}
    return parent(version, uid, name, metadata={"labels": labels, **parts.pop("metadata", {})}, **parts)


def names(children: Children, key: Key) -> set[str]:
    return set(children.of(key).of(INFERENCE_SERVICE))


def test_the_newer_one_counts() -> None:
    parents = Parents()
    assert parents.put(parent(9, spec={"a": 1}))
    assert not parents.put(parent(10, spec={"a": 1})), "nothing that matters is different"
    assert not parents.put(parent(8, spec={"a": 0}))
    body = parents.get(FRAUD)
    assert body is not None
    # 10 is newer than 9, though not as text; and it is the version that writes have to name.
    assert (body["spec"], body["metadata"]["resourceVersion"]) == ({"a": 1}, "10")
    assert parents.put(parent(11, spec={"a": 2}))


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "x"}},
        {"metadata": {"annotations": {Verb.ABORT.annotation: "b"}}},
        {"metadata": {"deletionTimestamp": "t"}},
    ],
)
def test_what_matters(change: Json) -> None:
    parents = Parents()
    parents.put(parent(1))
    assert parents.put(parent(2, **change))


def test_managed_fields_do_not_matter_and_are_not_kept() -> None:
    parents = Parents()
    parents.put(parent(1))
    assert not parents.put(parent(2, metadata={"managedFields": [{"manager": "x"}]}))
    assert "managedFields" not in str(parents.get(FRAUD))


def test_what_others_note_on_it_does_not_matter_and_is_not_kept() -> None:
    """kubectl keeps the whole object in an annotation."""
    parents = Parents()
    parents.put(parent(1))
    theirs = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}, "labels": {"team": "x"}}
    assert not parents.put(parent(2, metadata=theirs))
    assert "kubectl" not in str(parents.get(FRAUD))


def test_what_is_gone_does_not_come_back_by_a_late_answer() -> None:
    parents = Parents()
    parents.put(parent(1))
    assert parents.drop(FRAUD, "u")
    assert not parents.put(parent(5, spec={"late": True}))
    assert parents.get(FRAUD) is None
    assert parents.put(parent(6, uid="another"))
    assert not parents.drop(FRAUD, "u"), "the one of before is not the one that is known"
    assert parents.get(FRAUD) is not None


def test_what_was_there_before_does_not_take_the_place_of_what_came_after() -> None:
    """The deletion in between may have been missed."""
    parents = Parents()
    parents.put(parent(10, uid="new"))
    assert not parents.put(parent(5, uid="old"))
    body = parents.get(FRAUD)
    assert body is not None
    assert body["metadata"]["uid"] == "new"


def test_children_are_found_by_their_parent() -> None:
    children = Children()
    assert children.put(INFERENCE_SERVICE, child(1, "u1", name="a", spec={"replicas": 1})) == FRAUD
    assert children.put(HTTP_ROUTE, child(1, "u2", name="a")) == FRAUD
    assert children.put(INFERENCE_SERVICE, child(1, "u3", of="spam", name="b")) == SPAM
    assert children.put(INFERENCE_SERVICE, child(1, "u4", of=None, name="c")) is None
    live = children.of(FRAUD)
    assert set(live.of(INFERENCE_SERVICE)) == set(live.of(HTTP_ROUTE)) == {"a"}
    assert (live.of(INFERENCE_SERVICE)["a"].spec, live.of(INFERENCE_SERVICE)["a"].resource_version) == (
        {"replicas": 1},
        "1",
    )
    assert children.put(INFERENCE_SERVICE, child(2, "u1", name="a", spec={"replicas": 1})) is None
    assert children.of(FRAUD).of(INFERENCE_SERVICE)["a"].resource_version == "2"
    assert children.drop(INFERENCE_SERVICE, child(3, "u1", name="a")) == FRAUD
    assert names(children, FRAUD) == set()
    assert children.drop(INFERENCE_SERVICE, child(3, "u1", name="a")) is None
    assert children.of(Key("n", "unknown")).objects == {}


def test_pods_as_decisions_need_them() -> None:
    children = Children()
    labels = {DEPLOYMENT_LABEL: "fraud", REVISION_LABEL: "fraud-v1-0"}
    ready = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T12:00:00Z"}]}
    pod = child(1, name="p", metadata={"labels": labels}, status={**ready, "podIP": "10.0.0.1"}, spec={"much": "text"})
    assert children.put(POD, pod) == FRAUD
    (found,) = children.of(FRAUD).replicas
    assert (found.revision, found.ready_since is not None) == ("fraud-v1-0", True)
    # An address, an image, a probe's time: no reason to look.
    other = child(
        2, name="p", metadata={"labels": labels}, status={**ready, "podIP": "10.0.0.2"}, spec={"other": "text"}
    )
    assert children.put(POD, other) is None
    given = child(3, name="p", of="spam", metadata={"labels": {**labels, DEPLOYMENT_LABEL: "spam"}}, status=ready)
    assert children.put(POD, given) == SPAM, "to another parent, by hand"
    assert (children.of(FRAUD).replicas, children.of(SPAM).replicas) == ((), (found,))
    going = {"labels": given["metadata"]["labels"], "deletionTimestamp": "2026-11-20T12:00:00Z"}
    assert children.put(POD, child(4, name="p", metadata=going, status=ready)) == SPAM
    assert children.of(SPAM).replicas == ()


def test_an_inference_service_is_looked_at_when_kserve_refuses_it_and_not_for_each_of_its_pods() -> None:
    children = Children()
    model: Json = {"transitionStatus": "InProgress", "copies": {"totalCopies": 0}}
    assert children.put(INFERENCE_SERVICE, child(1, status={"modelStatus": model})) == FRAUD
    loaded = {"transitionStatus": "UpToDate", "copies": {"totalCopies": 1}}
    assert children.put(INFERENCE_SERVICE, child(2, status={"modelStatus": loaded})) is None
    refused = {"transitionStatus": "InvalidSpec", "lastFailureInfo": {"reason": "RuntimeDisabled", "message": "no"}}
    assert children.put(INFERENCE_SERVICE, child(3, status={"modelStatus": refused})) == FRAUD
    assert children.put(INFERENCE_SERVICE, child(4, status={"modelStatus": refused, "url": "http://x"})) is None
    assert children.put(INFERENCE_SERVICE, child(5, status={"modelStatus": loaded})) == FRAUD


def test_a_child_that_lost_its_label_is_as_good_as_gone_until_it_has_it_back() -> None:
    """A watch with a selector says DELETED of an object that only lost its label."""
    children = Children()
    children.put(INFERENCE_SERVICE, child(1))
    assert children.drop(INFERENCE_SERVICE, child(2, of=None)) == FRAUD
    assert names(children, FRAUD) == set()
    assert children.put(INFERENCE_SERVICE, child(1)) is None, "a late answer"
    assert children.put(INFERENCE_SERVICE, child(3)) == FRAUD
    assert names(children, FRAUD) == {"x"}


def test_a_child_read_live_without_its_label_is_not_known_any_more() -> None:
    children = Children()
    children.put(INFERENCE_SERVICE, child(1))
    assert children.put(INFERENCE_SERVICE, child(2, of=None)) == FRAUD
    assert names(children, FRAUD) == set()


def test_a_late_word_of_a_deletion_removes_nothing_newer() -> None:
    children = Children()
    children.put(INFERENCE_SERVICE, child(5))
    assert children.drop(INFERENCE_SERVICE, child(2)) is None
    assert names(children, FRAUD) == {"x"}


def test_a_child_that_somebody_gave_to_another_parent() -> None:
    children = Children()
    children.put(INFERENCE_SERVICE, child(1))
    assert children.put(INFERENCE_SERVICE, child(2, of="spam")) == SPAM
    assert (names(children, FRAUD), names(children, SPAM)) == (set(), {"x"})
    children.drop(INFERENCE_SERVICE, child(3, of="spam"))
    assert (names(children, FRAUD), names(children, SPAM)) == (set(), set())


def test_what_a_list_did_not_find_is_gone_for_good() -> None:
    children = Children()
    children.put(INFERENCE_SERVICE, child(1))
    assert list(children.known(INFERENCE_SERVICE)) == [(Key("n", "x"), "u")]
    assert children.forget(INFERENCE_SERVICE, Key("n", "x"), "other") is None
    assert children.forget(INFERENCE_SERVICE, Key("n", "x"), "u") == FRAUD
    assert children.put(INFERENCE_SERVICE, child(9)) is None


def test_tombstones_are_limited() -> None:
    stones = Tombstones()
    for number in range(TOMBSTONES + 1):
        stones.add(str(number))
    assert (stones.cover("0", "1"), stones.cover(str(TOMBSTONES), "1")) == (False, True)
