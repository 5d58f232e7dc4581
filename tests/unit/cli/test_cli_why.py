from __future__ import annotations

import json
from string import Formatter

import pytest

from serin.api.reasons import SENTENCES
from serin.api.reasons import Reason
from serin.api.status import Phase
from serin.cli.remedies import BY_PHASE
from serin.cli.remedies import BY_REASON
from serin.cli.remedies import PLACES
from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.api_server import Json
from tests.unit.cli.conftest import Run

NEVER_OF_READY = {
    # Of other conditions than Ready.
    Reason.RESOLVED,
    Reason.ROUTED,
    Reason.SERVING,
    Reason.CANDIDATE_READY,
    Reason.NO_CANDIDATE,
    # Of a ModelRegistry.
    Reason.REACHABLE,
    # How a rollout ended: in the history.
    Reason.PROMOTED,
    Reason.SUPERSEDED,
    Reason.REVERTED,
    Reason.ABORTED,
    # Of the condition AnalysisPassing; what does not pass is waited for.
    Reason.ANALYSIS_PASSING,
}


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_its_sentence(phase: Phase) -> None:
    assert BY_PHASE[phase]


@pytest.mark.parametrize("reason", sorted(set(Reason) - NEVER_OF_READY))
def test_every_reason_of_ready_or_of_waiting_has_its_sentence(reason: Reason) -> None:
    """Empty only where the phase of the same name says it."""
    assert BY_REASON[reason] or reason in BY_PHASE


def test_nothing_is_told_that_does_not_exist() -> None:
    assert set(BY_REASON) <= set(SENTENCES) - NEVER_OF_READY
    for sentence in (*BY_PHASE.values(), *BY_REASON.values()):
        assert {field for _, field, _, _ in Formatter().parse(sentence)} <= {None, *PLACES}
        assert not sentence or sentence.endswith(".")


def explained(api: ApiServer, serin: Run, body: Json) -> str:
    api.put(body)
    shown = serin("why", "fraud")
    assert shown.exit_code == 0
    assert all(len(line.rstrip()) <= 80 for line in shown.stdout.splitlines())
    return " ".join(shown.stdout.split())


def test_a_rollout(api: ApiServer, serin: Run) -> None:
    told = explained(api, serin, objects.rolling())
    assert told.startswith("fraud in payments is Progressing step 3/4: 25 % to v13, waiting for the hold to end")
    assert "What is declared fraud-detector alias champion = version 13." in told
    assert "Requests, as the gateway has them: v12 75 %, v13 25 %." in told
    assert "It waits for the hold to end at 2026-11-20T22:20:05Z." in told
    assert "The step's hold ends 22:20:05Z (in 7m35s)." in told
    assert "The deadline of the whole rollout is 2026-11-21 01:44Z (in 3h31m)." in told
    assert "serin abort fraud -n payments takes v13 back." in told


def test_a_rollback_names_what_was_taken_back_and_how_to_try_again(api: ApiServer, serin: Run) -> None:
    told = explained(api, serin, objects.rejected())
    assert "What was taken back last fraud-v13-5e6f7a8b, 22:00:05Z (12m25s ago): LoadFailed: container" in told
    assert "serin retry fraud -n payments tries v13 again as it is." in told


def test_what_has_to_be_mended_comes_first(api: ApiServer, serin: Run) -> None:
    message = "there is no ModelRegistry prod in namespace serin-system"
    conditions = [
        objects.condition("Ready", "False", "RegistryNotFound", message),
        objects.condition("Stalled", "True", "RegistryNotFound", message),
        objects.condition("ModelResolved", "False", "RegistryNotFound", message),
    ]
    told = explained(api, serin, objects.deployment(phase="Failed", conditions=conditions, message=message))
    assert f"What that stands for is not known: {message}" in told
    assert (
        "What would change it Correct spec.model.registry, or have the platform team make that ModelRegistry." in told
    )


def test_a_pause(api: ApiServer, serin: Run) -> None:
    paused = {"reason": "Frozen", "message": "check errors failed", "since": "2026-11-20T22:12:00Z"}
    told = explained(api, serin, objects.rolling(phase="Paused", paused=paused))
    assert "It is paused since 22:12:00Z (30s ago): check errors failed" in told
    assert "serin resume fraud -n payments lets it go on" in told


def test_what_an_older_operator_does_not_say_is_not_made_up(api: ApiServer, serin: Run) -> None:
    """Without a reason of its own the rollout stands where Ready says."""
    body = objects.rolling(step=0, phase="Deploying")
    told = explained(api, serin, body)
    assert "What would change it What it waits for moves it on." in told
    assert "serin abort fraud -n payments takes v13 back." in told


def test_a_bake_is_no_hold(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling(step=5, phase="Baking"))
    assert "Bake ends  22:20:05Z (in 7m35s)" in serin("status", "fraud").stdout
    told = explained(api, serin, objects.rolling(step=5, phase="Baking"))
    assert "v13 since 21:44:05Z (28m25s ago), after the last step." in told
    assert "The bake ends 22:20:05Z (in 7m35s)." in told
    assert "hold" not in told.split("What is on its way")[1].replace("waits for the hold to end", "")


def test_for_machines(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling(waitingReason="WaitingForGateway"))
    told = json.loads(serin("why", "fraud", "-o", "json").stdout)
    assert {key: told[key] for key in ("name", "namespace", "phase", "reason")} == {
        "name": "fraud",
        "namespace": "payments",
        "phase": "Progressing",
        "reason": "WaitingForGateway",
    }
    assert [section["title"] for section in told["sections"]] == [
        "fraud in payments is Progressing",
        "What is declared",
        "What serves",
        "What is on its way",
        "What would change it",
    ]
    assert all(section["sentences"] for section in told["sections"])


def test_a_gate_that_warns(api: ApiServer, serin: Run) -> None:
    warning = "the signature breaks clients of v12: input 'age' is string and was double"
    assert f"Its gates warn: {warning}." in explained(api, serin, objects.rolling(warning=warning))


def test_a_state_that_this_version_does_not_know(api: ApiServer, serin: Run) -> None:
    conditions = [objects.condition("Ready", "False", "DeepThought", "six times nine")]
    told = explained(api, serin, objects.deployment(phase="Pondering", conditions=conditions, message="six times nine"))
    assert told.startswith("fraud in payments is Pondering six times nine")


def test_a_history(api: ApiServer, serin: Run) -> None:
    body = api.put(objects.rejected())
    shown = serin("history", "fraud")
    assert [line.split()[:5] for line in shown.stdout.splitlines()][:2] == [
        ["ENDED", "VERSION", "OUTCOME", "TOOK", "WHY"],
        ["2026-11-17", "09:30:00Z", "v13", "RolledBack", "1h5m"],
    ]
    # In a pipe, whole.
    assert (
        "LoadFailed: v13 rejected: pod fraud-v13-5e6f7a8b-predictor-0, container kserve-container ended" in shown.stdout
    )

    assert json.loads(serin("history", "fraud", "-o", "json").stdout) == body["status"]["history"]


def test_no_history(api: ApiServer, serin: Run) -> None:
    api.put(objects.deployment())
    shown = serin("history", "fraud")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "", "no rollout of fraud has ended yet\n")
