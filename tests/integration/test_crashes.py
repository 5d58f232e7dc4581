"""A sample of ``make crashes``, and whether its runs would see a fault of the operator: seeded ones must be found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from tests.crashes.campaign import Campaign
from tests.crashes.faults import BY_NAME
from tests.crashes.house import House
from tests.crashes.house import furnished
from tests.crashes.proxy import Moment
from tests.crashes.proxy import after_a_deletion
from tests.crashes.proxy import numbered
from tests.crashes.run import Result
from tests.crashes.run import run
from tests.integration.kube import Kube
from tests.integration.operator_process import Operator
from tests.integration.played import Played

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

WORKERS = 4
SAMPLE = (
    "create:before:1",
    "create:after:4",
    "change:after:2",
    "change:before:7",
    "change:lost:1",
    "delete:watch-cut",
    "rollback:before:5",
    "rollback:stale:1",
    "rollback:unanswered:2",
    "rollback:write-503",
    "recreate:after:2",
    "undo:before:1",
    "supersede:lost:7",
    "change:watch-expired",
)
# How a run must be crashed that finds the fault: workload, mode, and the write by its number, or by what it follows,
# because how often a refused deletion is tried before differs from run to run.
MUTANTS: dict[str, tuple[tuple[str, str, Moment], ...]] = {
    "tells_twice": (("create", "after", numbered(1)),),
    "deletes_before_it_tells": (("rollback", "before", after_a_deletion),),
    "trusts_its_cache": (("rollback", "stale", numbered(1)), ("rollback", "stale", numbered(2))),
}


Furnished = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def house(plane: ControlPlane, kube: Kube, stage: Played, the_operator: Operator, tmp_path: Path) -> Furnished:
    """On the control plane without the operator of the other tests: it would see these scenes, too."""
    the_operator.stop()
    return partial(furnished, plane, stage, tmp_path)


def test_a_sample_ends_as_it_does_without_a_fault(house: Furnished) -> None:
    async def sample() -> Campaign:
        async with house() as sound:
            campaign = Campaign(sound, WORKERS, SAMPLE)
            await campaign.go(print)
            return campaign

    campaign = asyncio.run(sample())
    assert not campaign.failed, [(result.name, result.failures) for result in campaign.failed]
    ran = {plan.name: result for plan, result in campaign.results}
    assert ran.keys() == set(SAMPLE)
    assert all(result.happened for result in ran.values())
    # What is said to be killed before a write, and after one, is.
    assert (_code(ran["create:before:1"], 1), _code(ran["create:after:4"], 4)) == (0, 201)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_seeded_fault_is_found(house: Furnished, mutant: str) -> None:
    async def found() -> list[Result]:
        workload = MUTANTS[mutant][0][0]
        async with house() as sound:
            clean = await run(sound, workload)
            assert not clean.failures
        async with house(f"tests.crashes.mutants:{mutant}") as spoiled:
            jobs = [
                run(spoiled, workload, BY_NAME[fault], like=clean.ending, moment=moment)
                for workload, fault, moment in MUTANTS[mutant]
            ]
            return await asyncio.gather(*jobs)

    results = asyncio.run(found())
    assert all(result.happened for result in results)
    assert any(result.failures for result in results)


def _code(result: Result, number: int) -> int:
    assert result.ending is not None
    return result.ending.writes[number - 1].code
