"""What pods say, as kubelets of 1.36 really wrote it, and what may be repeated of it."""

from __future__ import annotations

from datetime import UTC
from datetime import datetime
from typing import Any

import pytest

from serin.api.kinds import REVISION_LABEL
from serin.api.reasons import Reason
from serin.rollout.observed import Failure
from serin.serving.pods import Replica
from serin.serving.pods import health
from serin.serving.pods import last_words
from serin.serving.pods import redact
from serin.serving.pods import replica
from serin.serving.pods import with_words

Json = dict[str, Any]
AT = "2026-11-20T12:00:07Z"
MOMENT = datetime(2026, 11, 20, 12, 0, 7, tzinfo=UTC)


def ended(code: int = 1, reason: str = "Error", message: str | None = None) -> Json:
    told = {} if message is None else {"message": message}
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": AT, "finishedAt": AT, **told}}


def container(
    state: Json, last: Json | None = None, *, restarts: int = 0, ready: bool = False, name: str = "kserve-container"
) -> Json:
    return {
        "name": name,
        "state": state,
        "lastState": last or {},
        "restartCount": restarts,
        "ready": ready,
    }


RUNNING: Json = {"running": {"startedAt": AT}}
LOST = ended(255, "Unknown")
WAITING_INIT: Json = {"waiting": {"reason": "PodInitializing"}}
DOWNLOADED = container(ended(0, "Completed"), ready=True, name="storage-initializer")
AWAY = "requests.exceptions.ConnectionError: mlflow:5000: connection refused"
GONE = "NothingFoundError: the tracking server has nothing at mlflow-artifacts:/1/m-1"


def download(state: Json, last: Json | None = None, *, restarts: int = 0) -> Json:
    """A pod whose storage initializer has not fetched the artifacts yet."""
    return pod(container(WAITING_INIT), init=container(state, last, restarts=restarts, name="storage-initializer"))


def pod(*containers: Json, init: Json | None = None, ready: bool = False, **status: Any) -> Json:
    return {
        "metadata": {"name": "fraud-v2-0-abc", "labels": {REVISION_LABEL: "fraud-v2-0"}},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": AT},
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": AT},
            ],
            "initContainerStatuses": [init if init is not None else DOWNLOADED],
            "containerStatuses": list(containers),
            **status,
        },
    }


def of(body: Json) -> Replica:
    found = replica(body)
    assert found is not None
    return found


def test_a_ready_pod() -> None:
    found = of(pod(container(RUNNING, ready=True), ready=True))
    assert (found.revision, found.ready_since, found.failure) == ("fraud-v2-0", MOMENT, None)


def test_pods_that_do_not_count() -> None:
    body = pod(container(RUNNING, ready=True), ready=True)
    assert replica({**body, "metadata": {**body["metadata"], "deletionTimestamp": AT}}) is None
    assert replica({"metadata": {"name": "a", "labels": {}}, "status": {}}) is None
    assert replica({"metadata": {"name": "a"}}) is None
    assert of({"metadata": {"name": "a", "labels": {REVISION_LABEL: "r"}}}) == Replica("r", "a")


CASES: list[tuple[str, Json, Reason | None, bool]] = [
    ("the download runs", pod(container(WAITING_INIT), init=container(RUNNING)), None, False),
    ("the model is loading", pod(container(RUNNING)), None, False),
    ("first start failed", pod(container(ended())), Reason.LOAD_FAILED, False),
    ("second start runs", pod(container(RUNNING, ended(), restarts=1)), Reason.LOAD_FAILED, False),
    ("second start failed", pod(container(ended(), ended(), restarts=1)), Reason.LOAD_FAILED, True),
    ("third start runs", pod(container(RUNNING, ended(), restarts=2)), Reason.LOAD_FAILED, True),
    (
        "back-off",
        pod(container({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}}, ended(), restarts=1)),
        Reason.LOAD_FAILED,
        True,
    ),
    ("MLServer ends with 0", pod(container(ended(0, "Completed"))), Reason.LOAD_FAILED, False),
    ("first download failed", download(ended()), Reason.DOWNLOAD_FAILED, False),
    ("second download runs", download(RUNNING, ended(), restarts=1), Reason.DOWNLOAD_FAILED, False),
    ("second download failed", download(ended(message=AWAY), ended(), restarts=1), Reason.DOWNLOAD_FAILED, False),
    (
        "downloads back off",
        download({"waiting": {"reason": "CrashLoopBackOff"}}, ended(message=AWAY), restarts=4),
        Reason.DOWNLOAD_FAILED,
        False,
    ),
    ("sixth download runs", download(RUNNING, ended(message=AWAY), restarts=5), Reason.DOWNLOAD_FAILED, False),
    ("sixth download failed", download(ended(message=AWAY), ended(), restarts=5), Reason.DOWNLOAD_FAILED, True),
    ("what is not there, once", download(ended(message=GONE)), Reason.DOWNLOAD_FAILED, False),
    ("what is not there, twice", download(ended(message=GONE), ended(), restarts=1), Reason.DOWNLOAD_FAILED, True),
    (
        "the download worked in the end",
        pod(container(RUNNING), init=container(ended(0, "Completed"), ended(), restarts=1, name="storage-initializer")),
        None,
        False,
    ),
    (
        "the image cannot be pulled",
        pod(container({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})),
        Reason.IMAGE_PULL_FAILED,
        False,
    ),
    (
        "a Secret is missing",
        pod(container({"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "a" not found'}})),
        Reason.CONTAINER_CONFIG_ERROR,
        False,
    ),
    ("evicted", pod(phase="Failed", reason="Evicted", message="low on memory"), Reason.CRASHED, False),
    (
        "ready after two failed starts",
        pod(container(RUNNING, ended(), restarts=2, ready=True), ready=True),
        Reason.LOAD_FAILED,
        False,
    ),
    (
        "evicted after a failed start",
        pod(container(ended(137), ended(), restarts=1), phase="Failed", reason="Evicted"),
        Reason.CRASHED,
        False,
    ),
    ("its node was started anew", pod(container(RUNNING, LOST, restarts=1)), None, False),
    ("the kubelet lost it", pod(container(ended(137, "ContainerStatusUnknown"))), None, False),
    ("255 is an exit code, too", pod(container(ended(255, "Error"))), Reason.LOAD_FAILED, False),
    (
        "a check of the mesh",
        pod(container(WAITING_INIT), init=container(ended(126), ended(126), restarts=6, name="istio-validation")),
        Reason.CRASHED,
        False,
    ),
    (
        "a proxy among the init containers was started again",
        pod(
            container(RUNNING, ready=True), init=container(RUNNING, ended(), restarts=3, ready=True, name="istio-proxy")
        ),
        None,
        False,
    ),
]


@pytest.mark.parametrize(("body", "reason", "hopeless"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_keeps_a_pod_from_serving(body: Json, reason: Reason | None, *, hopeless: bool) -> None:
    failure = of(body).failure
    assert (failure and failure.reason, failure is not None and failure.hopeless) == (reason, hopeless)


def test_an_unschedulable_pod() -> None:
    told = "0/2 nodes are available: 2 Insufficient memory."
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": told}]
    failure = of(pod(conditions=conditions, initContainerStatuses=[], phase="Pending")).failure
    assert failure == Failure(Reason.UNSCHEDULABLE, f"pod fraud-v2-0-abc cannot be scheduled: {told}")


def test_when_a_container_ended_and_in_its_own_words() -> None:
    found = of(pod(container(ended(message="Traceback\nJSONDecodeError: Expecting ',' delimiter\n"))))
    assert found.failure is not None
    assert found.failure.at == MOMENT
    assert found.failure.message == (
        "pod fraud-v2-0-abc, container kserve-container ended (Error, exit code 1): "
        "JSONDecodeError: Expecting ',' delimiter"
    )
    assert found.words is None, "nothing is left to be read from the log"


@pytest.mark.parametrize(("state", "running"), [(ended(), False), (RUNNING, True)])
def test_where_the_last_words_can_be_read(state: Json, *, running: bool) -> None:
    words = of(pod(container(state, ended(), restarts=1))).words
    assert words is not None
    assert (words.pod, words.container, words.running) == ("fraud-v2-0-abc", "kserve-container", running)


@pytest.mark.parametrize("name", ["istio-proxy", "agent"])
def test_a_container_beside_the_model_server_counts_while_it_keeps_the_pod_from_being_ready(name: str) -> None:
    killed = ended(137, "OOMKilled")
    serving = container(RUNNING, ready=True)
    again = container(RUNNING, killed, restarts=3, ready=True, name=name)
    assert of(pod(serving, again, ready=True)).failure is None
    found = of(pod(serving, container(killed, killed, restarts=3, name=name))).failure
    assert found is not None
    assert (found.reason, found.hopeless) == (Reason.CRASHED, False)
    assert found.message == f"pod fraud-v2-0-abc, container {name} ended (OOMKilled, exit code 137)"


def test_a_container_beside_it_does_not_hide_a_model_server_that_ended() -> None:
    later = {"terminated": {**ended()["terminated"], "finishedAt": "2026-11-20T12:05:00Z"}}
    found = of(pod(container(RUNNING, ended(), restarts=1, ready=True), container(later, name="agent"))).failure
    assert found is not None
    assert (found.reason, found.at) == (Reason.LOAD_FAILED, MOMENT)


def test_of_several_containers_the_hopeless_one_speaks() -> None:
    """A sidecar that ended last does not hide a model server that cannot start."""
    sidecar = container(ended(message="SIGTERM"), restarts=1, name="agent")
    failing = container(ended(message="ValueError: no"), ended(), restarts=3)
    failure = of(pod(sidecar, failing)).failure
    assert failure is not None
    assert failure.hopeless
    assert "ValueError: no" in failure.message


def test_what_lasts_counts_more_than_what_is_past() -> None:
    loading = container(RUNNING, ended(), restarts=1)
    pulling = container({"waiting": {"reason": "ErrImagePull", "message": "not found"}}, name="agent")
    failure = of(pod(loading, pulling)).failure
    assert failure is not None
    assert failure.reason is Reason.IMAGE_PULL_FAILED


URI = f"s3://models/{'x' * 400}/artifacts"


@pytest.mark.parametrize(
    ("line", "final"),
    [
        (f"ERROR initialize Could not download {URI}: {GONE}", True),
        ("RuntimeError: Failed to fetch model. No model found in s3://models/1/m-1.", True),
        ("RuntimeError: S3 resource 'models' not found.", True),
        ("RuntimeError: HTTP resource not found at 'https://models.test/1'.", True),
        ("RuntimeError: Access denied to S3 resource 'models'. Verify permissions.", True),
        ("botocore.errorfactory.NoSuchKey: An error occurred (NoSuchKey) when calling the GetObject operation", True),
        ("ClientError: An error occurred (404) when calling the HeadObject operation: Not Found", True),
        ("Exception: Cannot recognize storage type for models:/1", True),
        (f"ERROR initialize Could not download {URI}: {AWAY}", False),
        ("RuntimeError: Failed to connect to S3 endpoint 'models'.", False),
        ("RuntimeError: S3 authentication failed. Set AWS_ACCESS_KEY_ID/AWS_SECRET_ACCESS_KEY", False),
        ("ClientError: An error occurred (503) when calling the GetObject operation: Slow Down", False),
        ("MlflowException: API request failed with error code 502 != 200. Response body: Bad Gateway", False),
        ("OSError: [Errno 28] No space left on device", False),
        ("INFO Copying contents of s3://models/1 to local", False),
    ],
)
def test_which_downloads_need_not_be_tried_for_long(line: str, *, final: bool) -> None:
    """Only by its last words: what is in the log before may have been overcome."""
    failure = of(download(ended(message=f"WARNING access denied to the metadata service\n{line}"), restarts=1)).failure
    assert failure is not None
    assert failure.hopeless == final


def test_health_is_that_of_all_replicas() -> None:
    late = datetime(2026, 11, 20, 13, tzinfo=UTC)
    hopeless = Failure(Reason.LOAD_FAILED, "b", hopeless=True)
    together = health(
        (
            Replica("r", "a", ready_since=late),
            Replica("r", "b", failure=Failure(Reason.UNSCHEDULABLE, "a")),
            Replica("r", "c", failure=hopeless),
            Replica("r", "d", ready_since=MOMENT),
        )
    )
    assert together.ready_since == (MOMENT, late)
    assert (together.ready, together.failures[0]) == (2, hopeless)


LOG = """\
INFO: loading
Traceback (most recent call last):
  File "/app/x.py", line 3, in load
json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 13 (char 12)
INFO: Shutting down
INFO: gRPC server shutdown complete
"""


def test_what_is_past_does_not_hide_what_keeps_a_pod_from_serving_now() -> None:
    """A pod that its node evicted stays as it ended, and one that is ready still tells of its last failed start."""
    evicted = of(pod(phase="Failed", reason="Evicted", message="low on memory"))
    overcome = of(pod(container(RUNNING, ended(137, "OOMKilled"), restarts=1, ready=True), ready=True))
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient memory"}
    waits = of({**pod(), "status": {"phase": "Pending", "conditions": [scheduled]}})
    hopeless = of(pod(container(ended(), ended(), restarts=1)))
    for pods in ((evicted, overcome, waits), (waits, overcome, evicted)):
        assert health(pods).failures[0].reason is Reason.UNSCHEDULABLE
    assert [one.hopeless for one in health((evicted, waits, hopeless)).failures] == [True, False, False]


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (LOG, "json.decoder.JSONDecodeError: Expecting ',' delimiter: line 1 column 13 (char 12)"),
        ("one\ntwo\n\n", "two"),
        ("", ""),
        ("\n \n", ""),
        ("x" * 1000, "x" * 300),
    ],
)
def test_last_words(log: str, words: str) -> None:
    assert last_words(log) == words
    failure = Failure(Reason.LOAD_FAILED, "ended")
    assert with_words(failure, log).message == (f"ended: {words}" if words else "ended")


SECRET = "hunter2Hunter2"


@pytest.mark.parametrize(
    "line",
    [
        f"mlflow at http://bob:{SECRET}@mlflow:5000 said no",
        f"http://bob:p@ss{SECRET}@mlflow:5000",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"secret_access_key: {SECRET}",
        f"ERROR password={SECRET};user=bob",
        f"token = {SECRET}",
        f'{{"password": "{SECRET}", "user": "bob"}}',
        f"{{'aws_secret_access_key': '{SECRET}'}}",
        f'{{"accessKey":"{SECRET}"}}',
        f'password="correct horse {SECRET}"',
        f"Authorization: Bearer {SECRET}.abc-def",
        f"authorization: basic {SECRET}==",
        f"https://bucket.s3/m?X-Amz-Expires=60&X-Amz-Signature={SECRET}&a=b",
        f"https://bucket.s3/m?X-Amz-Credential={SECRET}%2Fus",
        f"https://acc.blob/m?sv=1&sig={SECRET}&se=2",
        f"api_key={SECRET} apikey: {SECRET} api-key={SECRET}",
        f"MLFLOW_TRACKING_PASSWORD={SECRET}",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.c2lnbmF0dXJl",
    ],
)
def test_no_credential_is_repeated(line: str) -> None:
    told = redact(line)
    assert SECRET not in told
    assert "***" in told
    assert redact(told) == told
    assert SECRET not in last_words(f"INFO\n{line}\n")
    assert SECRET not in str(of(pod(container(ended(message=line)))).failure)
    assert SECRET not in str(of(pod(phase="Failed", message=line)).failure)


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: could not convert string to float: 'abc'",
        "s3://models/1/abc: NoSuchBucket",
        "tokenizer.json: not found",
        "KeyError: 'signal'",
        "http://mlflow:5000/api said 500",
    ],
)
def test_what_is_no_credential_is_told_as_it_is(line: str) -> None:
    assert redact(line) == line
