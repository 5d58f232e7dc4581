"""What happens, in three acts. Plays on a scene and takes notes; what they amount to is judged in claims.py."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field

from e2e.demo.scene import ALIAS
from e2e.demo.scene import MODEL
from e2e.demo.scene import Scene
from e2e.traffic import Traffic
from e2e.watching import NotSeenError
from e2e.watching import Seen
from e2e.watching import Watch

# How long each state is shown once nothing moves any more.
_REST_SECONDS = 8.0
# An idle machine with two cores needs a tenth of it.
_DEADLINE_SECONDS = 240.0


@dataclass(frozen=True)
class Note:
    """Something worth telling."""

    at: float
    """Unix time."""
    text: str
    mark: str = ""
    """A word or two for the time axis."""


@dataclass
class Story:
    """What has been told so far, and the moments that claims are made about."""

    traffic: Traffic
    watch: Watch
    tell: Callable[[Note], None]
    notes: list[Note] = field(default_factory=list)
    began: float = field(default_factory=time.time)
    applied_at: float = 0.0
    served_at: float = 0.0
    moved_at: dict[str, float] = field(default_factory=dict)
    """When the alias was moved to each version."""
    promoted_at: float = 0.0
    retired_at: float = 0.0
    rejected_at: float = 0.0
    ended_at: float = 0.0

    def note(self, text: str, mark: str = "", at: float | None = None) -> float:
        """Tell something; the moment it happened."""
        note = Note(time.time() if at is None else at, text, mark)
        self.notes.append(note)
        self.tell(note)
        return note.at

    @property
    def clock(self) -> float:
        """Where the time axis begins: the first request."""
        return self.traffic.started or self.began

    def play(self, scene: Scene) -> None:
        """All three acts.

        Raises:
            NotSeenError: something did not happen.
        """
        self._serve(scene)
        self._promote(scene)
        self._reject(scene)
        self.ended_at = time.time()

    def _serve(self, scene: Scene) -> None:
        scene.kubectl.apply([scene.deployment])
        self.applied_at = self.note(f"ModelDeployment applied; the alias {ALIAS} of {MODEL} points at version 1")
        served = self.watch.until("v1 serves", _settled("v1"), _DEADLINE_SECONDS)
        scene.endpoint.wait()
        self.served_at = self.note("v1 serves; the requests begin", at=served.at)
        self.traffic.start()
        self._rest()

    def _promote(self, scene: Scene) -> None:
        self._move(scene, 2)
        since, steps = self.moved_at["v2"], len(scene.weights)
        for number, weight in enumerate(scene.weights, 1):
            step = self.watch.until(f"step {number} begins", _in_step(number), _DEADLINE_SECONDS, since)
            self.note(f"step {number}/{steps}: {weight} % of the requests to v2", f"{weight} %", step.at)
        promoted = self.watch.until("v2 is promoted", _settled("v2"), _DEADLINE_SECONDS, since)
        self.promoted_at = self.note("v2 is promoted: it has all traffic, v1 stays warm", "100 %", promoted.at)
        gone = self.watch.until("v1 is retired", _retired, _DEADLINE_SECONDS, promoted.at)
        self.retired_at = self.note("v1 is retired", at=gone.at)
        self._rest()

    def _reject(self, scene: Scene) -> None:
        self._move(scene, 3)
        back = self.watch.until("v3 is rolled back", _rolled_back, _DEADLINE_SECONDS, self.moved_at["v3"])
        self.rejected_at = self.note(back.message, "rejected", back.at)
        self._rest()

    def _move(self, scene: Scene, version: int) -> None:
        scene.move_alias(version)
        name = f"v{version}"
        self.moved_at[name] = self.note(f"alias {ALIAS} moved to version {version}", f"→ {name}")

    def _rest(self) -> None:
        time.sleep(_REST_SECONDS)


def _settled(version: str) -> Callable[[Seen], Seen | None]:
    return lambda seen: _unless_rolled_back(seen, seen.settled(version))


def _in_step(number: int) -> Callable[[Seen], Seen | None]:
    def check(seen: Seen) -> Seen | None:
        established = seen.rollout.get("step") == number and "stepStartedAt" in seen.rollout
        return _unless_rolled_back(seen, established)

    return check


def _unless_rolled_back(seen: Seen, reached: bool) -> Seen | None:
    if seen.phase == "RolledBack":
        raise NotSeenError(f"rolled back: {seen.message}")
    return seen if reached else None


def _retired(seen: Seen) -> Seen | None:
    gone = seen.phase == "Healthy" and not seen.status.get("previous") and not seen.status.get("retiring")
    return seen if gone else None


def _rolled_back(seen: Seen) -> Seen | None:
    return seen if seen.phase == "RolledBack" else None
