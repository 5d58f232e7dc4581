"""The pages for people: what they link to is there, and what they say to type is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from charts import generate
from serin.api.crd import definitions
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Outcome
from serin.controller.queue import Key
from serin.controller.series import LABELS
from serin.controller.telemetry import Telemetry
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from serin.rollout.standing import PASSING
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.test_rollout_analysis import counts
from tests.unit.rollout.test_rollout_analysis import judged
from tests.unit.rollout.test_rollout_deadline import stuck
from tests.unit.rollout.test_rollout_gates import F1
from tests.unit.rollout.test_rollout_gates import gated
from tests.unit.rollout.test_rollout_gates import record

ROOT = generate.ROOT
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
INSTALL = ROOT / "docs" / "how-to" / "install.md"
KINDS: dict[str, type[BaseModel]] = {"ModelDeployment": ModelDeploymentSpec, "ModelRegistry": ModelRegistrySpec}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(page: Path) -> list[tuple[str, str]]:
    """What stands between fences, with its language."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[str]:
    """Each command in one line, without its prompt; those in the running text, too."""
    lines = [line for _, text in blocks(page) for line in re.sub(r"\\\n\s*", "", text).splitlines()]
    return [line.removeprefix("$ ") for line in [*lines, *re.findall(r"`([^`\n]+)`", page.read_text())]]


def declared(page: Path) -> list[dict[str, Any]]:
    """Objects of ours."""
    documents = [one for lang, text in blocks(page) if lang == "yaml" for one in yaml.safe_load_all(text)]
    return [one for one in documents if isinstance(one, dict) and one.get("kind") in KINDS]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@every_page
def test_declarations_are_accepted(page: Path) -> None:
    for one in declared(page):
        assert KINDS[one["kind"]].model_validate(one["spec"])


def test_there_are_declarations() -> None:
    """Else the test before could not fail."""
    assert {one["kind"] for page in PAGES for one in declared(page)} == KINDS.keys()


def test_orders_by_kubectl_take_the_place_of_earlier_ones() -> None:
    """kubectl refuses to change an annotation without being told to."""
    orders = [line for page in PAGES for line in commands(page) if "kubectl annotate" in line]
    assert orders
    assert [line for line in orders if "--overwrite" not in line] == []


def test_requests_say_what_their_body_is() -> None:
    """curl would call it a form, and model servers refuse that with 422."""
    requests = [line for page in PAGES for line in commands(page) if line.startswith("curl") and " -d " in line]
    assert requests
    assert [line for line in requests if "-H 'Content-Type: application/json'" not in line] == []


def fields(schema: dict[str, Any], path: str = "") -> set[str]:
    """Every field that people may name, as a path with [] for lists."""
    found = {path.lstrip(".")}
    for name, inner in schema.get("properties", {}).items():
        found |= fields(inner, f"{path}.{name}")
    return found | (fields(schema["items"], f"{path}[]") if "items" in schema else set())


@cache
def all_fields() -> set[str]:
    schemas = [one["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for one in definitions().values()]
    return {field for schema in schemas for field in fields(schema)}


@cache
def all_values() -> set[str]:
    return {".".join(one.path[:length]) for one in generate.values() for length in range(1, len(one.path) + 1)}


@every_page
def test_fields_and_values_that_are_named_exist(page: Path) -> None:
    known, values = all_fields(), all_values()
    mine = r"(?:model|serving|traffic|rollout|suspend)"
    for name in re.findall(rf"`((?:spec\.{mine}|status)\.[\w.\[\]]+)`", page.read_text()):
        # Of other kinds, too: the gateway's class.
        assert name in known or name == "status.supportedFeatures", name
    for name in re.findall(
        r"`((?:settings|metrics|networkPolicy|rbac|crds|storageInitializer)\.\w[\w.]*)`", page.read_text()
    ):
        assert name in values, name


@every_page
def test_verbs_of_make_that_are_named_exist(page: Path) -> None:
    verbs = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in commands(page) if re.match(r"make [a-z0-9]", line)} <= verbs


def test_metrics_are_those_of_the_page() -> None:
    """Ours, whose names and labels people write into dashboards and alerts."""
    telemetry, status = Telemetry(), healthy().status
    telemetry.decided(Key("payments", "fraud"), status)
    telemetry.ended(Key("payments", "fraud"), status.history[0])
    telemetry.registry_polled("default", up=True, followed=1)
    telemetry.watch_registries(lambda: {"default": datetime(2026, 1, 1, tzinfo=UTC)})
    exported: dict[str, set[str]] = {}
    for family in telemetry.registry.collect():
        if family.name.startswith("serin_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            exported[name] = {label for one in family.samples for label in one.labels} - {"le"}
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    rows = re.findall(r"^\| `(serin_\w+)` \|([^|]*)\|", page, re.MULTILINE)
    both = {name: set(LABELS) if name.startswith("serin_modeldeployment_") else set() for name, _ in rows}
    assert {name: set(re.findall(r"`(\w+)`", labels)) | both[name] for name, labels in rows} == exported


def stalled() -> Iterator[Scene]:
    """What was declared is not what serves, in each of the ways that the page has a row for."""
    for verb in (Verb.ABORT, Verb.UNDO):
        scene = rolling({10: "1m"}, rollout={"keepPrevious": "1h"})
        scene.run(30 if verb is Verb.ABORT else 300)
        scene.order(verb, scene.candidate if verb is Verb.ABORT else scene.stable).run(300)
        yield scene
    scene = judged({10: "5m"}, onFailure="Freeze")
    counts(scene, (400, 60))
    scene.run(60)
    yield scene
    scene = stuck("Hold")
    scene.run(60)
    yield scene
    for scene in (
        gated(None, record(1), record(2, "string")),
        gated({"quality": [F1]}, record(1, f1=0.9), record(2, f1=0.1)),
        Scene(target=Problem(Reason.MODEL_NOT_FOUND, "there is none")),
    ):
        scene.settle()
        yield scene
    scene = Scene(become_ready=False)
    scene.settle()
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "no model", hopeless=True, at=scene.now)).settle()
    yield scene


def test_reasons_of_the_page_of_alerts_are_those_that_stall() -> None:
    """Not how a rollout ended: after an abort, too, the reason is RolledBack."""
    (section,) = re.findall(
        r"^## SerinRolloutStalled$(.*?)^## ", (INSTALL.parent / "alerts.md").read_text(), re.DOTALL | re.MULTILINE
    )
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    told = {Reason(word) for row in rows for word in re.findall(r"`(\w+)`", row)}
    facts = [scene.condition(ConditionType.STALLED) for scene in stalled()]
    assert {fact[0] for fact in facts if fact is not None} == {"True"}
    reached = [fact[1] for fact in facts if fact is not None]
    assert len(reached) == len(facts)
    assert set(reached) <= told
    assert told & set(Outcome) == {Reason.ROLLED_BACK}
    assert told.isdisjoint(PASSING)


def test_values_of_the_install_page_are_the_charts(tmp_path: Path) -> None:
    (values,) = [text for lang, text in blocks(INSTALL) if lang == "yaml" and text.startswith("# values.yaml")]
    file = tmp_path / "values.yaml"
    file.write_text(values)
    assert "ClusterStorageContainer" in generate.render(f"--values={file}")


def test_the_model_server_of_the_install_page_is_the_one_that_is_described() -> None:
    """KServe's chart of the runtimes has an older one by default than its manifests (kserve v0.20
    charts/kserve-runtime-configs/values.yaml, config/runtimes/kustomization.yaml)."""
    (line,) = [line for line in commands(INSTALL) if line.startswith("helm install kserve-runtime-configs")]
    (version,) = re.findall(r"public image of MLServer ([\d.]+),", (INSTALL.parent / "serve-a-model.md").read_text())
    assert f"--set kserve.servingruntime.mlserver.tag={version}" in line
    assert f"mlserver=={version} " in (ROOT / "images" / "mlserver" / "requirements.txt").read_text()


@pytest.mark.parametrize("page", [ROOT / "README.md", generate.CHART / "README.md"], ids=["README", "chart"])
def test_install_names_what_the_chart_cannot_guess(page: Path) -> None:
    """The whole command works, by the chart as it is: it names an image, of which there is no public one."""
    installs = [line for line in commands(page) if line.startswith("helm install")]
    assert installs
    for line in installs:
        given = dict(re.findall(r"--set '?([^ ='\[]+)(?:\[0\]\.\w+)?=([^ ']+)", line))
        assert {"image.repository", "settings.gateways"} <= given.keys()
