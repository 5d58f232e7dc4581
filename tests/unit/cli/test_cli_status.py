from __future__ import annotations

import json

import pytest

from serin.api.kinds import POD
from serin.api.status import Phase
from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.api_server import Json
from tests.unit.cli.conftest import Run
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling

SCREEN = """\
fraud in payments                                                    Progressing
step 3/4: 25 % to v13, waiting for the hold to end at 2026-11-20T22:20:05Z;
stable v12

Model      fraud-detector alias champion = version 13
URL        http://fraud.payments.example.com
Stable     v12 since 2026-11-17 09:30Z (3d12h ago) 2/2 ready fraud-v12-1a2b3c4d
Candidate  v13 since 21:44:05Z (28m25s ago) 1/1 ready fraud-v13-5e6f7a8b
Traffic    v12 75 %, v13 25 %
Waits for  the hold to end at 2026-11-20T22:20:05Z
Hold ends  22:20:05Z (in 7m35s)
Deadline   2026-11-21 01:44Z (in 3h31m)
Policy     cautious
Try it     x-serin-revision: candidate (a request with this header reaches it)

Step  Weight  Mirror  Always          Hold      Approval
  1      0 %  20 %                    10m                 done
  2      1 %          x-cohort: beta  5m                  done
> 3     25 %                          10m       needed    since 22:10:05Z
  4     50 %                          10m
 end   100 %                          bake 30m

History
v12 Promoted 2026-11-17 09:30Z (3d12h ago): v12 has all traffic

Orders
pause Done 22:05:00Z (7m30s ago) by jane: paused by jane
resume Done 22:05:00Z (7m30s ago) by jane: goes on
"""


NOBODY = objects.condition("Available", "False", "StableUnavailable", "no revision with traffic has a ready replica")
DOWN = objects.condition("Available", "True", "StableUnavailable", "v13 10 %; no replica of the stable v12 is ready")


def traffic(weight: int) -> list[Json]:
    """The candidate's share in percent, and the rest of it."""
    shares = [(objects.STABLE, "v12", 100 - weight), (objects.CANDIDATE, "v13", weight)]
    return [{"revision": name, "version": version, "weight": part} for name, version, part in shares]


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_a_rollout_on_one_screen(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    shown = serin("status", "fraud")
    assert lines(shown.stdout) == lines(SCREEN)
    assert all(len(line) <= 80 for line in lines(shown.stdout))
    assert shown.exit_code == 0


def test_a_rollback_needs_somebody(api: ApiServer, serin: Run) -> None:
    api.put(objects.rejected())
    shown = serin("status", "fraud")
    assert shown.exit_code == 4
    assert "Rejected\nfraud-v13-5e6f7a8b 22:00:05Z (12m25s ago): container kserve-container ended" in shown.stdout
    assert "and 1 more: serin history fraud -n payments" in shown.stdout


def test_texts_of_others_are_taken_as_texts(api: ApiServer, serin: Run) -> None:
    """A pod's last words are on the screen: they neither switch the terminal's colours nor are they markup."""
    api.put(objects.rejected())
    shown = serin("status", "fraud").stdout
    assert "[bold]no[/bold]" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({}, 0),
        ({"phase": "Suspended", "conditions": [objects.condition("Ready", "False", "Suspended")]}, 4),
        ({"conditions": [objects.condition("Stalled", "True", "NoRuntime")]}, 4),
        # Of an earlier generation: the operator has not looked at what is declared now.
        ({"conditions": [objects.condition("Stalled", "True", "NoRuntime")], "observedGeneration": 2}, 0),
        ({"conditions": [objects.condition("Reconciling", "True", "Deploying")]}, 0),
        ({"phase": "Failed", "conditions": [objects.condition("Reconciling", "True", "RegistryUnavailable")]}, 4),
        ({"phase": "Failed", "observedGeneration": 2}, 0),
        # Nobody is served, whatever is under way; a first version takes nothing from anybody.
        ({"phase": "Progressing", "conditions": [NOBODY]}, 4),
        ({"phase": "Deploying", "conditions": [NOBODY], "stable": None}, 0),
        ({"phase": "Progressing", "conditions": [DOWN], "traffic": traffic(10)}, 4),
        ({"phase": "Baking", "conditions": [DOWN], "traffic": traffic(100)}, 0),
    ],
)
def test_the_exit_code_tells_whether_somebody_has_to_act(api: ApiServer, serin: Run, status: Json, code: int) -> None:
    api.put(objects.deployment(**status))
    assert serin("status", "fraud").exit_code == code
    assert serin("status", "fraud", "-o", "json").exit_code == code
    api.put(objects.deployment("well"))
    assert serin("status").exit_code == serin("status", "-A", "-o", "json").exit_code == code, "of any of them"


def test_whoever_serves_nobody_is_told_by_the_exit_code(api: ApiServer, serin: Run) -> None:
    """As the operator says it: nothing is Stalled, since pods may come back by themselves."""
    scene = healthy()
    scene.become_ready = False
    scene.ready(scene.stable, 0).settle()
    assert scene.status.phase is Phase.FAILED
    api.put(objects.of(scene))
    assert serin("status", "fraud").exit_code == 4


def test_the_part_of_a_version_in_use_that_is_down_is_told_by_the_exit_code(api: ApiServer, serin: Run) -> None:
    scene = rolling({10: "1h"})
    scene.run(60)
    scene.become_ready = False
    scene.ready(scene.stable, 0).settle()
    assert (scene.status.phase, scene.weight) == (Phase.PROGRESSING, 10)
    api.put(objects.of(scene))
    assert serin("status", "fraud").exit_code == 4
    scene.ready(scene.stable, 1).settle()
    api.put(objects.of(scene))
    assert serin("status", "fraud").exit_code == 0


def test_json_is_the_status_with_a_name(api: ApiServer, serin: Run) -> None:
    body = api.put(objects.rolling())
    told = json.loads(serin("status", "fraud", "-o", "json").stdout)
    assert told == {"name": "fraud", "namespace": "payments", "generation": 3, "status": body["status"]}
    assert json.loads(serin("status", "-o", "json").stdout) == [told]


def test_what_a_newer_operator_says_is_shown_as_it_is(api: ApiServer, serin: Run) -> None:
    body = objects.deployment(phase="Pondering", conditions=[objects.condition("Ready", "False", "DeepThought")])
    body["status"]["stable"] = {"version": "v12", "aura": "green"}
    body["status"]["traffic"] = "all of it"
    body["status"]["history"] = [{}, None]
    api.put(body)
    shown = serin("status", "fraud")
    assert shown.exit_code == 0
    assert "Pondering" in shown.stdout


def test_a_new_object_without_a_status(api: ApiServer, serin: Run) -> None:
    body = objects.deployment()
    body["status"] = {"observedGeneration": -1}
    api.put(body)
    shown = serin("status", "fraud").stdout
    assert "Pending" in shown
    assert "none: nothing has served yet" in shown
    assert "the operator has not looked at the last change of the spec yet" in shown


def test_pods_in_trouble_are_told(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    pod: Json = {
        "metadata": {
            "name": "fraud-v13-5e6f7a8b-predictor-7d9",
            "namespace": "payments",
            "labels": {"serin.dev/modeldeployment": "fraud", "serin.dev/revision": objects.CANDIDATE},
        },
        "status": {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: Insufficient memory"}
            ],
        },
    }
    api.put(pod, POD)
    other = {**pod, "metadata": {**pod["metadata"], "name": "other", "labels": {"serin.dev/modeldeployment": "x"}}}
    api.put(other, POD)
    shown = " ".join(serin("status", "fraud").stdout.split())
    assert "Pods fraud-v13-5e6f7a8b: pod fraud-v13-5e6f7a8b-predictor-7d9 cannot be scheduled: 0/3 nodes" in shown
    assert "pod other" not in shown


def test_not_to_see_pods_is_no_error(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.refuse("GET /api/v1/namespaces/payments/pods", 403)
    shown = serin("status", "fraud")
    assert shown.exit_code == 0
    assert "cannot be looked at: you may not list pods here" in shown.stdout


def test_conditions_that_matter(api: ApiServer, serin: Run) -> None:
    told = "no revision with traffic has a ready replica"
    api.put(objects.deployment(conditions=[objects.condition("Available", "False", "StableUnavailable", told)]))
    assert f"Available=False StableUnavailable since 22:00:05Z (12m25s ago): {told}" in " ".join(
        serin("status", "fraud").stdout.split()
    )


def test_a_pause_says_why_and_since_when(api: ApiServer, serin: Run) -> None:
    paused = {"reason": "Frozen", "message": "check errors failed", "since": "2026-11-20T22:12:00Z"}
    body = objects.rolling(phase="Paused", paused=paused)
    body["status"]["conditions"].append(objects.condition("Paused", "True", "Frozen", "check errors failed"))
    api.put(body)
    assert "Paused=" not in serin("status", "fraud").stdout
    assert "Paused     since 22:12:00Z (30s ago): check errors failed" in serin("status", "fraud").stdout


def test_what_the_checks_say(api: ApiServer, serin: Run) -> None:
    body = objects.rolling()
    body["status"]["analysis"] = objects.CHECKS
    api.put(body)
    for verb in ("status", "why"):
        shown = " ".join(serin(verb, "fraud").stdout.split())
        assert (
            "errors Inconclusive: error rate 1.2 % against 1 % of v12 after 150 requests; "
            "evidence against it 1.38 of 40; enough requests 22:14:30Z (in 2m) "
            "margin Error, decides nothing: Prometheus does not answer"
        ) in shown
    # Of a rollout that is long over they are history.
    api.put(objects.deployment(analysis=objects.CHECKS))
    assert "Inconclusive" not in serin("status", "fraud").stdout


def test_an_approval_that_is_awaited(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling(phase="AwaitingApproval"))
    assert "> 3     25 %                          10m       awaited " in serin("status", "fraud").stdout
    api.put(objects.rolling(approvedStep=3))
    assert "> 3     25 %                          10m       given " in serin("status", "fraud").stdout


def test_a_bake_is_the_last_row(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling(step=5, phase="Baking"))
    shown = lines(serin("status", "fraud").stdout)
    assert ">end   100 %                          bake 30m            since 22:10:05Z" in shown
    assert "  3     25 %                          10m       given     done" in shown


def test_what_undo_would_go_back_to(api: ApiServer, serin: Run) -> None:
    warm = {**objects.role("fraud-v11-0a0a0a0a"), "goesAt": "2026-11-20T22:40:00Z"}
    api.put(objects.deployment(previous=warm))
    shown = " ".join(serin("status", "fraud").stdout.split())
    assert (
        "Previous v11 since 2026-11-17 09:30Z (3d12h ago) 2/2 ready fraud-v11-0a0a0a0a, warm until 22:40:00Z" in shown
    )
    api.put(objects.deployment(fallback=objects.role("fraud-v11-0a0a0a0a", ready=0, replicas=0)))
    assert "Before     v11, without replicas fraud-v11-0a0a0a0a" in serin("status", "fraud").stdout


def test_how_the_next_rollout_would_go(api: ApiServer, serin: Run) -> None:
    body = objects.deployment()
    api.put(body)
    assert "Next time  0 % 10m → 1 % 5m → 25 % 10m → 50 % 10m → 100 %" in serin("status", "fraud").stdout
    body["spec"]["rollout"] = {"policy": "cautious"}
    api.put(body)
    assert "Next time  by RolloutPolicy cautious" in serin("status", "fraud").stdout


def test_a_table_of_all(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.put(objects.deployment("churn"))
    api.put(objects.deployment("ranking", "search"))
    one = serin("status")
    assert [line.split()[:6] for line in lines(one.stdout)] == [
        ["NAME", "STABLE", "CANDIDATE", "WEIGHT", "STEP", "PHASE"],
        ["churn", "v12", "-", "-", "-", "Healthy"],
        ["fraud", "v12", "v13", "25", "%", "3/4"],
    ]
    # In a pipe no row is cut.
    assert "2026-11-20T22:20:05Z; stable v12" in one.stdout
    every = serin("status", "-A").stdout
    assert [line.split()[:2] for line in lines(every)] == [
        ["NAMESPACE", "NAME"],
        ["payments", "churn"],
        ["payments", "fraud"],
        ["search", "ranking"],
    ]
    none = serin("status", "-n", "empty")
    assert (none.stderr, none.exit_code) == ("no ModelDeployments in namespace empty\n", 0)


def test_usage(serin: Run) -> None:
    for wrong in (
        ["status", "fraud", "-A"],
        ["status", "-A", "-n", "x"],
        ["status", "-o", "xml"],
        ["statsu"],
        ["status", "--nope"],
    ):
        assert serin(*wrong).exit_code == 2, wrong
