"""What may go wrong between an operator and its API server, as a table: a line here is a mode of ``make crashes``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Deed(Enum):
    """What is done to one request."""

    PASS = "it is forwarded, and so is the answer"
    KILL_BEFORE = "the operator is killed, and the request never reaches the server"
    KILL_AFTER = "the operator is killed once it has the server's answer"
    KILL_LOST = "the server does it, and the operator is killed without having had the answer"
    UNANSWERED = "the server does it, and the connection is cut before the answer"
    CUT = "the connection is cut, and the request never reaches the server"
    REFUSE = "it is answered with an error, and never reaches the server"


KILLS = frozenset({Deed.KILL_BEFORE, Deed.KILL_AFTER, Deed.KILL_LOST})


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as the API server would word it."""

    code: int
    reason: str
    message: str
    retry_after: int | None = None


CONFLICT = Refusal(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
EXPIRED = Refusal(410, "Expired", "too old resource version")
THROTTLED = Refusal(429, "TooManyRequests", "too many requests, please try again later", retry_after=1)
BROKEN = Refusal(500, "InternalError", "etcdserver: request timed out")
AWAY = Refusal(503, "ServiceUnavailable", "the server is currently unable to handle the request")


@dataclass(frozen=True, slots=True)
class Fault:
    """One mode. What is not set goes well."""

    name: str
    what: str
    """In the table of results."""
    write: Deed = Deed.PASS
    """Done to one write, whose number makes it a run of its own; where ``often`` is set, to every second write."""
    read: Deed = Deed.PASS
    """Done to every second read of each path, watches included, beginning with those of an operator that starts. What
    has expired is only the first watch of each path."""
    refusal: Refusal | None = None
    often: bool = False
    every: int = 1
    """Not each write has a run, but each so many-th."""
    workloads: tuple[str, ...] = ()
    """Only these; all where none is named."""
    watch: str = ""
    """Of each watch: ``expired``: after two events it says so; ``cut``: after two events the connection ends within a
    line; ``dead``: from now on nothing comes any more, and nothing ends; ``stuck``: so do the present ones only."""
    ends: bool = False
    """Whether the operator may end by itself: it is started again then, as it would be in its pod."""
    detours: bool = False
    """Whether requests may go another way meanwhile: who sees no replica gives it none."""
    stale: bool = False
    """An operator that starts again is shown lists from before the workload, and its watches lag, that of its parents
    most."""
    patience: float = 60.0
    """How many seconds a run may take to what it waits for."""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the operator, in this mode."""

    @property
    def each_write(self) -> bool:
        """Whether there is a run for each write."""
        return self.write is not Deed.PASS and not self.often

    @property
    def restarts(self) -> bool:
        """Whether the operator is killed and started again when the workload begins."""
        return self.read is not Deed.PASS


# Whose reads differ: of the others only the writes do.
READING = ("create", "change", "rollback", "breakdown", "supersede", "undo_cold", "delete", "recreate")

FAULTS = (
    Fault("before", "killed before the write", Deed.KILL_BEFORE),
    Fault("after", "killed after the write", Deed.KILL_AFTER),
    Fault("lost", "killed after the write, its answer lost", Deed.KILL_LOST),
    Fault("unanswered", "the write is done, its answer lost", Deed.UNANSWERED),
    Fault(
        "stale",
        "killed after the write, then shown old lists and lagging watches",
        Deed.KILL_AFTER,
        stale=True,
        every=3,
        detours=True,
    ),
    Fault("write-409", "every second write: 409", Deed.REFUSE, refusal=CONFLICT, often=True),
    Fault("write-429", "every second write: 429, Retry-After", Deed.REFUSE, refusal=THROTTLED, often=True),
    Fault("write-500", "every second write: 500", Deed.REFUSE, refusal=BROKEN, often=True),
    Fault("write-503", "every second write: 503", Deed.REFUSE, refusal=AWAY, often=True),
    Fault("write-cut", "every second write: connection cut", Deed.CUT, often=True),
    Fault("read-429", "every second read: 429, Retry-After", read=Deed.REFUSE, refusal=THROTTLED, workloads=READING),
    Fault("read-500", "every second read: 500", read=Deed.REFUSE, refusal=BROKEN, workloads=READING),
    Fault("read-503", "every second read: 503", read=Deed.REFUSE, refusal=AWAY, workloads=READING),
    Fault("read-cut", "every second read: connection cut", read=Deed.CUT, workloads=READING),
    Fault(
        "watch-410",
        "the first watch of each kind: 410",
        read=Deed.REFUSE,
        refusal=EXPIRED,
        ends=True,
        workloads=READING,
    ),
    Fault("watch-expired", "watches say 410 after two events", watch="expired", workloads=READING),
    Fault("watch-cut", "watches end within a line after two events", watch="cut", workloads=READING),
    Fault(
        "watch-dead", "watches go silent: resync", watch="dead", settings=(("resync_seconds", "2"),), workloads=READING
    ),
    # Takes 70 s, the time after which kopf gives up a watch on which nothing comes.
    Fault("watch-stuck", "watches go silent: given up", watch="stuck", workloads=("change", "breakdown"), patience=180),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
CLEAN = Fault("clean", "nothing goes wrong")
