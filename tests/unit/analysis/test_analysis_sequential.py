"""The formulas, against what can be computed exactly."""

from __future__ import annotations

import math

import pytest

from serin.analysis import sequential
from serin.analysis.sequential import ALTERNATIVES
from serin.analysis.sequential import NOTHING
from serin.analysis.sequential import Logs
from serin.analysis.sequential import against_bound
from serin.analysis.sequential import against_stable
from serin.analysis.sequential import beyond_chance
from serin.analysis.sequential import carry
from serin.analysis.sequential import dispersion
from serin.analysis.sequential import log_evidence
from serin.analysis.sequential import look
from serin.analysis.sequential import masses
from serin.analysis.sequential import mixed
from serin.analysis.sequential import to_go
from serin.analysis.sequential import total
from serin.analysis.sequential import upper_limit
from serin.api.analysis import Evidence
from serin.api.analysis import Tally


def test_masses_add_up_to_one() -> None:
    assert math.fsum(mass for _, mass in ALTERNATIVES) == pytest.approx(1.0)
    assert all(m > 1 for m, _ in ALTERNATIVES)
    for stages in (1, 2, 5, 40):
        begun = math.fsum(masses(stage)[0] for stage in range(1, stages + 1))
        assert begun + masses(stages)[1] == pytest.approx(1.0)


@pytest.mark.parametrize("null", [0.001, 0.05, 0.122, 0.5, 0.9])
@pytest.mark.parametrize("trials", [1, 7, 30])
def test_evidence_has_a_mean_of_one_at_the_null_and_less_below(null: float, trials: int) -> None:
    def mean(p: float) -> float:
        return math.fsum(
            math.comb(trials, bad) * p**bad * (1 - p) ** (trials - bad) * mixed(log_evidence(bad, trials, null))
            for bad in range(trials + 1)
        )

    assert mean(null) == pytest.approx(1.0)
    assert mean(null / 2) < 1.0
    assert mean((1 + null) / 2) > 1.0


@pytest.mark.parametrize("null", [0.02, 0.122, 0.5])
@pytest.mark.parametrize("level", [0.05, 0.025])
def test_it_is_rarely_ever_reached_however_often_it_is_looked_at(null: float, level: float) -> None:
    """The probability that 400 trials, looked at after each, ever reach the limit: exact, by the paths not stopped."""
    alive, stopped = {0: 1.0}, 0.0
    for trials in range(1, 401):
        after: dict[int, float] = {}
        for bad, chance in alive.items():
            after[bad] = after.get(bad, 0.0) + chance * (1 - null)
            after[bad + 1] = after.get(bad + 1, 0.0) + chance * null
        alive = {}
        for bad, chance in after.items():
            if total(NOTHING, 1, log_evidence(bad, trials, null)) >= 1 / level:
                stopped += chance
            else:
                alive[bad] = chance
    assert 0 < stopped <= level
    # Neither so careful that it never speaks.
    assert stopped > level / 20


def test_against_stable_counts_whose_bad_requests_they_are() -> None:
    candidate, stable = Tally(requests=1000, bad=30), Tally(requests=9000, bad=45)
    odds = 1.25 * 1000 / 9000
    assert against_stable(candidate, stable, 0.25) == pytest.approx(log_evidence(30, 75, odds / (1 + odds)))
    # How many requests were good makes no difference but by the ratio of the two.
    tenfold = (Tally(requests=10_000, bad=30), Tally(requests=90_000, bad=45))
    assert against_stable(*tenfold, 0.25) == pytest.approx(against_stable(candidate, stable, 0.25))


@pytest.mark.parametrize(
    ("candidate", "stable"),
    [(Tally(), Tally()), (Tally(requests=9, bad=9), Tally()), (Tally(), Tally(requests=9, bad=1))],
)
def test_without_requests_to_either_there_is_no_evidence(candidate: Tally, stable: Tally) -> None:
    assert against_stable(candidate, stable, 0.25) == NOTHING
    assert mixed(NOTHING) == pytest.approx(1.0)
    assert total((), 1, NOTHING) == pytest.approx(1.0)


def test_a_few_bad_requests_of_a_few_are_no_evidence_against_a_bound() -> None:
    assert total((), 1, against_bound(Tally(requests=3, bad=1), 0.05)) < 10
    assert total((), 1, against_bound(Tally(requests=20, bad=15), 0.05)) > 1000
    assert against_bound(Tally(requests=20, bad=20), 1.0) == NOTHING


def test_clumps_divide_the_evidence() -> None:
    once = against_stable(Tally(requests=1000, bad=10), Tally(requests=9000, bad=15), 0.25)
    thrice = against_stable(Tally(requests=1000, bad=30), Tally(requests=9000, bad=45), 0.25, clump=3.0)
    assert thrice == pytest.approx(once)


def test_evidence_is_multiplied_over_steps_by_alternative() -> None:
    first, second = log_evidence(5, 20, 0.12), log_evidence(9, 20, 0.3)
    carried = carry((), 1, first)
    expected = math.fsum(
        mass
        * (sequential.FIRST_STEP * math.exp(one) * math.exp(other) + (1 - sequential.FIRST_STEP) / 2 * math.exp(other))
        for (_, mass), one, other in zip(ALTERNATIVES, first, second, strict=True)
    )
    assert total(carried, 2, second) == pytest.approx(expected + masses(2)[1])


def test_a_good_past_does_not_hide_a_bad_present() -> None:
    carried: Logs = ()
    for stage in range(1, 5):
        carried = carry(carried, stage, log_evidence(0, 1000, 0.12))
    assert total(carried, 5, NOTHING) == pytest.approx(masses(4)[1], rel=0.01)
    assert total(carried, 5, log_evidence(25, 60, 0.12)) > 40


def test_evidence_of_other_alternatives_is_none() -> None:
    assert carry((9.0, 9.0), 2, NOTHING) == carry((), 2, NOTHING)


def test_an_older_operators_evidence_counts_on() -> None:
    begun, _ = masses(2)
    older = (3.0, 2.0, 1.0, 0.5)
    assert carry(older, 2, NOTHING) == pytest.approx((*(one + begun for one in older), begun))
    masses_then = ((1.15, 0.05), (1.6, 0.50), (4.0, 0.35), (10.0, 0.10))
    for (m, mass), (known, then) in zip(ALTERNATIVES, masses_then, strict=False):
        assert (m, mass <= then) == (known, True)


@pytest.mark.parametrize(("share", "requests"), [(0.053, 300_000), (0.056, 100_000), (0.06, 20_000), (0.1, 500)])
def test_what_is_a_few_percent_above_a_bound_is_found(share: float, requests: int) -> None:
    assert total((), 1, against_bound(Tally(requests=requests, bad=round(share * requests)), 0.05)) >= 20


def test_a_candidate_a_few_percent_worse_than_tolerated_is_found() -> None:
    assert (
        total((), 1, against_stable(Tally(requests=3_000_000, bad=39_900), Tally(requests=3_000_000, bad=30_000), 0.25))
        >= 20
    )


@pytest.mark.parametrize(("stage", "carried"), [(1, ()), (3, (0.4, 2.0, 0.0, 0.0, 0.1))])
def test_how_much_more_it_takes(stage: int, carried: Logs) -> None:
    logs = against_bound(Tally(requests=20_000, bad=1080), 0.05)
    more = to_go(carried, stage, logs, 20.0)
    assert 0 < more < math.inf
    then = tuple(log_e * (1 + more) for log_e in logs)
    # The others have a part in it, too.
    assert 20.0 * (1 - 1e-9) <= total(carried, stage, then) < 30.0
    assert to_go(carried, stage, then, 20.0) == pytest.approx(0.0, abs=1e-9)


def test_what_is_hardly_above_a_bound_is_told_from_it_by_no_number_of_requests() -> None:
    assert to_go((), 1, against_bound(Tally(requests=10**8, bad=5_040_000), 0.05), 20.0) == math.inf
    assert to_go((), 1, NOTHING, 20.0) == math.inf


def binomial(requests: int, bad: int, rate: float) -> float:
    """The probability of just so many bad ones."""
    return math.exp(
        math.lgamma(requests + 1)
        - math.lgamma(bad + 1)
        - math.lgamma(requests - bad + 1)
        + bad * math.log(rate)
        + (requests - bad) * math.log1p(-rate)
    )


@pytest.mark.parametrize(("bound", "requests"), [(0.05, 100), (0.05, 2000), (0.5, 300)])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_what_is_beyond_chance_at_one_look(bound: float, requests: int, level: float) -> None:
    sure = [bad for bad in range(requests + 1) if beyond_chance(Tally(requests=requests, bad=bad), bound, level)]
    assert sure == list(range(sure[0], requests + 1))
    chance = math.fsum(binomial(requests, some, bound) for some in sure)
    assert level / 20 < chance <= level
    assert not beyond_chance(Tally(requests=requests, bad=sure[0]), bound, level, clump=3.0)
    assert not beyond_chance(Tally(), bound, level)


def _looks(*batches: tuple[int, int]) -> Evidence:
    evidence, requests, bad = Evidence(), 0, 0
    for more, worse in batches:
        requests, bad = requests + more, bad + worse
        evidence = look(evidence, Tally(requests=1), Tally(requests=requests, bad=bad))
    return evidence


def test_dispersion_of_what_comes_evenly_is_one() -> None:
    assert dispersion(Evidence()) == 1.0
    assert dispersion(_looks(*[(1000, 5)] * 20)) == 1.0


def test_dispersion_of_what_comes_in_clumps() -> None:
    evidence = _looks(*[(1000, 0), (1000, 30)] * 10)
    assert evidence.looks == 19
    assert dispersion(evidence) == pytest.approx((19 * sequential.LOUDEST_LOOK + 4) / 23)
    assert 2 < dispersion(_looks(*[(1000, 4), (1000, 12)] * 10)) < 4


def test_an_incident_counts_twice_and_no_more() -> None:
    calm = _looks(*[(1000, 5)] * 20)
    struck = _looks(*[(1000, 5)] * 10, (1000, 900), (1000, 900), *[(1000, 5)] * 10)
    assert dispersion(struck) < dispersion(calm) + 2 * sequential.LOUDEST_LOOK / 20


def test_a_rate_that_drifts_is_no_clump() -> None:
    assert dispersion(_looks(*[(1000, 5 + 2 * number) for number in range(60)])) == 1.0


def test_the_same_look_twice_and_a_counter_that_went_back_tell_nothing() -> None:
    evidence = _looks((1000, 5), (1000, 9))
    again = look(evidence, evidence.candidate, evidence.stable)
    assert again == evidence
    back = look(evidence, Tally(requests=1), Tally(requests=100, bad=1))
    assert (back.looks, back.spread, back.batch) == (evidence.looks, evidence.spread, evidence.batch)
    assert back.stable == Tally(requests=100, bad=1)


@pytest.mark.parametrize(("requests", "bad"), [(100, 0), (100, 5), (10_000, 93), (50, 50)])
def test_upper_limit(requests: int, bad: int) -> None:
    limit = upper_limit(Tally(requests=requests, bad=bad), 0.025)
    assert bad / requests <= limit <= 1.0
    if 0 < limit < 1:
        # Where the true rate is the limit, as few bad ones or fewer are that improbable.
        chance = math.fsum(binomial(requests, some, limit) for some in range(bad + 1))
        assert chance <= 0.025
    assert upper_limit(Tally(requests=requests, bad=bad), 0.025, clump=3.0) >= limit


def test_upper_limit_of_nothing() -> None:
    assert upper_limit(Tally(), 0.025) == 1.0
