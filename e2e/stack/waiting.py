"""Wait until what was applied works, and say which pod does not and why.

kubectl does the waiting, by watches; this module chooses what to wait for and gathers the reasons when the time is
over. It knows Kubernetes' own workloads, custom resource definitions and Gateways, and nothing of what runs in them.
"""

import time
from collections.abc import Iterator
from collections.abc import Sequence

from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import KubectlError
from e2e.stack.kubectl import Object
from e2e.stack.progress import StackError
from e2e.stack.progress import say

_LOG_LINES = 8
_EVENTS = 5


class NotReadyError(StackError):
    """Something did not become ready in time; the message says what and why."""


def wait_ready(kubectl: Kubectl, objects: Sequence[Object], seconds: float) -> None:
    """Wait until each workload has its replicas, each Job is complete, each CRD served, each Gateway programmed.

    Raises:
        NotReadyError: after `seconds`, or when a Job has failed.
    """
    deadline = time.monotonic() + seconds
    for wanted in objects:
        arguments = _wait_arguments(wanted)
        if not arguments:
            continue
        left = max(1.0, deadline - time.monotonic())
        try:
            kubectl.run(*arguments, f"--timeout={left:.0f}s")
        except KubectlError as error:
            raise NotReadyError(_explain(kubectl, wanted, seconds, error)) from error
        _refuse_failed_job(kubectl, wanted)


def _wait_arguments(wanted: Object) -> list[str]:
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    scope = ["-n", wanted["metadata"].get("namespace", "")]
    match kind:
        case "Deployment" | "DaemonSet":
            say(f"waiting for {kind} {scope[1]}/{name}")
            return ["rollout", "status", f"{kind}/{name}", *scope]
        case "Job":
            say(f"waiting for {kind} {scope[1]}/{name}")
            # Either way out: waiting for "complete" alone would not notice a failure.
            return ["wait", f"job/{name}", *scope, "--for=jsonpath={.status.conditions[0].type}"]
        case "CustomResourceDefinition":
            return ["wait", f"crd/{name}", "--for=condition=Established"]
        case "Gateway":
            return ["wait", f"gateways.gateway.networking.k8s.io/{name}", *scope, "--for=condition=Programmed"]
        case _:
            return []


def _refuse_failed_job(kubectl: Kubectl, wanted: Object) -> None:
    if wanted["kind"] != "Job":
        return
    name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
    job = kubectl.get("job", name, namespace) or {}
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in ("FailureTarget", "Failed"):
            reason = f"{condition.get('reason')}: {condition.get('message')}"
            raise NotReadyError(f"Job {namespace}/{name} failed ({reason})\n{diagnose(kubectl, namespace)}")


def _explain(kubectl: Kubectl, wanted: Object, seconds: float, error: KubectlError) -> str:
    name, namespace = wanted["metadata"]["name"], wanted["metadata"].get("namespace", "")
    head = f"{wanted['kind']} {namespace}/{name} was not ready within {seconds:.0f} s: {error}"
    return f"{head}\n{diagnose(kubectl, namespace)}" if namespace else head


def diagnose(kubectl: Kubectl, namespace: str) -> str:
    """Each pod of a namespace that is not well, with its reasons and last log lines, then the latest warnings."""
    lines = [line for pod in kubectl.list_all("pods", namespace) for line in _pod_lines(kubectl, pod)]
    events = kubectl.list_all("events", namespace, "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
    for event in events[-_EVENTS:]:
        about = event["involvedObject"]
        lines.append(f"  event on {about['kind']} {about['name']}: {event['reason']}: {event['message']}")
    return "\n".join(lines) or f"  no unhealthy pod and no warning event in namespace {namespace}"


def _pod_lines(kubectl: Kubectl, pod: Object) -> Iterator[str]:
    name, namespace, status = pod["metadata"]["name"], pod["metadata"]["namespace"], pod["status"]
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            yield f"  pod {name} is not scheduled: {condition.get('message')}"
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        if container["ready"]:
            continue
        state, detail = next(iter(container["state"].items()))
        if state == "terminated" and detail["exitCode"] == 0:
            continue
        reason = detail.get("reason") or state
        restarts = container["restartCount"]
        yield f"  pod {name}, container {container['name']}: {reason} {detail.get('message', '')} ({restarts} restarts)"
        yield from (f"    | {line}" for line in _log_tail(kubectl, namespace, name, container))


def _log_tail(kubectl: Kubectl, namespace: str, pod: str, container: Object) -> list[str]:
    previous = ["--previous"] if container["restartCount"] and "waiting" in container["state"] else []
    arguments = [pod, "-n", namespace, "-c", container["name"], f"--tail={_LOG_LINES}", *previous]
    try:
        return kubectl.run("logs", *arguments).splitlines()
    except KubectlError as error:
        # A container that never started has no log; that is part of the answer.
        return [f"no log: {error}"]
