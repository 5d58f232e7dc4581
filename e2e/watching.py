"""What a ModelDeployment said at every moment: a watch in a thread, kept whole, so that nothing short is missed."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TypeVar

from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object

_API = "/apis/serin.dev/v1alpha1"
_AGAIN_SECONDS = 0.5

T = TypeVar("T")


class NotSeenError(AssertionError):
    """Something did not happen in time; the message has the status as it is instead."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A ModelDeployment as it was from a moment on."""

    at: float
    """Unix time at which it was seen, a few milliseconds after it was written."""
    body: Object

    @property
    def status(self) -> Object:
        """Its status; empty before the operator has written one."""
        found: Object = self.body.get("status") or {}
        return found

    @property
    def phase(self) -> str:
        """The state in one word."""
        return str(self.status.get("phase", ""))

    @property
    def message(self) -> str:
        """The state in one sentence."""
        return str(self.status.get("message", ""))

    @property
    def stable(self) -> str | None:
        """The version in use."""
        return (self.status.get("stable") or {}).get("version")

    @property
    def rollout(self) -> Object:
        """The running rollout; empty where there is none."""
        found: Object = self.status.get("rollout") or {}
        return found

    @property
    def weights(self) -> dict[str, int]:
        """Percent of each version that has traffic."""
        return {share["version"]: share["weight"] for share in self.status.get("traffic") or []}

    @property
    def current(self) -> bool:
        """Whether the status speaks of the spec as it is."""
        return bool(self.status.get("observedGeneration") == self.body["metadata"]["generation"])

    def condition(self, kind: str) -> Object:
        """A condition; empty where it is absent."""
        return next((one for one in self.status.get("conditions") or [] if one["type"] == kind), {})

    def settled(self, version: str) -> bool:
        """Whether this version serves all, healthily, as declared."""
        return self.current and self.phase == "Healthy" and self.stable == version


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a rollout, between the moments at which its weight was in force."""

    version: str
    weight: int
    number: int
    start: float
    """Unix time at which its clock started."""
    end: float
    """Unix time before which nothing may have moved."""


class Watch:
    """Follows one ModelDeployment."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        self._argv = kubectl.command(
            "get",
            "--raw",
            f"{_API}/namespaces/{namespace}/modeldeployments?watch=1&fieldSelector=metadata.name%3D{name}",
        )
        self.name = f"{namespace}/{name}"
        self._history: list[Seen] = []
        self._news = threading.Condition()
        self._stopping = False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, name=f"watch {self.name}", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        if self._process is not None:
            self._process.terminate()
        self._thread.join(10)

    @property
    def latest(self) -> Seen | None:
        """As it is now, as far as is known."""
        return self._history[-1] if self._history else None

    def history(self, since: float = 0.0) -> list[Seen]:
        """All that was seen since a moment, oldest first."""
        return [seen for seen in list(self._history) if seen.at >= since]

    def until(self, what: str, check: Callable[[Seen], T | None], seconds: float, since: float = 0.0) -> T:
        """Wait for the first state since a moment for which `check` gives something true, and give that.

        Raises:
            NotSeenError: after `seconds`, with `what` and the status as it is instead.
        """
        deadline = time.monotonic() + seconds
        looked = 0
        with self._news:
            while True:
                for seen in self._history[looked:]:
                    if seen.at >= since and (found := check(seen)):
                        return found
                looked = len(self._history)
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise NotSeenError(f"{self.name}: {what}: not within {seconds:.0f} s; {self._described()}")

    def steps(self, since: float = 0.0) -> list[Step]:
        """The steps that rollouts established since a moment, in their order."""
        found: dict[tuple[str, str], Step] = {}
        for seen in self.history(since):
            rollout, candidate = seen.rollout, seen.status.get("candidate") or {}
            started, until = rollout.get("stepStartedAt"), rollout.get("nextAt")
            if rollout.get("step") and started and until and candidate:
                key = (candidate["revision"], started)
                step = Step(
                    version=candidate["version"],
                    weight=rollout["weight"],
                    number=rollout["step"],
                    start=unix(started),
                    end=unix(until),
                )
                found.setdefault(key, step)
        return list(found.values())

    def _described(self) -> str:
        if self.latest is None:
            return "nothing was seen of it at all"
        status = dict(self.latest.status)
        status.pop("history", None)
        return f"its status is {json.dumps(status)}"

    def _follow(self) -> None:
        while not self._stopping:
            with subprocess.Popen(
                self._argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            ) as self._process:
                for event in _events(self._process):
                    self._take(event)
            # The API server ends every watch some time, and is away while it restarts.
            if not self._stopping:
                time.sleep(_AGAIN_SECONDS)

    def _take(self, event: Object) -> None:
        body = event["object"]
        if event["type"] not in ("ADDED", "MODIFIED"):
            return
        with self._news:
            latest = self.latest
            if latest is None or latest.body["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                self._history.append(Seen(time.time(), body))
                self._news.notify_all()


def _events(process: "subprocess.Popen[str]") -> Iterator[Object]:
    for line in process.stdout or ():
        try:
            yield json.loads(line)
        except ValueError:  # cut off in the middle
            return


def unix(text: str) -> float:
    """Unix time of a timestamp of the API."""
    return datetime.fromisoformat(text).timestamp()
