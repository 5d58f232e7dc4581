"""The model check in small, and the proof that it can fail: mistakes in the core that it must find."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from serin.rollout import aim
from serin.rollout import deadline
from serin.rollout import decide
from serin.rollout import give_up
from serin.rollout import memory
from serin.rollout import naming
from serin.rollout import orders
from serin.rollout import retire
from serin.rollout import standing
from serin.rollout import steps
from serin.rollout.observed import Observed
from serin.rollout.observed import Route
from serin.rollout.orders import Verb
from tests.modelcheck import state
from tests.modelcheck.core import STABLE_FOR
from tests.modelcheck.core import forget
from tests.modelcheck.explore import Counterexample
from tests.modelcheck.explore import alone
from tests.modelcheck.explore import approved
from tests.modelcheck.explore import explore
from tests.modelcheck.explore import fresh
from tests.modelcheck.explore import in_use
from tests.modelcheck.state import NOW
from tests.modelcheck.state import Measured
from tests.modelcheck.state import State
from tests.modelcheck.world import successors

MOST = 9_000
Seed = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(autouse=True)
def _decided_anew() -> Iterator[None]:
    """Decisions are remembered between runs, but not those of another core or with other times."""
    _forget_times()
    yield
    _forget_times()


@pytest.mark.parametrize(
    ("start", "plan", "people", "faults"),
    [
        (in_use, "whole", 0, 0),
        (in_use, "hold", 0, 0),
        (in_use, "judged", 0, 0),
        (alone, "judged", 0, 0),
        (alone, "roll back", 0, 0),
        (alone, "one step", 0, 1),
        (fresh, "one step", 1, 0),
        (fresh, "at once", 0, 1),
    ],
)
def test_every_promise_is_kept(start: Callable[..., State], plan: str, people: int, faults: int) -> None:
    found = explore(start(plan, people, faults))
    assert found.complete
    assert found.rested == found.states > 50
    assert found.transitions > found.states


Step = tuple[State, str, State]


def test_what_is_older_than_anything_that_is_counted_is_all_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = next(after for _, _, after in _steps(in_use("judged", 0, 0)) if after.account.passing)
    # Its pass grows old, and so do replicas that are waited for.
    start = passing._replace(measured=Measured.LATE)
    known = set(_steps(start))
    with monkeypatch.context() as longer:
        longer.setattr(state, "OLD", state.OLD + 30)
        longer.setattr(state, "LONG_AGO", NOW - timedelta(seconds=state.OLD))
        _forget_times()
        steps = set(_steps(start))
    # They are compared with the times as they were.
    _forget_times()
    assert len(steps) > len(known)
    assert {(_capped(before), label, _capped(after)) for before, label, after in steps} == known


def _forget_times() -> None:
    """Nothing is decided yet, and no time has passed."""
    forget()
    for remembered in (state.shifted, state._aged):
        remembered.cache_clear()


def _steps(start: State) -> Iterator[Step]:
    """All that can come after it, nearest first."""
    found, ahead = {start}, [start]
    for before in ahead:
        for label, after in successors(before):
            yield before, label, after
            if after not in found:
                found.add(after)
                ahead.append(after)


def _capped(one: State) -> State:
    """The same with times that are no older than OLD."""
    services = state.aged(one.services, 0, STABLE_FOR)
    return one._replace(memory=state.canonical(state.memory_of(one.memory)), services=services)


def _nothing(*_: Any, **__: Any) -> timedelta:
    return timedelta()


def _abort_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(orders._DO, Verb.ABORT, lambda before, order, scene: (before, ""))


def _pause_is_ignored(patch: pytest.MonkeyPatch) -> None:
    real = aim.aim_of
    for module in (aim, steps, standing):
        patch.setattr(module, "aim_of", _without_pause(real))


def _without_pause(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda rollout, now: real(rollout.model_copy(update={"paused": None}), now)


def _rejections_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory.Memory, "remember", lambda self, *_: self)


def _holds_are_skipped(patch: pytest.MonkeyPatch) -> None:
    real = steps._established

    def established(rollout: Any, aim: Any, now: Any) -> Any:
        return real(rollout, aim, now).model_copy(update={"next_at": now})

    patch.setattr(steps, "_established", established)


def _nobody_drains(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retire, "span", _nothing)


def _one_replica_is_enough(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(aim, "capacity", lambda replicas, weight: 1)


def _the_gateway_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(steps, "routed", _as_soon_as_it_is_written)


def _as_soon_as_it_is_written(before: memory.Memory, observed: Observed, goal: aim.Aim) -> bool:
    return observed.serving.route.shares == naming.shares(before, goal.weight)


def _nobody_is_named_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Route, "knows", lambda self, revision: True)


def _requests_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Route, "names", Route.reaches)


def _previous_goes_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory, "cold", lambda revision: revision)
    patch.setattr(memory.Memory, "leave", lambda self, leaving: self)


def _orders_are_not_remembered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "carry_out", _forgetting(orders.carry_out))


def _forgetting(real: Callable[..., Any]) -> Callable[..., Any]:
    def carry_out(before: Any, *rest: Any) -> Any:
        return replace(real(before, *rest), handled=before.handled)

    return carry_out


def _zeros_are_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(naming, "_known", lambda *_: iter(()))


def _approval_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(aim, "awaits_approval", lambda rollout: False)


def _evidence_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(aim, "awaits_evidence", lambda rollout: False)


def _a_pass_counts_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "lapse", lambda before, *_: before)


def _failures_are_forgiven(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory.Memory, "reject", lambda self, *_: self)


def _the_deadline_overrides_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deadline, "_may_have_everything", lambda *_: True)


def _the_stable_one_is_thought_to_answer(patch: pytest.MonkeyPatch) -> None:
    for module in (give_up, decide, steps):
        patch.setattr(module, "stranded", lambda *_: False)


def _what_was_put_off_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "make_good", lambda memory, *_: memory)


def _testers_and_copies_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(standing, "_shared", lambda *_: False)


def _the_deadline_goes_on(patch: pytest.MonkeyPatch) -> None:
    real = steps._established

    def established(rollout: Any, aim: Any, now: Any) -> Any:
        return real(rollout, aim, now).model_copy(update={"deadline_at": rollout.deadline_at})

    patch.setattr(steps, "_established", established)


SEEDS: list[tuple[Seed, Callable[..., State], str, int, int, str]] = [
    (_abort_is_ignored, in_use, "one step", 1, 0, "aborted and still gets requests"),
    (_pause_is_ignored, in_use, "one step", 1, 0, "for a rollout that is paused"),
    (_rejections_are_forgotten, in_use, "one step", 0, 1, "failed, and gets requests"),
    (_holds_are_skipped, in_use, "one step", 0, 0, "has held 10 s of 20s"),
    (_nobody_drains, in_use, "one step", 0, 0, "after its last request"),
    (_one_replica_is_enough, in_use, "one step", 0, 0, "has 1 of 2 replicas"),
    (_the_gateway_is_not_waited_for, in_use, "one step", 0, 0, "stage"),
    (_nobody_is_named_first, in_use, "one step", 0, 0, "before the gateway knows it"),
    (_requests_are_forgotten, in_use, "roll back", 0, 1, "after its last request"),
    (_previous_goes_at_once, in_use, "one step", 0, 0, "goes, which"),
    (_orders_are_not_remembered, in_use, "one step", 1, 0, "where nothing is due"),
    (_zeros_are_left_out, in_use, "one step", 0, 0, "in the middle of a rollout"),
    (_approval_is_not_waited_for, in_use, "whole", 0, 0, "without the approval"),
    (_evidence_is_not_waited_for, alone, "judged", 0, 1, "without evidence"),
    (_a_pass_counts_for_ever, alone, "judged", 0, 1, "without evidence, no more being measured"),
    (_failures_are_forgiven, alone, "judged", 0, 1, "was seen to be bad, and goes on"),
    (_the_stable_one_is_thought_to_answer, alone, "roll back", 0, 1, "answers, and nobody will"),
    (_what_was_put_off_is_forgotten, alone, "roll back", 0, 1, "was put off, and"),
    (_the_deadline_overrides_everything, in_use, "promote", 0, 0, "stage 2 after stage 0"),
    (_the_deadline_goes_on, approved, "approved", 0, 0, "it has all traffic, and the deadline strikes"),
    (_testers_and_copies_are_overlooked, in_use, "whole", 0, 1, "is told of v1, and others get requests"),
]


@pytest.mark.parametrize(("seed", "start", "plan", "people", "faults", "finding"), SEEDS)
def test_a_mistake_in_the_core_is_found(
    seed: Seed,
    start: Callable[..., State],
    plan: str,
    people: int,
    faults: int,
    finding: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = start(plan, people, faults)
    seed(monkeypatch)
    forget()
    with pytest.raises(Counterexample) as found:
        explore(begun, most=MOST)
    history = str(found.value)
    assert finding in history
    assert "v2 declared; stable v1" in history
