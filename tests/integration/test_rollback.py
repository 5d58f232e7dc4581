"""A candidate that fails is taken back with its own words, and is not tried again until somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager

import pytest

from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import Kind
from tests.integration.kube import Json
from tests.integration.pods import Act
from tests.integration.pods import crash_looping
from tests.integration.pods import failing_download
from tests.integration.pods import pending
from tests.integration.pods import ready
from tests.integration.pods import unschedulable
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import always
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

TRACEBACK = """\
Traceback (most recent call last):
  File "mlserver/model.py", line 1, in load
ModuleNotFoundError: No module named 'lightgbm'
INFO:     Shutting down
INFO:     Application shutdown complete.
"""
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
RUNTIME = Kind("serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes")
CLUSTER_RUNTIME = Kind(
    "serving.kserve.io", "v1alpha1", "ClusterServingRuntime", "clusterservingruntimes", namespaced=False
)
QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas")
NO_ROOM = "0/3 nodes are available: 3 Insufficient memory."
NO_BUCKET = "botocore.errorfactory.NoSuchKey: models/fraud/2 does not exist"

FAILURES: dict[str, tuple[Act, str, tuple[str, ...]]] = {
    # MLServer ends with 0 when a model does not load, so only its log tells.
    "crash loop": (crash_looping(TRACEBACK), "LoadFailed", ("exit code 0", "No module named 'lightgbm'")),
    "crash loop with a code": (crash_looping(TRACEBACK, exit_code=137), "LoadFailed", ("exit code 137",)),
    "download": (failing_download(NO_BUCKET), "DownloadFailed", ("storage-initializer", NO_BUCKET)),
    "no room": (unschedulable(NO_ROOM), "Unschedulable", ("not ready within 10s", NO_ROOM)),
    "never ready": (pending(), "StartupDeadlineExceeded", ("not ready within 10s",)),
}


def rolled_back(deployed: Deployed, reason: str, words: tuple[str, ...] = ()) -> Json:
    """Wait for the end of a rollback, and check that it says why."""
    status = deployed.phase("RolledBack")
    assert status["message"].startswith("v2 rejected: ")
    assert status["message"].endswith("; serving v1")
    for word in words:
        assert word in status["message"]
    assert status["rejected"][0]["reason"] == reason
    assert status["rejected"][0]["version"] == "v2"
    entry = status["history"][0]
    assert (entry["outcome"], entry["reason"], entry["version"]) == ("RolledBack", reason, "v2")
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert conditions["Ready"] == ("False", "RolledBack")
    assert conditions["Stalled"] == ("True", "RolledBack")
    assert conditions["Available"] == ("True", "Serving")
    assert "Reconciling" not in conditions
    assert list(deployed.weights().values()) == [100]
    return status


@pytest.mark.parametrize(("act", "reason", "words"), FAILURES.values(), ids=FAILURES)
def test_candidate_that_cannot_start(scene: Scene, act: Act, reason: str, words: tuple[str, ...]) -> None:
    """It never gets a request, and what it made goes."""
    late = "not ready within 10s" in words
    deployed = scene.healthy(serving={"startupDeadline": "10s" if late else "10m"})
    scene.stage.pods(scene.namespace, "fraud-v2", act)
    since = deployed.body["metadata"]["resourceVersion"]
    deployed.declare(2)
    rolled_back(deployed, reason, words)
    eventually(lambda: len(scene.revisions()) == 1, "only the stable revision is left")
    for state in scene.kube.history(INFERENCE_SERVICE, scene.namespace, since):
        assert state["metadata"]["name"].startswith(("fraud-v1", "fraud-v2"))
    events = scene.kube.request("GET", f"/apis/events.k8s.io/v1/namespaces/{scene.namespace}/events")["items"]
    told = [event for event in events if event["reason"] == "RolledBack"]
    assert len(told) == 1
    assert told[0]["type"] == "Warning"


@contextmanager
def missing_account(scene: Scene) -> Iterator[Json]:
    """A change to an account that is not there; in the end it is."""
    yield {"serving": {"serviceAccountName": "nobody"}}
    scene.kube.create(SERVICE_ACCOUNT, scene.namespace, {"metadata": {"name": "nobody"}})


@contextmanager
def full_quota(scene: Scene) -> Iterator[Json]:
    """A new version where there is room for the one in use only; in the end there is room for both."""
    body = {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
    scene.kube.create(QUOTA, scene.namespace, body)

    def counted() -> bool:
        found = scene.kube.get(QUOTA, scene.namespace, "few")
        return found is not None and (found.get("status") or {}).get("used") == {"pods": "1"}

    eventually(counted, "the quota counts the pod of the stable revision")
    yield {"model": {"version": 2}}
    scene.kube.patch(QUOTA, scene.namespace, "few", {"spec": {"hard": {"pods": "9"}}})


@pytest.mark.parametrize(
    ("hindrance", "words"),
    [(missing_account, 'serviceaccount "nobody" not found'), (full_quota, "exceeded quota: few")],
)
def test_candidate_whose_pods_are_refused(
    scene: Scene, hindrance: Callable[[Scene], AbstractContextManager[Json]], words: str
) -> None:
    """There is no pod that could tell: its Deployment does, at once and when time is up."""
    deployed = scene.healthy(serving={"startupDeadline": "10s"})
    with hindrance(scene) as change:
        deployed.patch(change)
        waiting = deployed.until(lambda now: words in now["message"], "the API server's words")
        assert waiting["phase"] == "Deploying"
        assert "0 of 1 replicas" in waiting["message"]
        status = deployed.phase("RolledBack")
        assert words in status["message"]
        assert status["rejected"][0]["reason"] == "PodCreationFailed"
        assert list(deployed.weights().values()) == [100]
    # Asked to, it is tried with new pods: Kubernetes itself waits longer after each refusal.
    retry = {"metadata": {"annotations": {"serin.dev/retry": status["rejected"][0]["revision"]}}}
    scene.kube.patch(MODEL_DEPLOYMENT, scene.namespace, "fraud", retry)
    assert deployed.phase("Healthy")["rejected"] == []


def refused(deployed: Deployed, *words: str) -> Json:
    """KServe's words are in the status, long before any deadline."""
    status = deployed.until(lambda now: all(word in now["message"] for word in words), f"it says {words}")
    assert status["phase"] == "Deploying"
    assert deployed.condition("CandidateReady")["reason"] == "BackendRefused"
    return status


def test_runtime_that_is_not_there(scene: Scene) -> None:
    """KServe makes no pods, so it must be KServe who tells; and it goes on by itself when the runtime comes."""
    words = "RuntimeNotRecognized", "there is no ServingRuntime or ClusterServingRuntime late: install it"
    deployed = scene.deploy(version=1, serving={"runtime": "late"})
    refused(deployed, *words)
    shipped = scene.kube.get(CLUSTER_RUNTIME, None, "kserve-mlserver")
    assert shipped is not None
    # Only by its name: two of the same priority would not be let in.
    named = {**shipped["spec"], "supportedModelFormats": [{"name": "mlflow"}]}
    scene.kube.create(RUNTIME, scene.namespace, {"metadata": {"name": "late"}, "spec": named})
    deployed.healthy(1)

    scene.kube.create(RUNTIME, scene.namespace, {"metadata": {"name": "off"}, "spec": {**named, "disabled": True}})
    deployed.patch({"model": {"version": 2}, "serving": {"runtime": "off"}})
    status = refused(deployed, "RuntimeDisabled", "enable the runtime off")
    assert status["candidate"]["version"] == "v2"
    assert list(deployed.weights().values()) == [100]
    scene.kube.patch(RUNTIME, scene.namespace, "off", {"spec": {"disabled": False}})
    deployed.healthy(2)


def test_pods_that_kserve_cannot_declare(scene: Scene) -> None:
    """The API server refuses KServe's Deployment: the runtime's limit is smaller than what is asked for."""
    deployed = scene.healthy()
    deployed.patch({"serving": {"resources": {"requests": {"memory": "9Gi"}}}})
    refused(deployed, "must be less than or equal to memory limit", "correct the runtime")
    assert list(deployed.weights().values()) == [100]
    deployed.patch({"serving": {"resources": {"requests": {"memory": "1Gi"}}}})
    deployed.healthy(1)


def test_rejected_is_not_tried_again_until_it_is_another(scene: Scene) -> None:
    deployed = scene.healthy()
    scene.stage.pods(scene.namespace, "fraud-v2", crash_looping(TRACEBACK))
    deployed.declare(2)
    rejected = rolled_back(deployed, "LoadFailed")["rejected"][0]["revision"]
    scene.stage.pods(scene.namespace, "fraud-v2", ready())
    eventually(lambda: len(scene.revisions()) == 1, "the candidate is gone")

    # Neither a restart nor a change that is no new revision brings it back.
    scene.operator.kill()
    scene.operator.start()
    deployed.patch({"serving": {"minReplicas": 2}})
    deployed.phase("RolledBack")
    always(lambda: scene.revisions() == [deployed.status["stable"]["revision"]], "no second attempt", 2.0)

    # The same version with another environment is another revision.
    deployed.patch({"serving": {"env": [{"name": "FIXED", "value": "1"}]}})
    status = deployed.healthy(2)
    assert status["stable"]["revision"] != rejected
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted", "RolledBack", "Promoted"]


def test_candidate_that_crashes_under_traffic(scene: Scene) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "10m"}]})
    deployed.declare(2)
    deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    scene.stage.pods(scene.namespace, "fraud-v2", crash_looping(TRACEBACK, exit_code=139))
    rolled_back(deployed, "Crashed", ("exit code 139",))


def test_candidate_that_loses_its_replicas_loses_its_traffic(scene: Scene) -> None:
    """Not ready is no crash: the weight goes to 0 at once, and the step begins anew when replicas are back."""
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "10m"}]})
    deployed.declare(2)
    before = deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    scene.stage.pods(scene.namespace, "fraud-v2", pending())
    eventually(lambda: list(deployed.weights().values()) == [100], "all traffic is the stable one's")
    scene.stage.pods(scene.namespace, "fraud-v2", ready())
    after = deployed.until(
        lambda now: now["rollout"].get("stepStartedAt", "") > before["rollout"]["stepStartedAt"], "step 1 anew"
    )
    assert after["rollout"]["step"] == 1
    assert sorted(deployed.weights().values()) == [10, 90]


def test_stable_that_breaks_gives_nothing_to_an_unproven_candidate(scene: Scene) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "2s"}, {"weight": 50, "hold": "2s"}]})
    deployed.declare(2)
    deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    scene.stage.pods(scene.namespace, "fraud-v1", pending())
    deployed.until(lambda now: "a ready replica of the stable v1" in now["rollout"]["waitingFor"], "it waits for v1")
    always(lambda: sorted(deployed.weights().values()) == [10, 90], "the weights stay", 2.0)
    scene.stage.pods(scene.namespace, "fraud-v1", ready())
    deployed.healthy(2)


def test_superseded(scene: Scene) -> None:
    """A third version starts from the beginning against the same stable one."""
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "3s"}]})
    deployed.declare(2)
    deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    deployed.declare(3)
    status = deployed.until(lambda now: now["history"][0]["outcome"] == "Superseded", "v2 is superseded")
    assert status["history"][0]["version"] == "v2"
    assert status["stable"]["version"] == "v1"
    deployed.until(lambda now: now.get("rollout", {}).get("step") == 1, "step 1 of v3")
    assert sorted(deployed.weights().values()) == [10, 90]
    deployed.healthy(3)
    eventually(lambda: len(scene.revisions()) == 1, "v1 and v2 are gone")


def test_reverted(scene: Scene) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "10m"}]})
    first = deployed.status["stable"]
    deployed.declare(2)
    deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    deployed.declare(1)
    status = deployed.healthy(1)
    assert [entry["outcome"] for entry in status["history"]] == ["Reverted", "Promoted"]
    assert status["stable"]["since"] == first["since"]
    assert "rejected" not in status or status["rejected"] == []
    eventually(lambda: scene.revisions() == [first["revision"]], "v2 is gone")
    # It was not at fault: declared again, it is tried again.
    deployed.declare(2)
    deployed.until(lambda now: now.get("rollout", {}).get("step") == 1, "step 1")


def test_previous_stays_warm_and_then_goes(scene: Scene) -> None:
    deployed = scene.healthy(rollout={"keepPrevious": "6s"})
    first = deployed.status["stable"]["revision"]
    deployed.declare(2)
    status = deployed.healthy(2)
    assert status["previous"]["revision"] == first
    assert first in scene.revisions()
    # Back within that time: no new pods are needed.
    service = scene.kube.get(INFERENCE_SERVICE, scene.namespace, first)
    assert service is not None
    deployed.declare(1)
    deployed.healthy(1)
    back = scene.kube.get(INFERENCE_SERVICE, scene.namespace, first)
    assert back is not None
    assert back["metadata"]["uid"] == service["metadata"]["uid"]
    eventually(lambda: scene.revisions() == [first], "v2 went after its time", 30)
    eventually(lambda: "previous" not in deployed.status, "the status says so")


def test_first_version_keeps_trying(scene: Scene) -> None:
    """There is nothing to roll back to."""
    scene.stage.pods(scene.namespace, "fraud-v1", crash_looping(TRACEBACK))
    deployed = scene.deploy(version=1, serving={"startupDeadline": "10s"})
    status = deployed.phase("Failed")
    assert "v1 cannot start" in status["message"]
    assert "No module named 'lightgbm'" in status["message"]
    assert deployed.condition("Stalled")["reason"] == "LoadFailed"
    scene.stage.pods(scene.namespace, "fraud-v1", ready())
    deployed.healthy(1)
