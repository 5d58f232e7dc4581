from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serin.api.reasons import Reason
from serin.api.status import Phase
from serin.cli import follow as following
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.follow import Away
from serin.cli.follow import Deadline
from serin.cli.follow import follow
from serin.cli.reach import Where
from serin.cli.seen import Seen
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.cli import objects
from tests.unit.cli.api_server import HANG_UP
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.api_server import wire
from tests.unit.cli.conftest import Run
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import rolling

COLLECTION = "GET /apis/serin.dev/v1alpha1/namespaces/payments/modeldeployments"


def told(output: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in output.splitlines()]


def test_one_line_a_change_until_it_is_settled(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling(step=3))
    api.on_watch = [
        # The same once more, but for what no person would notice.
        lambda: api.put(objects.rolling(step=3, stepStartedAt="2026-11-20T22:10:06Z")),
        lambda: api.put(objects.rolling(step=4)),
        lambda: api.put(objects.deployment(message="v13 has all traffic")),
    ]
    watched = serin("watch", "fraud", "--until", "settled", "--timeout", "20s")
    assert watched.exit_code == 0, watched.output
    assert told(watched.stdout) == [
        "fraud Progressing 3/4 | v12 75 %, v13 25 % | step 3/4: 25 % to v13, waiting for the hold to end at "
        "2026-11-20T22:20:05Z; stable v12",
        "fraud Progressing 4/4 | v12 50 %, v13 50 % | step 4/4: 50 % to v13, waiting for the hold to end at "
        "2026-11-20T22:20:05Z; stable v12",
        "fraud Healthy | v12 100 % | v13 has all traffic",
    ]
    assert watched.stdout.startswith("2026-11-20T22:12:30Z fraud ")


def test_machines_get_a_line_of_json_for_each_change(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling(step=3))
    api.on_watch = [
        # Only annotated: the status is the same.
        lambda: api.put({**api.of("fraud"), "metadata": {**api.of("fraud")["metadata"], "annotations": {"a": "b"}}}),
        lambda: api.put(objects.deployment(message="v13 has all traffic")),
    ]
    asked = [{"name": "fraud", "namespace": "payments", "generation": 3, "status": api.of("fraud")["status"]}]
    watched = serin("watch", "fraud", "-o", "json", "--until", "settled", "--timeout", "20s")
    assert watched.exit_code == 0, watched.output
    lines = [json.loads(line) for line in watched.stdout.splitlines()]
    assert lines == [*asked, json.loads(serin("status", "fraud", "-o", "json").stdout)]


def test_machines_are_told_too_that_nobody_answers(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.refuse(f"{COLLECTION}?watch", 503, "starting")
    api.on_watch = [lambda: api.put(objects.deployment())]
    watched = serin("watch", "fraud", "-o", "json", "--until", "settled", "--timeout", "20s")
    assert watched.exit_code == 0, watched.output
    away = json.loads(watched.stdout.splitlines()[1])
    assert away == {"name": "fraud", "namespace": "payments", "error": "starting"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (objects.rejected, 4),
        (lambda: objects.deployment(phase="Suspended", conditions=[]), 4),
        (objects.deployment, 0),
    ],
)
def test_waiting_ends_where_nothing_will_change_by_itself(
    api: ApiServer, serin: Run, change: Callable[[], object], code: int
) -> None:
    api.put(objects.rolling())
    api.on_watch = [lambda: api.put(change())]  # type: ignore[arg-type]
    assert serin("watch", "fraud", "--until", "settled", "--timeout", "20s").exit_code == code


def test_a_state_of_an_earlier_generation_settles_nothing(api: ApiServer, serin: Run) -> None:
    """Between kubectl apply and the operator's first look the old status still says Healthy."""
    api.put(objects.deployment(observedGeneration=2))
    api.on_watch = [lambda: api.put(objects.rejected())]
    watched = serin("watch", "fraud", "--until", "settled", "--timeout", "20s")
    assert watched.exit_code == 4
    assert "Healthy (of an earlier generation)" in watched.stdout


def test_a_timeout(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    watched = serin("watch", "fraud", "--until", "settled", "--timeout", "100ms")
    assert watched.exit_code == 5
    assert "fraud is Progressing after 100ms: step 3/4" in " ".join(watched.stderr.split())


def ordered_to_pause() -> Scene:
    scene = rolling({10: "5m"})
    scene.run(60)
    scene.order(Verb.PAUSE, scene.candidate).settle()
    return scene


def awaiting_approval() -> Scene:
    scene = rolling({}, rollout={"steps": [{"weight": 10, "hold": "1m", "approval": True}]})
    scene.run(600)
    return scene


def held_at_its_deadline() -> Scene:
    scene = rolling({10: "5m"}, rollout={"deadline": "1m"})
    scene.run(600)
    return scene


@pytest.mark.parametrize(
    ("scene", "phase", "code"),
    [
        (awaiting_approval, Phase.AWAITING_APPROVAL, 5),
        (ordered_to_pause, Phase.PAUSED, 5),
        (held_at_its_deadline, Phase.PAUSED, 4),
    ],
)
def test_waiting_for_a_person_as_it_was_told_to_is_not_the_end(
    api: ApiServer, serin: Run, scene: Callable[[], Scene], phase: Phase, code: int
) -> None:
    played = scene()
    assert played.status.phase is phase
    api.put(objects.of(played))
    assert serin("watch", "fraud", "--until", "settled", "--timeout", "100ms").exit_code == code


def test_a_time_without_an_end_to_wait_for_is_no_error(api: ApiServer, serin: Run) -> None:
    api.put(objects.deployment())
    watched = serin("watch", "fraud", "--timeout", "100ms")
    assert (watched.exit_code, watched.stderr) == (0, "")
    assert told(watched.stdout) == ["fraud Healthy | v12 100 % | v12 has all traffic"]


def test_a_failure_that_passes_by_itself_ends_no_wait(api: ApiServer, serin: Run) -> None:
    """A registry that is away: the operator goes on once it is back, and nobody has to do anything."""
    scene = healthy()
    away = Problem(Reason.REGISTRY_UNAVAILABLE, "the registry does not answer")
    scene.target, scene.generation = away, scene.generation + 1
    scene.settle()
    assert scene.status.phase is Phase.FAILED
    api.put(objects.of(scene))
    scene.target = resolved(1)
    scene.settle()
    api.on_watch = [lambda: api.put(objects.of(scene))]
    watched = serin("watch", "fraud", "--until", "settled", "--timeout", "20s")
    assert watched.exit_code == 0, watched.output
    assert [line.split()[1] for line in told(watched.stdout)] == ["Failed", "Healthy"]


def test_one_that_is_deleted(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.on_watch = [lambda: api.remove("fraud")]
    watched = serin("watch", "fraud", "--until", "settled", "--timeout", "20s")
    assert watched.exit_code == 3
    assert "was deleted" in watched.stderr


def test_usage(serin: Run) -> None:
    assert serin("watch", "fraud", "--until", "tomorrow").exit_code == 2
    assert serin("watch", "fraud", "--timeout", "soon").exit_code == 2
    assert serin("watch").exit_code == 2


def changes(
    api: ApiServer,
    path: Path,
    count: int,
    pause: Callable[[float], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> list[Seen | Away]:
    """The first changes that a follower sees."""
    session = Where(str(api.kubeconfig(path / "kubeconfig"))).session()
    found: list[Seen | Away] = []
    for change in follow(session, Seen(api.of("fraud")), Deadline(20), pause, clock):
        found.append(change)
        if len(found) == count:
            break
    return found


def steps(found: list[Seen | Away]) -> list[int | str]:
    return [one.step if isinstance(one, Seen) else "away" for one in found]


def test_a_version_that_is_too_old_is_no_end(api: ApiServer, tmp_path: Path) -> None:
    """410 after a compaction: the object is read anew, and what was missed is seen."""
    api.put(objects.rolling(step=1))

    def compact() -> None:
        api.put(objects.rolling(step=2))
        api.forget()

    api.on_watch = [compact, lambda: api.put(objects.rolling(step=3))]
    assert steps(changes(api, tmp_path, 3)) == [1, 2, 3]


def test_an_api_server_that_goes_and_comes_back(api: ApiServer, tmp_path: Path) -> None:
    api.put(objects.rolling(step=1))
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            api.put(objects.rolling(step=2))

    api.refuse(f"{COLLECTION}?watch", HANG_UP)
    api.refuse(f"{COLLECTION}/fraud", 503, times=2)
    api.refuse(f"{COLLECTION}/fraud", HANG_UP)
    assert steps(changes(api, tmp_path, 6, pause)) == [1, "away", "away", "away", "away", 2]
    assert pauses == [0.5, 1, 2, 4]


def test_pauses_do_not_grow_for_ever(api: ApiServer, tmp_path: Path) -> None:
    api.put(objects.rolling())
    api.refuse(f"{COLLECTION}?watch", 500)
    api.refuse(f"{COLLECTION}/fraud", 500, times=20)
    session = Where(str(api.kubeconfig(tmp_path / "kubeconfig"))).session()
    pauses: list[float] = []
    for _ in zip(range(12), follow(session, Seen(api.of("fraud")), Deadline(None), pauses.append), strict=False):
        pass
    assert pauses[-1] == following.LONGEST_PAUSE


@pytest.mark.parametrize("code", [401, 403])
def test_what_will_not_pass_ends_the_watch(api: ApiServer, tmp_path: Path, code: int) -> None:
    api.put(objects.rolling())
    api.refuse(f"{COLLECTION}?watch", code)
    with pytest.raises(CommandError):
        changes(api, tmp_path, 2)


def test_another_object_of_the_same_name_is_not_followed(api: ApiServer, tmp_path: Path) -> None:
    api.put(objects.rolling())

    def replace() -> None:
        body = objects.rolling()
        body["metadata"]["uid"] = "uid-2"
        api.put(body)

    api.on_watch = [replace]
    with pytest.raises(CommandError) as ended:
        changes(api, tmp_path, 2)
    assert ended.value.code is Exit.NOT_FOUND


def test_a_quiet_watch_is_begun_again_where_it_ended(api: ApiServer, tmp_path: Path) -> None:
    api.put(objects.rolling(step=1))
    api.watch_seconds = 0.05
    api.on_watch = [lambda: None, lambda: None, lambda: api.put(objects.rolling(step=2))]
    assert steps(changes(api, tmp_path, 2)) == [1, 2]
    watched = [query["resourceVersion"] for query in api.queries if "watch" in query]
    assert watched == ["101", "101", "101"]


ANSWERS = {
    "a refusal that is cut": wire(503, b"<html>\n<b>away</b>", missing=300),
    "a refusal that is no gzip": wire(503, b"<html>", "Content-Encoding: gzip"),
    "a page": wire(200, b"<html>\n<b>away</b>\n"),
    "a page that is no gzip": wire(200, b"<html>\n", "Content-Encoding: gzip"),
    "a status": wire(200, b'{"kind": "Status", "code": 500, "message": "etcd is away"}\n'),
    "a list": wire(200, b"[]\n"),
    "nothing": wire(200, b"null\n"),
    "too many brackets": wire(200, b"[" * 100_000 + b"\n"),
    "an event about nothing": wire(200, b'{"type": "MODIFIED", "object": null}\n'),
    "an event about another's object": wire(200, b'{"type": "MODIFIED", "object": {"status": "up"}}\n'),
    "an error without a status": wire(200, b'{"type": "ERROR", "object": null}\n'),
    "an error without a number": wire(200, b'{"type": "ERROR", "object": {"code": "500", "message": null}}\n'),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_answers_in_the_api_servers_place_ends_no_watch(api: ApiServer, tmp_path: Path, answer: str) -> None:
    """A load balancer while the API server starts anew."""
    api.put(objects.rolling(step=1))
    api.answer(f"{COLLECTION}?watch", ANSWERS[answer])
    api.on_watch = [lambda: api.put(objects.rolling(step=2))]
    found = changes(api, tmp_path, 3)
    assert steps(found) == [1, "away", 2]
    assert isinstance(found[1], Away)
    assert found[1].reason


def test_a_page_in_place_of_a_watch_is_one_line(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.answer(f"{COLLECTION}?watch", wire(503, b"<html>\n\x1b[31m<b>away</b>", missing=300))
    api.on_watch = [lambda: api.put(objects.deployment())]
    watched = serin("watch", "fraud", "--until", "settled", "--timeout", "20s")
    assert watched.exit_code == 0, watched.output
    assert told(watched.stdout)[1] == "no answer: <html>  [31m<b>away</b>"
    assert len(watched.stdout.splitlines()) == 3


def test_watches_that_end_at_once_are_not_begun_again_at_once(api: ApiServer, tmp_path: Path) -> None:
    """By a proxy that takes an idle connection for a dead one, there were hundreds a second."""
    api.put(objects.rolling(step=1))
    api.watch_seconds = 0
    api.on_watch = [lambda: None] * 7 + [lambda: api.put(objects.rolling(step=2))]
    pauses: list[float] = []
    assert steps(changes(api, tmp_path, 2, pauses.append, lambda: 0.0)) == [1, 2]
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]


def test_what_such_watches_do_not_tell_is_seen_all_the_same(api: ApiServer, tmp_path: Path) -> None:
    api.put(objects.rolling(step=1))
    api.answer(f"{COLLECTION}?watch", wire(200, b""), times=100)

    def pause(_: float) -> None:
        if len(api.wires) == 98:
            api.put(objects.rolling(step=2))

    assert steps(changes(api, tmp_path, 2, pause)) == [1, 2]
    assert len(api.wires) == 98


def test_a_watch_that_lasted_or_told_of_something_is_followed_by_the_next_at_once(
    api: ApiServer, tmp_path: Path
) -> None:
    """And what was wrong before is forgotten."""
    api.put(objects.rolling(step=1))
    api.watch_seconds = 0
    seconds = itertools.chain([0.0, 0.9, 1.0, 1.9, 2.0, 3.0], itertools.repeat(4.0))
    api.on_watch = [
        *[lambda: None] * 3,
        lambda: api.put(objects.rolling(step=2)),
        lambda: None,
        lambda: api.put(objects.rolling(step=3)),
    ]
    pauses: list[float] = []
    assert steps(changes(api, tmp_path, 3, pauses.append, lambda: next(seconds))) == [1, 2, 3]
    # After the first two watches; none after the third, which lasted, and the fourth; then after the fifth.
    assert pauses == [0.5, 1, 0.5]


def test_pauses_grow_too_where_only_the_watch_is_refused(api: ApiServer, tmp_path: Path) -> None:
    api.put(objects.rolling(step=1))
    api.refuse(f"{COLLECTION}?watch", 503, times=4)
    api.on_watch = [lambda: api.put(objects.rolling(step=2))]
    pauses: list[float] = []
    assert steps(changes(api, tmp_path, 6, pauses.append, lambda: 0.0)) == [1, *["away"] * 4, 2]
    assert pauses == [0.5, 1, 2, 4]


def test_an_object_that_rested_for_longer_than_the_server_remembers(api: ApiServer, tmp_path: Path) -> None:
    """Its own version is too old for a watch however often it is read; that of the list is not."""
    api.put(objects.rolling(step=1))
    api.put(objects.deployment("ranking"))
    api.forget()
    api.on_watch = [lambda: None, lambda: api.put(objects.rolling(step=2))]
    pauses: list[float] = []
    assert steps(changes(api, tmp_path, 2, pauses.append)) == [1, 2]
    assert [query["resourceVersion"] for query in api.queries if "watch" in query] == ["101", "102"]
    assert pauses == [0.5]
