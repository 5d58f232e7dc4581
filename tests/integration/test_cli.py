"""The command line as people start it, beside a real API server and a real operator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.controlplane import ControlPlane
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import Kind
from tests.integration.kube import Kube
from tests.integration.kube import RefusedError
from tests.integration.operator_process import Operator
from tests.integration.pods import crash_looping
from tests.integration.rbac import CLUSTER_BINDING
from tests.integration.rbac import CLUSTER_ROLE
from tests.integration.scene import Deployed
from tests.integration.scene import Scene

pytestmark = pytest.mark.integration

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
START = "import sys; from serin.cli.app import main; sys.argv[0] = 'serin'; main()"
SECONDS = 120.0
SLOW = ({"weight": 10, "hold": "1h"}, {"weight": 50, "hold": "1h"})


class CommandLine:
    """``serin`` with a kubeconfig, in processes of its own."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "operator"),
            "KUBECONFIG": str(kubeconfig),
            "USER": "jane",
            "LOGNAME": "jane",
        }
        self._namespace = namespace

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._argv(arguments), env=self._environment, **_TEXT)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that lasts."""
        return subprocess.Popen(
            self._argv(arguments),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-c", START, *arguments, "-n", self._namespace]


_TEXT: Any = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "check": False, "timeout": SECONDS}


@pytest.fixture
def serin(plane: ControlPlane, scene: Scene) -> CommandLine:
    return CommandLine(plane.kubeconfig, scene.namespace)


def one_line(text: str) -> str:
    return " ".join(text.split())


def rolling(scene: Scene, *steps: Json) -> Deployed:
    """In the first of these steps, which last, with version 2."""
    deployed = scene.healthy(rollout={"steps": list(steps or SLOW)})
    deployed.declare(2)
    deployed.until(lambda status: (status.get("rollout") or {}).get("step") == 1, "step 1")
    return deployed


def done(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_rollout_is_shown(scene: Scene, serin: CommandLine) -> None:
    deployed = rolling(scene)
    shown = done(serin("status", "fraud"))
    for told in ("Progressing", "v1 90 %, v2 10 %", "the hold to end at", "> 1     10 %", "  2     50 %"):
        assert told in shown, shown
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines()), shown
    told = json.loads(done(serin("status", "fraud", "-o", "json")))
    assert (told["name"], told["namespace"]) == ("fraud", scene.namespace)
    assert told["status"] == deployed.status
    assert "fraud  v1      v2         10 %    1/2   Progressing" in done(serin("status"))
    why = one_line(done(serin("why", "fraud")))
    assert "fraud-detector version 2." in why
    assert f"serin abort fraud -n {scene.namespace} takes v2 back." in why


def test_a_script_waits_until_a_rollout_is_settled(scene: Scene, serin: CommandLine) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "0s", "approval": True}]})
    deployed.declare(2)
    # At once: the status may still be of the generation before, and say Healthy.
    watching = serin.begin("watch", "fraud", "--until", "settled")
    assert watching.stdout is not None
    for line in watching.stdout:
        if "fraud AwaitingApproval 1/1 | v1 90 %, v2 10 %" in line:
            break
    order = {"serin.dev/approve": deployed.status["candidate"]["revision"]}
    scene.kube.patch(MODEL_DEPLOYMENT, scene.namespace, "fraud", {"metadata": {"annotations": order}})
    rest, errors = watching.communicate(timeout=SECONDS)
    assert watching.returncode == 0, errors
    assert rest.splitlines()[-1].endswith("fraud Healthy | v2 100 % | v2 has all traffic")
    entries = json.loads(done(serin("history", "fraud", "-o", "json")))
    assert [entry["version"] for entry in entries] == ["v2", "v1"]
    assert [line.split()[2:4] for line in done(serin("history", "fraud")).splitlines()[1:]] == [
        ["v2", "Promoted"],
        ["v1", "Promoted"],
    ]


def test_a_script_is_told_of_a_rollback(scene: Scene, serin: CommandLine) -> None:
    deployed = scene.healthy()
    scene.stage.pods(scene.namespace, "fraud-v2", crash_looping("ValueError: no"))
    deployed.declare(2)
    watched = serin("watch", "fraud", "--until", "settled", "--timeout", "60s")
    assert watched.returncode == 4, watched.stdout + watched.stderr
    assert "RolledBack" in watched.stdout.splitlines()[-1]
    shown = serin("status", "fraud")
    assert shown.returncode == 4
    assert "Rejected" in shown.stdout
    assert "What was taken back last fraud-v2-" in one_line(done(serin("why", "fraud")))


def test_pods_in_trouble_are_shown(scene: Scene, serin: CommandLine) -> None:
    scene.stage.pods(scene.namespace, "fraud-v1", crash_looping("ValueError: no"))
    scene.deploy(version=1).phase("Failed")
    assert "Pods fraud-v1-" in one_line(serin("status", "fraud").stdout)


def test_a_rollout_is_paused_resumed_and_promoted(scene: Scene, serin: CommandLine) -> None:
    deployed = rolling(scene)
    candidate = deployed.status["candidate"]["revision"]
    paused = done(serin("pause", "fraud"))
    assert paused.startswith(f"pause {candidate}: v2 stays at 10 % until resumed\ndone: ")
    assert deployed.status["phase"] == "Paused"
    assert "Paused" in done(serin("status", "fraud"))
    assert serin("pause", "fraud").returncode == 6
    done(serin("resume", "fraud"))
    done(serin("promote", "fraud", "--revision", candidate))
    deployed.healthy(2)
    handled = deployed.status["handled"]
    assert {verb: order["result"] for verb, order in handled.items()} == dict.fromkeys(
        ("pause", "resume", "promote"), "Done"
    )
    # The name in the kubeconfig's context.
    assert {order["by"] for order in handled.values()} == {"serin"}
    annotations = deployed.body["metadata"]["annotations"]
    assert annotations["serin.dev/promote"] == handled["promote"]["value"]


def test_a_step_is_approved(scene: Scene, serin: CommandLine) -> None:
    deployed = rolling(scene, {"weight": 10, "hold": "0s", "approval": True})
    deployed.phase("AwaitingApproval")
    assert f"serin approve fraud -n {scene.namespace} lets v2 go on" in one_line(done(serin("why", "fraud")))
    done(serin("approve", "fraud"))
    deployed.healthy(2)


def test_an_abort_a_retry_and_an_undo(scene: Scene, serin: CommandLine) -> None:
    deployed = rolling(scene)
    assert "serin abort fraud" in serin("undo", "fraud").stderr
    done(serin("abort", "fraud"))
    deployed.phase("RolledBack")
    assert "was rejected; serin retry fraud" in one_line(serin("promote", "fraud").stderr)
    done(serin("retry", "fraud"))
    deployed.until(lambda status: (status.get("rollout") or {}).get("step") == 1, "step 1")
    done(serin("promote", "fraud"))
    deployed.healthy(2)
    done(serin("undo", "fraud"))
    deployed.until(
        lambda status: status["stable"]["version"] == "v1" and status["phase"] == "RolledBack", "v1 serves again"
    )
    assert "Undone" in done(serin("history", "fraud"))


def test_an_order_that_the_operator_refuses(scene: Scene, serin: CommandLine) -> None:
    """It stays visible to whoever looks, with who gave it."""
    deployed = rolling(scene)
    done(serin("abort", "fraud"))
    rejected = deployed.phase("RolledBack")["rejected"][0]["revision"]
    late = f"{rejected}-other#joe/t"
    scene.kube.patch(
        MODEL_DEPLOYMENT, scene.namespace, "fraud", {"metadata": {"annotations": {"serin.dev/retry": late}}}
    )
    handled = deployed.until(lambda status: "retry" in status["handled"], "the order is handled")["handled"]["retry"]
    assert (handled["result"], handled["by"]) == ("Refused", "joe")
    assert "retry Refused" in serin("status", "fraud").stdout


def test_the_operator_is_away(scene: Scene, serin: CommandLine, operator: Operator) -> None:
    """The order is written and waits; it is carried out when the operator is back."""
    deployed = rolling(scene)
    operator.kill()
    given = serin("promote", "fraud", "--timeout", "500ms")
    assert given.returncode == 5, given.stdout + given.stderr
    assert "the operator has not answered within 500ms; the order stands" in one_line(given.stderr)
    operator.start()
    deployed.healthy(2)


@pytest.mark.parametrize("verb", ["promote", "retry"])
def test_kubectl_does_the_same_as_the_help_says(
    plane: ControlPlane, scene: Scene, serin: CommandLine, tmp_path: Path, verb: str
) -> None:
    deployed = rolling(scene)
    if verb == "retry":
        done(serin("abort", "fraud"))
        deployed.phase("RolledBack")
    shown = done(serin(verb, "--help"))
    recipe = shown.split("With kubectl alone:\n")[1].split("\n\n")[0]
    script = recipe.replace("NAMESPACE", scene.namespace).replace("NAME", "fraud")
    assert script.count("kubectl ") == 2
    kubectl = tmp_path / "kubectl"
    real = plane.kubectl(["version", "--client"]).args[0]
    kubectl.write_text(f'#!/bin/sh\nexec {real} --kubeconfig {plane.kubeconfig} "$@"\n')
    kubectl.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    ran = subprocess.run(["sh", "-euc", script], env=environment, **_TEXT)
    assert ran.returncode == 0, ran.stderr
    handled = deployed.until(lambda status: verb in (status.get("handled") or {}), "the order is handled")
    assert handled["handled"][verb]["result"] == "Done"


def test_whoever_may_only_look(plane: ControlPlane, kube: Kube, scene: Scene) -> None:
    rolling(scene)
    serin = CommandLine(bound(plane, kube, "onlooker", MODEL_DEPLOYMENT, ["get", "list", "watch"]), scene.namespace)
    assert "cannot be looked at: you may not list pods here" in one_line(done(serin("status", "fraud")))
    refused = serin("promote", "fraud")
    assert refused.returncode == 1
    told = one_line(refused.stderr)
    assert 'User "user-onlooker"' in told or 'User "onlooker"' in told
    assert "edit to give orders" in told
    stranger = CommandLine(plane.user("stranger"), scene.namespace)
    looked = stranger("status", "fraud")
    assert looked.returncode == 1
    assert f"you may not get ModelDeployment fraud in namespace {scene.namespace}" in one_line(looked.stderr)


def bound(plane: ControlPlane, kube: Kube, user: str, kind: Kind, verbs: list[str]) -> Path:
    """A kubeconfig of a user who may do this and nothing else."""
    if kube.get(CLUSTER_ROLE, None, user) is None:
        rules = [{"apiGroups": [kind.group], "resources": [kind.plural], "verbs": verbs}]
        kube.create(CLUSTER_ROLE, None, {"metadata": {"name": user}, "rules": rules})
        group = CLUSTER_ROLE.group
        reference = {"apiGroup": group, "kind": CLUSTER_ROLE.kind, "name": user}
        subjects = [{"apiGroup": group, "kind": "User", "name": user}]
        kube.create(CLUSTER_BINDING, None, {"metadata": {"name": user}, "roleRef": reference, "subjects": subjects})
    return plane.user(user)


def test_names_that_do_not_exist(scene: Scene, serin: CommandLine) -> None:
    scene.healthy()
    missing = serin("status", "fruad")
    assert missing.returncode == 3
    assert "Did you mean fraud?" in missing.stderr


def test_a_cluster_without_serin() -> None:
    """The API server's own words for a kind that it does not know are not those for an object that it does not have."""
    with ControlPlane() as bare:
        serin = CommandLine(bare.kubeconfig, "default")
        for arguments in (["status", "fraud"], ["status"], ["promote", "fraud"]):
            ended = serin(*arguments)
            assert ended.returncode == 1
            assert "their CustomResourceDefinition is not installed" in one_line(ended.stderr)


def test_a_watch_outlives_the_object_until_it_is_deleted(scene: Scene, serin: CommandLine) -> None:
    rolling(scene)
    watching = serin.begin("watch", "fraud")
    assert watching.stdout is not None
    first = watching.stdout.readline()
    assert "Progressing 1/2" in first
    scene.kube.delete(MODEL_DEPLOYMENT, scene.namespace, "fraud")
    _, errors = watching.communicate(timeout=SECONDS)
    assert watching.returncode == 3, errors
    assert "was deleted" in errors


WRONG: list[Callable[[Json], object]] = [
    lambda spec: spec["model"].update(alias="champion"),
    lambda spec: spec["model"].pop("name"),
    lambda spec: spec.update(sevring={}),
    lambda spec: spec.update(serving={"minReplicas": 0}),
    lambda spec: spec.update(serving={"startupDeadline": "soon"}),
    lambda spec: spec.update(rollout={"steps": [{"weight": 101, "hold": "1s"}]}),
    lambda spec: spec.update(rollout={"steps": [{"weight": 1}]}),
    lambda spec: spec.update(rollout={"policy": "cautious", "bake": "1h"}),
]


@pytest.mark.parametrize("break_it", [*WRONG, lambda _: None])
def test_what_render_refuses_the_api_server_refuses(
    kube: Kube, scene: Scene, serin: CommandLine, tmp_path: Path, break_it: Callable[[Json], object]
) -> None:
    manifest = scene.manifest("fraud", version=1)
    break_it(manifest["spec"])
    body = {"apiVersion": MODEL_DEPLOYMENT.api_version, "kind": MODEL_DEPLOYMENT.kind, **manifest}
    file = tmp_path / "manifest.yaml"
    file.write_text(yaml.safe_dump(body))
    rendered = serin("render", "-f", str(file))
    try:
        kube.create(MODEL_DEPLOYMENT, scene.namespace, manifest)
        accepted = True
    except RefusedError:
        accepted = False
    assert (rendered.returncode == 0) is accepted, rendered.stderr
    assert rendered.returncode in (0, 1)


def test_what_is_rendered_is_what_the_operator_makes(scene: Scene, serin: CommandLine, tmp_path: Path) -> None:
    """But for the owner and for what the API server adds: the same objects under the same names."""
    deployed = scene.healthy(serving={"minReplicas": 2, "maxReplicas": 3})
    resolved = deployed.status["resolved"]
    body = deployed.body
    manifest = {key: body[key] for key in ("apiVersion", "kind", "spec")}
    manifest["metadata"] = {"name": "fraud", "namespace": scene.namespace}
    file = tmp_path / "manifest.yaml"
    file.write_text(yaml.safe_dump(manifest))
    said = ["--artifact-uri", resolved["artifactUri"], *[one for f in resolved["flavors"] for one in ("--flavor", f)]]
    rendered = {one["kind"]: one for one in yaml.safe_load_all(done(serin("render", "-f", str(file), *said))) if one}
    placeholder = rendered[INFERENCE_SERVICE.kind]["metadata"]["name"]
    for kind in (INFERENCE_SERVICE, HTTP_ROUTE):
        [live] = scene.kube.list(kind, scene.namespace)
        mine = json.loads(json.dumps(rendered[kind.kind]).replace(placeholder, "REVISION"))
        theirs = json.loads(json.dumps(live).replace(deployed.status["stable"]["revision"], "REVISION"))
        assert contains(theirs, mine), (theirs, mine)


def contains(whole: Any, part: Any) -> bool:
    """Whether everything of the part is in the whole."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)
