"""The pages for people: what they link to is there, and what they say to type is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from charts import generate
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modelregistry import ModelRegistrySpec

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


def test_values_of_the_install_page_are_the_charts(tmp_path: Path) -> None:
    (values,) = [text for lang, text in blocks(INSTALL) if lang == "yaml" and text.startswith("# values.yaml")]
    file = tmp_path / "values.yaml"
    file.write_text(values)
    assert "ClusterStorageContainer" in generate.render(f"--values={file}")


@pytest.mark.parametrize("page", [ROOT / "README.md", generate.CHART / "README.md"], ids=["README", "chart"])
def test_install_names_what_the_chart_cannot_guess(page: Path) -> None:
    """The whole command works, by the chart as it is: it names an image, of which there is no public one."""
    installs = [line for line in commands(page) if line.startswith("helm install")]
    assert installs
    for line in installs:
        given = dict(re.findall(r"--set '?([^ ='\[]+)(?:\[0\]\.\w+)?=([^ ']+)", line))
        assert {"image.repository", "settings.gateways"} <= given.keys()
