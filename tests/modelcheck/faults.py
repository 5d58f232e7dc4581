"""What goes wrong around the operator."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator

from tests.modelcheck.nature import Step
from tests.modelcheck.nature import in_order
from tests.modelcheck.nature import old_view
from tests.modelcheck.nature import with_service
from tests.modelcheck.state import LiveRoute
from tests.modelcheck.state import Measured
from tests.modelcheck.state import Pod
from tests.modelcheck.state import Sent
from tests.modelcheck.state import Service
from tests.modelcheck.state import State
from tests.modelcheck.state import memory_of


def fails(state: State) -> Iterator[Step]:
    """What goes wrong around the operator."""
    memory = memory_of(state.memory)
    if not state.down:
        yield "the registry does not answer any more", state._replace(down=True)
    rollout = memory.rollout
    if rollout is not None and rollout.course.analysis is not None:
        for measured in Measured:
            if measured is not state.measured and measured is not Measured.GOOD:
                yield f"{measured.value} is measured from now on", state._replace(measured=measured)
    if state.route is not None and state.route.answer == "":
        refused = state.route._replace(answer="refused")
        yield (
            "the gateway refuses the route",
            state._replace(route=refused, seen_route=old_view(state, state.seen_route, state.route)),
        )
    for revision, service in state.services:
        for words, change in TROUBLES.items():
            # Where none is listed, one that starts may fail.
            if change(service) != service:
                yield words.format(revision), with_service(state, revision, change(service))
        by_hand = state._replace(account=state.account._replace(by_hand=True))
        yield f"somebody deletes {revision}", with_service(by_hand, revision, None)
    if state.route is not None and memory.stable is not None:
        yield from _route_by_hand(state)


def _route_by_hand(state: State) -> Iterator[Step]:
    state = state._replace(
        account=state.account._replace(by_hand=True, asked=()),
        seen_route=old_view(state, state.seen_route, state.route),
    )
    yield "somebody deletes the route", state._replace(route=None)
    for revision, _ in state.services:
        edited = LiveRoute(Sent(((revision, 100),)), by_hand=True)
        if state.route is None or edited.sent != state.route.sent:
            yield f"somebody routes everything to {revision}", state._replace(route=edited)


def _first(trouble: str) -> Callable[[Service], Service]:
    def change(service: Service) -> Service:
        return service._replace(pods=in_order((Pod(-1, trouble), *service.pods[1:])))

    return change


def _gone(service: Service) -> Service:
    return service._replace(pods=())


TROUBLES: dict[str, Callable[[Service], Service]] = {
    "a pod of {} crashes": _first("crash"),
    "a pod of {} cannot start": _first("loop"),
    "a pod of {} finds no node": _first("stuck"),
    "all pods of {} vanish": _gone,
}
