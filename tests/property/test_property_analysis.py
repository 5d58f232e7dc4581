"""What holds of every judgement, whatever the counts: and that the simulation simulates the product."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge import vector
from bench.judge.simulate import Cell
from bench.judge.simulate import simulate
from bench.judge.vector import Counts
from bench.judge.vector import Scatter
from serin.analysis.sequential import ALTERNATIVES
from serin.analysis.sequential import against_bound
from serin.analysis.sequential import against_stable
from serin.analysis.sequential import dispersion
from serin.analysis.sequential import mixed
from serin.analysis.sequential import total
from serin.analysis.sequential import upper_limit
from serin.analysis.verdict import judge
from serin.analysis.verdict import next_step
from serin.analysis.verdict import overall
from serin.api.analysis import CheckStatus
from serin.api.analysis import Tally
from serin.api.analysis import Verdict
from tests.unit.analysis.scene import COMPARED
from tests.unit.analysis.scene import SINCE
from tests.unit.analysis.scene import VERSIONS
from tests.unit.analysis.scene import analysis
from tests.unit.analysis.scene import sample

TOLERANCE = 0.25
BOTH = {**COMPARED, "atMost": "5%"}


@st.composite
def tallies(draw: st.DrawFn, least: int = 0) -> Tally:
    requests = draw(st.integers(least, 100_000))
    return Tally(requests=requests, bad=draw(st.integers(0, requests)))


@st.composite
def steps(draw: st.DrawFn) -> list[list[tuple[int, int, int, int]]]:
    """Batches of (candidate's requests, bad ones, stable's requests, bad ones), by step and look."""

    def batch() -> tuple[int, int, int, int]:
        candidate, stable = draw(st.integers(0, 200)), draw(st.integers(0, 400))
        return candidate, draw(st.integers(0, candidate)), stable, draw(st.integers(0, min(stable, 40)))

    return [[batch() for _ in range(draw(st.integers(1, 6)))] for _ in range(draw(st.integers(1, 4)))]


def through(looks: list[list[tuple[int, int, int, int]]], restarts: bool = False) -> list[CheckStatus]:
    """The status after each look."""
    declared = analysis(BOTH)
    statuses: tuple[CheckStatus, ...] = ()
    told: list[CheckStatus] = []
    for number, step in enumerate(looks):
        if number:
            statuses = next_step(declared, statuses)
        sums = np.cumsum(step, axis=0).tolist()
        for look, (candidate, bad, stable, stable_bad) in enumerate(sums, start=1):
            if restarts:
                statuses = tuple(
                    CheckStatus.model_validate_json(status.model_dump_json(by_alias=True)) for status in statuses
                )
            measured = {"errors": sample((candidate, bad), (stable, stable_bad), seconds=30 * look)}
            statuses = judge(declared, measured, statuses, VERSIONS)
            told.append(statuses[0])
    return told


@given(tallies(1), tallies(1), st.floats(0, 10), st.floats(1, 10))
def test_more_bad_requests_never_count_for_a_candidate(
    candidate: Tally, stable: Tally, tolerance: float, clump: float
) -> None:
    worse = Tally(requests=candidate.requests + 1, bad=candidate.bad + 1)
    more = Tally(requests=candidate.requests, bad=min(candidate.requests, candidate.bad + 1))
    better = Tally(requests=candidate.requests + 1, bad=candidate.bad)
    slack = 1e-9

    def by_stable(tally: Tally) -> float:
        return total((), 1, against_stable(tally, stable, tolerance, clump))

    def by_bound(tally: Tally) -> float:
        return total((), 1, against_bound(tally, 0.05, clump))

    assert by_stable(more) >= by_stable(candidate) * (1 - slack)
    assert by_stable(better) <= by_stable(candidate) * (1 + slack)
    for by in (by_bound,):
        assert by(worse) >= by(candidate) * (1 - slack)
        assert by(more) >= by(candidate) * (1 - slack)
        assert by(better) <= by(candidate) * (1 + slack)


@given(tallies(1), tallies(1), st.floats(0, 5), st.floats(0, 5))
def test_tolerance_is_on_the_candidates_side(candidate: Tally, stable: Tally, one: float, other: float) -> None:
    low, high = sorted((one, other))
    strict = total((), 1, against_stable(candidate, stable, low))
    assert total((), 1, against_stable(candidate, stable, high)) <= strict * (1 + 1e-9)


@given(tallies(1), tallies(1), st.floats(1, 20))
def test_clumps_take_from_the_evidence(candidate: Tally, stable: Tally, clump: float) -> None:
    plain = against_stable(candidate, stable, TOLERANCE)
    assert against_stable(candidate, stable, TOLERANCE, clump) == pytest.approx([log_e / clump for log_e in plain])


@given(tallies(1), st.floats(0.001, 0.2), st.floats(1, 10))
def test_an_upper_limit_is_above_what_was_seen(record: Tally, level: float, clump: float) -> None:
    assert record.bad / record.requests <= upper_limit(record, level, clump) <= 1


@given(steps())
def test_a_restart_between_any_two_looks_changes_nothing(looks: list[list[tuple[int, int, int, int]]]) -> None:
    assert through(looks, restarts=True) == through(looks)


@given(steps())
def test_the_same_counts_again_change_nothing(looks: list[list[tuple[int, int, int, int]]]) -> None:
    declared = analysis(BOTH)
    last = through(looks)[-1]
    candidate, bad, stable, stable_bad = np.sum(looks[-1], axis=0).tolist()
    measured = sample((candidate, bad), (stable, stable_bad), seconds=30 * len(looks[-1]))
    assert judge(declared, {"errors": measured}, (last,), VERSIONS) == (last,)


@given(steps())
def test_verdicts_are_what_they_say(looks: list[list[tuple[int, int, int, int]]]) -> None:
    for status in through(looks):
        assert status.message
        assert status.e_value is not None
        assert status.limit is not None
        # Shown with four digits.
        far = status.e_value / status.limit
        assert far >= 0.999 if status.verdict is Verdict.FAIL else far <= 1.001
        if status.verdict is Verdict.PASS:
            assert status.needed == 0
            assert status.requests is not None
            assert status.requests >= 200
            assert status.candidate is not None
            assert status.candidate <= 0.05
        if status.requests == 0:
            assert status.verdict is not Verdict.PASS
        assert status.enough_at is None or status.enough_at > SINCE + timedelta(seconds=30)


@given(st.lists(st.sampled_from(list(Verdict)), max_size=6))
def test_one_more_check_never_makes_it_better(verdicts: list[Verdict]) -> None:
    order = [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL]
    statuses = [CheckStatus(check="a", verdict=verdict) for verdict in verdicts]
    for fewer in range(len(statuses)):
        assert order.index(overall(statuses)) >= order.index(overall(statuses[:fewer]))


@given(steps())
def test_the_simulation_computes_what_the_product_does(looks: list[list[tuple[int, int, int, int]]]) -> None:
    declared = analysis(COMPARED)
    statuses: tuple[CheckStatus, ...] = ()
    carried = np.zeros((len(ALTERNATIVES), 1))
    told, stage = Scatter(), 1
    for number, step in enumerate(looks):
        statuses = next_step(declared, statuses) if number else statuses
        sums = np.cumsum(step, axis=0)
        counts = Counts(*(sums[np.newaxis, :, column] for column in range(4)))
        seen = vector.scatter(counts, told)
        logs = vector.against_stable(counts, TOLERANCE, vector.dispersion(seen))
        evidence = vector.total(carried, stage, logs)
        for look, (candidate, bad, stable, stable_bad) in enumerate(sums.tolist()):
            measured = {"errors": sample((candidate, bad), (stable, stable_bad))}
            statuses = judge(declared, measured, statuses, VERSIONS)
            kept = statuses[0].evidence
            assert kept is not None
            assert statuses[0].e_value == pytest.approx(evidence[0, look], rel=1e-3)
            assert dispersion(kept) == pytest.approx(vector.dispersion(seen)[0, look])
            ours = mixed(against_stable(kept.candidate, kept.stable, TOLERANCE, dispersion(kept), 1.0))
            theirs = vector.against_stable(counts, TOLERANCE, vector.dispersion(seen), 1.0)
            assert ours == pytest.approx(vector.mixed(theirs)[0, look])
        told = Scatter(seen.looks[:, -1], seen.spread[:, -1])
        if sums[-1, 0] > 0:
            # A step without requests to the candidate is no stage.
            carried = vector.carry(carried, stage, logs[:, :, -1])
            stage += 1


@pytest.mark.parametrize("cell", [Cell(1_000, 0.005, 0.005), Cell(1_000, 0.02, 0.025), Cell(200, 0.3, 0.3)])
def test_good_candidates_are_rarely_rolled_back(cell: Cell) -> None:
    assert simulate(cell, runs=300, seed=1).serin.share <= 0.05


def test_what_is_just_at_its_bound_is_rarely_rolled_back_however_much_is_seen() -> None:
    """With up to two million requests: there the nearest alternative is the one that speaks."""
    rng = np.random.default_rng(3)
    bad = rng.binomial(50_000, 0.05, (10_000, 40)).cumsum(axis=1)
    requests = np.broadcast_to(50_000 * np.arange(1, 41), bad.shape)
    evidence = vector.total(0.0, 1, vector.log_evidence(bad, requests, 0.05, 1.0))
    assert 0 < (evidence >= 20).any(axis=1).mean() <= 0.05


@pytest.mark.parametrize(
    ("rate", "a_look", "median"),
    [(0.1, 10, 190), (0.06, 100, 5_700), (0.053, 2_000, 130_000), (0.051, 20_000, 640_000)],
)
def test_how_many_requests_it_takes_to_find_what_is_above_its_bound(rate: float, a_look: int, median: int) -> None:
    """As docs/how-to/judge.md has it."""
    rng = np.random.default_rng(1)
    looks = 4 * median // a_look
    bad = rng.binomial(a_look, rate, (1000, looks)).cumsum(axis=1)
    requests = np.broadcast_to(a_look * np.arange(1, looks + 1), bad.shape)
    found = vector.total(0.0, 1, vector.log_evidence(bad, requests, 0.05, 1.0)) >= 20
    assert found.any(axis=1).mean() > 0.9
    assert np.median(np.where(found.any(axis=1), found.argmax(axis=1) + 1, looks)) * a_look == pytest.approx(
        median, rel=0.1
    )


def test_bad_candidates_are_found() -> None:
    outcome = simulate(Cell(1_000, 0.005, 0.03), runs=300, seed=1)
    assert outcome.serin.share == 1.0
    assert outcome.serin.minute <= 4
    assert outcome.passed < 0.02
