"""The model check: ``python -m tests.modelcheck``. It ends with 1 and a history where a promise can be broken."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator

from tests.modelcheck.core import PLANS
from tests.modelcheck.core import REPLICAS
from tests.modelcheck.core import verdict
from tests.modelcheck.explore import Counterexample
from tests.modelcheck.explore import alone
from tests.modelcheck.explore import explore
from tests.modelcheck.explore import fresh
from tests.modelcheck.explore import in_use
from tests.modelcheck.state import State

BOUNDS = """Bounds: one ModelDeployment with versions 1 to 3 (those nobody has seen are alike) and {replicas} replicas;
{plans} plans of at most two steps and a bake; every time is a multiple of 10 s, and time passes to the next moment that
anything is due; people act at most {people} times and things fail at most {faults} times in a history. Pods, gateway,
time and the operator go on in any order. Several ModelDeployments share nothing, as decide() keeps nothing between two
calls: one is enough. Writes of the status that only tell something are left out."""

# With a share of the requests and a deadline, and with all of them and checks.
ALONE = ("roll back", "judged")


def main() -> int:
    """Check everything within the bounds that the arguments set."""
    arguments = _arguments()
    people = max(one for one, _ in arguments.bounds)
    faults = max(one for _, one in arguments.bounds)
    _say(BOUNDS.format(replicas=REPLICAS, plans=len(PLANS), people=people, faults=faults))
    began, states, transitions, rested = time.monotonic(), 0, 0, 0
    phases: Counter[str] = Counter()
    complete = True
    for plan, start, bound in _runs(arguments):
        try:
            found = explore(start(plan, *bound), most=arguments.most, rest_every=arguments.rest_every)
        except Counterexample as counterexample:
            _say(f"{plan}, {start.__name__}: a promise is broken\n{counterexample}")
            return 1
        states += found.states
        transitions += found.transitions
        rested += found.rested
        complete = complete and found.complete
        phases += found.phases
        _say(
            f"{plan:10} {start.__name__:7} people {bound[0]} faults {bound[1]}: {found.states:9,} states, "
            f"{found.transitions:10,} transitions, {found.deepest} deep{'' if found.complete else ', not to its end'}"
        )
    _say(
        f"{states:,} states, {transitions:,} transitions, {verdict.cache_info().currsize:,} different decisions, "
        f"{rested:,} states followed to their rest, {time.monotonic() - began:.0f} s: every promise is kept"
    )
    _say("phases: " + ", ".join(f"{phase} {count:,}" for phase, count in phases.most_common()))
    if not complete:
        _say(f"not every state was visited: at most {arguments.most:,} a run")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make modelcheck", description=__doc__)
    parser.add_argument(
        "--bounds",
        type=lambda text: [_pair(one) for one in text.split(",")],
        default=[(1, 0), (0, 1)],
        help="how often people act and things fail, as in 1+0,0+1 (the default) or 1+1 or 2+1",
    )
    parser.add_argument("--plan", choices=PLANS, help="only one plan")
    parser.add_argument("--most", type=int, help="stop a run after so many states")
    parser.add_argument("--rest-every", type=int, default=1, help="follow one of so many states to its rest")
    return parser.parse_args()


def _pair(text: str) -> tuple[int, int]:
    people, _, faults = text.partition("+")
    return int(people), int(faults)


def _runs(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[str, int, int], State], tuple[int, int]]]:
    for plan in [arguments.plan] if arguments.plan else PLANS:
        for bound in arguments.bounds:
            starts = (in_use, fresh, alone) if plan in ALONE else (in_use, fresh)
            yield from ((plan, start, bound) for start in starts)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
