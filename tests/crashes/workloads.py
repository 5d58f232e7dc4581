"""What an operator is crashed in: short stories of one ModelDeployment.

Each prepares what it begins with, calls ``begin``, from where on writes count and faults happen, and then does what
people and pods do. What is waited for here is what must come before the next thing is done; that the end is the same
as without a fault, and that nothing is written after it, is looked at by the run itself. A workload is a function here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from collections.abc import Callable

from tests.crashes.scene import Scene
from tests.integration.pods import crash_looping

Workload = Callable[[Scene], Awaitable[None]]

QUICK = ({"weight": 10, "hold": "0s"}, {"weight": 30, "hold": "1s"}, {"weight": 60, "hold": "0s"})
# Holds until something else happens.
LASTING = ({"weight": 30, "hold": "1h"}, {"weight": 60, "hold": "0s"})


async def create(scene: Scene) -> None:
    """The first version."""
    await scene.begin()
    await scene.deploy(1)
    await scene.healthy(1)


async def change(scene: Scene) -> None:
    """Another version, in three steps."""
    await scene.serve(1, steps=QUICK)
    await scene.begin()
    await scene.declare(2)
    await scene.healthy(2)


async def rollback(scene: Scene) -> None:
    """A version whose model cannot be loaded."""
    await scene.serve(1, steps=QUICK)
    await scene.pods(2, crash_looping("mlflow.exceptions.MlflowException: no such artifact"))
    await scene.begin()
    await scene.declare(2)
    await scene.phase("RolledBack")


async def breakdown(scene: Scene) -> None:
    """A version that crashes when it has had requests for a while."""
    await scene.serve(1, steps=LASTING)
    await scene.begin()
    await scene.declare(2)
    await scene.step(1)
    await scene.pods(2, crash_looping("Traceback: MemoryError", exit_code=137))
    await scene.phase("RolledBack")


async def supersede(scene: Scene) -> None:
    """A third version in the middle of the rollout of the second."""
    await scene.serve(1, steps=LASTING)
    await scene.begin()
    await scene.declare(2)
    await scene.step(1)
    await scene.declare(3, steps=())
    await scene.healthy(3)


async def revert(scene: Scene) -> None:
    """The stable version declared again in the middle of a rollout."""
    await scene.serve(1, steps=LASTING)
    await scene.begin()
    await scene.declare(2)
    await scene.step(1)
    await scene.declare(1)
    await scene.healthy(1)


async def delete(scene: Scene) -> None:
    """Deleted in the middle of a rollout."""
    await scene.serve(1, steps=LASTING)
    await scene.declare(2)
    await scene.step(1)
    await scene.begin()
    await scene.delete()


async def recreate(scene: Scene) -> None:
    """Deleted, and made again at once under the same name."""
    await scene.serve(1, steps=QUICK)
    await scene.begin()
    await scene.delete()
    await scene.deploy(2)
    await scene.healthy(2)


async def undo(scene: Scene) -> None:
    """Back to a version that is still warm, by order."""
    await scene.serve(1, steps=(), keep="1h")
    await scene.declare(2)
    await scene.healthy(2)
    await scene.begin()
    await scene.order("undo", "stable")
    await scene.serving(1)


async def undo_cold(scene: Scene) -> None:
    """Back to a version that was removed, by order."""
    await scene.serve(1, steps=())
    await scene.declare(2)
    await scene.healthy(2)
    await scene.gone(1)
    await scene.begin()
    await scene.order("undo", "stable")
    await scene.serving(1)


async def abort(scene: Scene) -> None:
    """Aborted in the middle of a rollout, by order."""
    await scene.serve(1, steps=LASTING)
    await scene.declare(2)
    await scene.step(1)
    await scene.begin()
    await scene.order("abort", "candidate")
    await scene.phase("RolledBack")


async def promote(scene: Scene) -> None:
    """Promoted in the middle of a rollout, by order."""
    await scene.serve(1, steps=LASTING)
    await scene.declare(2)
    await scene.step(1)
    await scene.begin()
    await scene.order("promote", "candidate")
    await scene.healthy(2)


async def pause(scene: Scene) -> None:
    """Stopped and resumed by order."""
    await scene.serve(1, steps=LASTING)
    await scene.declare(2)
    await scene.step(1)
    await scene.begin()
    await scene.order("pause", "candidate")
    await scene.phase("Paused")
    await scene.order("resume", "candidate")
    await scene.phase("Progressing")


async def approve(scene: Scene) -> None:
    """A step that goes on when somebody says so."""
    await scene.serve(1, steps=({"weight": 10, "hold": "0s"}, {"weight": 50, "approval": True}))
    await scene.declare(2)
    await scene.step(2)
    await scene.begin()
    await scene.order("approve", "candidate")
    await scene.healthy(2)


WORKLOADS: dict[str, Workload] = {
    story.__name__: story
    for story in (
        create,
        change,
        rollback,
        breakdown,
        supersede,
        revert,
        delete,
        recreate,
        undo,
        undo_cold,
        abort,
        promote,
        pause,
        approve,
    )
}
