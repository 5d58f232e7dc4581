"""The page: its figures are the judge's, it is whole whatever is in it, and it says what it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest

from serin.analysis.verdict import Versions
from serin.cli.report.ask import Facts
from serin.cli.report.ask import measure
from serin.cli.report.choose import choose
from serin.cli.report.choose import incumbent
from serin.cli.report.page import Page
from serin.cli.report.page import page
from serin.cli.report.recount import Look
from serin.cli.report.recount import recount
from serin.cli.report.watched import watched
from serin.cli.report.write import as_bytes
from serin.cli.report.write import write
from serin.cli.seen import Seen
from serin.cli.seen import record
from serin.cli.seen import records
from serin.metrics.ranges import Ranges
from tests.unit.cli import objects
from tests.unit.cli.report import simulated
from tests.unit.cli.report.simulated import World

Json = dict[str, Any]
NASTY = "</style><script>alert(1)</script> \"'&amp; \x00\x1b[31m\u2028 {{ 7 * 7 }} {% raw %} \ud800"

# A simulated rollout takes a second or two; none of them is changed by a test.
WORLDS: dict[str, Callable[[], World]] = {
    "promoted": cache(simulated.promoted),
    "rolled back": cache(simulated.rolled_back),
    "running": cache(simulated.running),
}


def facts_of(world: World, body: Json | None = None) -> Facts:
    seen = Seen(body or world.status())
    chosen = choose(seen, None)
    told = records(seen.status.get("analysis"))
    rollout = seen.course if chosen.running else record(seen.spec.get("rollout"))
    return Facts(
        seen=seen,
        chosen=chosen,
        now=world.moment(len(world.counts[simulated.STABLE]) - 1),
        watched=watched(rollout, "as they are declared now", told),
        stable=incumbent(seen, chosen),
        sources=("the status",),
    )


def measured(world: World, body: Json | None = None) -> Facts:
    return measure(facts_of(world, body), Ranges(world.get), "http://prometheus")


def looks_of(facts: Facts) -> tuple[Look, ...]:
    return recount(facts.watched.analysis, facts.answers, Versions("v13", "v12"))


def parsed(made: Page) -> ElementTree.Element:
    content = as_bytes(write(made)).decode()
    return ElementTree.fromstring(content.replace("<!DOCTYPE html>\n", "", 1))  # noqa: S314 (our own)


def words(root: ElementTree.Element) -> str:
    return " ".join(" ".join(root.itertext()).split())


@pytest.mark.parametrize("which", WORLDS)
def test_the_page_is_whole_and_needs_nothing(which: str) -> None:
    root = parsed(page(measured(WORLDS[which]())))
    tags = {one.tag.split("}")[1] for one in root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    attributes = {name for one in root.iter() for name in one.attrib}
    assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "style")]
    style = next(one.text or "" for one in root.iter() if one.tag.endswith("}style"))
    assert "url(" not in style
    assert "@import" not in style
    policy = next(one.attrib["content"] for one in root.iter() if "http-equiv" in one.attrib)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.parametrize("which", WORLDS)
def test_every_chart_has_words_and_a_table_and_no_name_twice(which: str) -> None:
    root = parsed(page(measured(WORLDS[which]())))
    identities = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(identities) == len(set(identities))
    drawn = [one for one in root.iter() if one.attrib.get("role") == "img"]
    assert len(drawn) == 2 * 6
    for one in drawn:
        assert set(one.attrib["aria-labelledby"].split()) <= set(identities)
        assert all(word.text for word in one if word.tag.endswith(("title", "desc")))
    pairs = [one for one in root.iter() if one.attrib.get("class") == "pair"]
    assert len(pairs) == 4
    assert all({part.attrib.get("class") for part in pair} == {"charts", "tables"} for pair in pairs)


def test_a_promotion_says_by_which_way() -> None:
    made = page(measured(WORLDS["promoted"]()))
    assert made.headline == "v13 took over from v12 after 3 steps and 46m30s; no check found it worse than v12."
    assert (made.outcome, made.look) == ("Promoted", "good")
    assert [row[2] for row in made.sections[0].tables[0].rows] == ["0 %", "5 %", "25 %", "50 %", "100 %"]


def test_a_rollback_says_why_and_shows_when() -> None:
    world = WORLDS["rolled back"]()
    made = page(measured(world))
    why = "error rate 2.8 % against 1.2 % of v12 after 1,343 requests"
    assert made.headline == f"v13 was taken back after 20m at 5 % of the requests: {why}."
    *_, reached, ended = made.happenings
    assert (reached.what, reached.marked) == ("check errors: the evidence reached its limit", True)
    assert ended.what == f"rolled back (AnalysisFailed): {why}"
    assert abs(reached.at - ended.at) <= timedelta(seconds=60)


def test_the_step_that_runs_is_counted_as_the_judge_counted_it() -> None:
    """To the request: its beginning and its last look are in the status."""
    world = WORLDS["running"]()
    last = looks_of(measured(world))[-1]
    for check in world.checks:
        assert check.evidence is not None
        assert last.tallies(check.check) == (check.evidence.candidate, check.evidence.stable)
        assert last.checks[check.check].message == check.message
        assert last.checks[check.check].verdict == check.verdict


@pytest.mark.parametrize("which", WORLDS)
def test_past_steps_are_counted_to_a_scrape(which: str) -> None:
    world = WORLDS[which]()
    looks = looks_of(measured(world))
    counted = {look.stage.number: look for look in looks}
    assert [look.stage.weight for look in counted.values()] == [weight for _, weight in world.stages]
    for look, (start, _) in zip(counted.values(), world.stages, strict=True):
        late = (look.stage.start - world.moment(start)).total_seconds()
        assert 0 <= late <= simulated.SCRAPE
    for check in world.checks:
        again = looks[-1].checks[check.check]
        assert again.verdict == check.verdict
        assert again.limit == check.limit


def test_without_prometheus_the_page_has_what_the_status_knows() -> None:
    facts = facts_of(WORLDS["running"]())
    made = page(facts)
    said = words(parsed(made))
    assert made.headline.startswith("v13 gets 50 % of the requests, v12 the rest, and waits for the hold to end at")
    assert "What it had before is not known without Prometheus." in said
    assert "Check errors: error rate 1.2 % against 1.4 % of v12 after 5,106 requests." in said
    assert "60 of 5,106" in said


def test_a_prometheus_that_refuses_is_a_gap() -> None:
    refusal = json.dumps({"status": "error", "errorType": "bad_data", "error": "too long"}).encode()
    made = page(measure(facts_of(WORLDS["promoted"]()), Ranges(lambda *_: (400, refusal)), "http://p"))
    assert made.gaps[0].startswith("Nothing is known over time: Prometheus refused the query: bad_data: too long.")
    assert made.headline.startswith("v13 took over from v12 after 46m30s")


def test_a_prometheus_that_never_scraped_the_operator_is_a_gap() -> None:
    nothing = simulated.matrix([])
    made = page(measure(facts_of(WORLDS["promoted"]()), Ranges(lambda *_: (200, nothing)), "http://p"))
    assert "Prometheus has no weights of this rollout" in made.gaps[0]


def nasty() -> Json:
    """Everything that comes from others, with markup, quotes, control characters and a template in it."""
    body = WORLDS["running"]().status()
    status = body["status"]
    body["metadata"]["name"] = f"fraud{NASTY}"
    body["spec"]["model"] = {"name": NASTY, "alias": NASTY}
    status["message"] = status["rollout"]["waitingFor"] = NASTY
    status["stable"]["version"] = status["candidate"]["version"] = f"v{NASTY}"
    status["handled"] = {NASTY: objects.order("pause", "Done", NASTY) | {"by": NASTY, "at": "2026-11-20T21:10:00Z"}}
    for check in status["analysis"]:
        check["message"] = NASTY
    return body


def test_texts_of_others_are_texts() -> None:
    facts = measured(WORLDS["running"](), nasty())
    note = {"eventTime": "2026-11-20T21:05:00Z", "type": NASTY, "reason": NASTY, "note": NASTY}
    content = as_bytes(write(page(Facts(**{**_fields(facts), "events": [note], "gaps": [NASTY]}))))
    raw = content.decode()
    assert "<script" not in raw
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", raw)
    root = ElementTree.fromstring(raw.replace("<!DOCTYPE html>\n", "", 1))  # noqa: S314
    said = words(root)
    assert "<script>alert(1)</script>" in said
    assert "{{ 7 * 7 }} {% raw %}" in said
    assert sum(one.tag.endswith("}style") for one in root.iter()) == 1


def _fields(facts: Facts) -> Json:
    return {name: getattr(facts, name) for name in Facts.__dataclass_fields__}


@pytest.mark.parametrize(
    ("outcome", "message", "headline"),
    [
        ("Aborted", "aborted by order (jane)", "v13 was taken back by order after 46m30s (jane)."),
        ("Superseded", "v14 was declared", "The rollout of v13 ended after 46m30s, as another version was declared: "),
        ("Reverted", "", "The rollout of v13 ended after 46m30s, as the version in use was declared again."),
        ("Undone", "undone by order", "v13 had been in use for 46m30s when a person went back to the version before"),
        ("Eaten", "by a bird", "The rollout of v13 ended after 46m30s: Eaten: by a bird."),
    ],
)
def test_every_end_has_its_sentence(outcome: str, message: str, headline: str) -> None:
    world = WORLDS["promoted"]()
    body = world.status()
    body["status"]["history"][0] |= {"outcome": outcome, "message": message}
    assert page(facts_of(world, body)).headline.startswith(headline)


def test_a_status_of_another_version_is_no_end() -> None:
    """What is not understood is left out."""
    world = WORLDS["promoted"]()
    body = world.status()
    body["spec"]["rollout"] = {"analysis": {"checks": [{"name": "x", "sorcery": True}]}}
    body["status"]["analysis"] = [{"check": 3}, "no"]
    body["status"]["traffic"] = "none"
    made = page(measured(world, body))
    assert [section.title for section in made.sections] == ["Traffic", "Requests", "Errors", "Slower than 250ms"]
    assert made.judged_by == "not known: this version of serin cannot read the analysis"
