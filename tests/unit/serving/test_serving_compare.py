"""What must be written so that an object is as it shall be, and above all when nothing must."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.serving.compare import difference
from serin.serving.compare import merge

Json = dict[str, Any]
KEYS = st.sampled_from(["a", "b", "c", "limits", "requests"])
SCALARS = st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["", "x", "1", "1000m", "2Gi", "2048Mi"]))
WANTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, WANTED, max_size=4)
PATHS = st.lists(st.tuples(KEYS) | st.tuples(KEYS, KEYS), max_size=3)


@pytest.mark.parametrize(
    ("live", "wanted", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        ({"a": [1, 2]}, {"a": [1, 2]}, {}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": [{"n": "x", "default": True}]}, {"a": [{"n": "x"}]}, {}),
        ({"a": [{"n": "x"}, {"n": "y"}]}, {"a": [{"n": "y"}, {"n": "x"}]}, {"a": [{"n": "y"}, {"n": "x"}]}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_difference(live: Json, wanted: Json, patch: Json) -> None:
    assert difference(live, wanted) == patch


@pytest.mark.parametrize(
    ("live", "wanted", "equal"),
    [
        ("1", 1, True),
        ("1", "1000m", True),
        ("500m", "0.5", True),
        ("2Gi", "2048Mi", True),
        ("2G", "2e9", True),
        ("2Gi", "2G", False),
        ("1", 2, False),
        (None, "1", False),
        ("1", "one", False),
    ],
)
def test_amounts_count_and_not_how_a_webhook_writes_them(live: Any, wanted: Any, *, equal: bool) -> None:
    """KServe's defaulting webhook writes objects anew, with quantities in Go's canonical form."""
    for key in ("requests", "limits"):
        for shape in (lambda inner: {"model": {"resources": inner}}, lambda inner: {"containers": [inner]}):
            one, other = shape({key: {"cpu": live}}), shape({key: {"cpu": wanted}})
            assert (difference(one, other) == {}) == equal
    # Elsewhere a text is a text.
    assert difference({"env": [{"value": "1"}]}, {"env": [{"value": "1000m"}]}) != {}


@pytest.mark.parametrize(
    ("live", "wanted", "equal"),
    [
        ("1Gi", "1024Mi", True),
        ("1G", 1_000_000_000, True),
        ("1Gi", "1G", False),
    ],
)
def test_amounts_of_volumes_and_divisors(live: Any, wanted: Any, *, equal: bool) -> None:
    def volumes(size: Any) -> Json:
        return {"volumes": [{"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}]}

    def env(divisor: Any) -> Json:
        return {"env": [{"valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": divisor}}}]}

    for shape in (volumes, env):
        assert (difference(shape(live), shape(wanted)) == {}) == equal


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({}, {"nodeSelector": {}}),
        ({}, {"tolerations": []}),
        ({}, {"hostNetwork": False}),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "a", "effect": ""}]}),
        ({"model": {"readinessProbe": {}}}, {"model": {"readinessProbe": {"initialDelaySeconds": 0}}}),
        ({"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": ""}]}),
        ({"affinity": {}}, {"affinity": {"nodeAffinity": {}}}),
    ],
)
def test_what_go_leaves_out_is_not_missing(live: Json, wanted: Json) -> None:
    assert difference(live, wanted) == {}
    assert difference(live, wanted, [("containers",)]) == {}


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({"nodeSelector": {"gpu": "no"}}, {"nodeSelector": {"gpu": ""}}),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": []}),
        ({"nodeSelector": {}}, {"nodeSelector": {"node-role.kubernetes.io/gpu": ""}}),
        ({"hostNetwork": True}, {"hostNetwork": False}),
        # Where nothing is said, these are true, and half a minute.
        ({}, {"automountServiceAccountToken": False}),
        ({}, {"terminationGracePeriodSeconds": 0}),
        ({"env": [{"name": "A"}]}, {"env": [{"name": "A", "value": "1"}]}),
    ],
)
def test_what_is_empty_is_put_right_where_something_else_is_said(live: Json, wanted: Json) -> None:
    assert difference(live, wanted) == wanted


def test_what_is_empty_takes_away_what_somebody_added_by_hand() -> None:
    foreign = [("nodeSelector", "gpu"), ("tolerations",)]
    live = {"nodeSelector": {"gpu": "yes"}, "tolerations": [{"key": "a"}]}
    wanted: Json = {"nodeSelector": {}, "tolerations": []}
    assert difference(live, wanted, foreign) == {"nodeSelector": {"gpu": None}, "tolerations": []}


def test_what_somebody_added_by_hand_goes_and_what_a_webhook_added_stays() -> None:
    live = {"model": {"name": "", "image": "evil", "runtime": "r"}, "nodeName": "n"}
    wanted = {"model": {"runtime": "r"}}
    foreign = [("model", "image"), ("nodeName",), ("model", "runtime"), ("gone",)]
    assert difference(live, wanted, foreign) == {"model": {"image": None}, "nodeName": None}


def test_of_what_is_removed_no_empty_object_stays() -> None:
    live = {"model": {"lifecycle": {"preStop": {"exec": {}}}}, "behavior": {"scaleDown": {"window": 5}, "scaleUp": {}}}
    foreign = [("behavior", "scaleDown", "window"), ("model", "lifecycle", "preStop", "exec")]
    assert difference(live, {"model": {}}, foreign) == {"model": {"lifecycle": None}, "behavior": None}


def test_a_list_that_somebody_wrote_by_hand_is_put_back_to_the_last_field() -> None:
    live = {"rules": [{"backendRefs": ["a"], "filters": ["redirect"]}]}
    wanted = {"rules": [{"backendRefs": ["a"]}]}
    assert difference(live, wanted) == {}
    assert difference(live, wanted, [("rules",)]) == wanted
    assert difference(live, wanted, defaulted_lists=False) == wanted


def test_a_field_of_an_element_that_is_not_wanted_any_more_goes() -> None:
    live = {"parentRefs": [{"name": "g", "sectionName": "https"}]}
    wanted = {"parentRefs": [{"name": "g"}]}
    assert difference(live, wanted, defaulted_lists=False) == wanted


@pytest.mark.parametrize("defaulted_lists", [False, True])
@given(live=OBJECTS, wanted=OBJECTS, foreign=PATHS)
def test_once_is_enough(live: Json, wanted: Json, foreign: list[tuple[str, ...]], *, defaulted_lists: bool) -> None:
    before = json.dumps([live, wanted])
    patch = difference(live, wanted, foreign, defaulted_lists=defaulted_lists)
    after = merge(live, patch)
    assert difference(after, wanted, foreign, defaulted_lists=defaulted_lists) == {}
    assert json.dumps([live, wanted]) == before, "arguments are not changed"
    for path in foreign:
        assert _get(after, path) is None or _get(wanted, path) is not None, "a foreign field stayed"


@given(live=OBJECTS, patch=OBJECTS)
def test_merge_gives_what_a_merge_patch_says(live: Json, patch: Json) -> None:
    after = merge(live, patch)
    assert merge(after, patch) == after
    assert difference(after, patch) == {}
    assert set(after) == set(live) | set(patch)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # Examples of RFC 7386, appendix A, whose targets and patches are objects.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_as_the_rfc_has_it(target: Json, patch: Json, result: Json) -> None:
    assert merge(target, patch) == result


def _get(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
