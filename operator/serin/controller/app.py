"""The composition root: every part is made here, once, and given to those that need it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator
from collections.abc import Iterable
from datetime import UTC
from datetime import datetime
from functools import partial

import structlog

from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE
from serin.api.kinds import ROLLOUT_POLICY
from serin.cluster.client import FORBIDDEN
from serin.cluster.client import Client
from serin.cluster.client import connect
from serin.cluster.limiter import TokenBucket
from serin.controller import handlers
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.gather import Gatherer
from serin.controller.handlers import CHILDREN
from serin.controller.http import serve
from serin.controller.measure import Measurer
from serin.controller.perform import Performer
from serin.controller.policies import Policies
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.reconcile import Reconciler
from serin.controller.registries import Registries
from serin.controller.resync import Part
from serin.controller.resync import parts
from serin.controller.resync import resync
from serin.controller.telemetry import Telemetry
from serin.controller.watches import Watches
from serin.controller.watches import keep_signals
from serin.controller.watches import unless
from serin.errors import ClusterError
from serin.metrics.prometheus import Prometheus
from serin.serving.kserve import KServe
from serin.settings import Settings
from serin.settings import platform

log = structlog.get_logger(__name__)

# A reconcile that takes longer hangs: its requests have limits, of which a webhook that does not answer takes each to
# more than half a minute.
STUCK_SECONDS = 600
AFTER_FORBIDDEN = 60.0
RETRY_SECONDS = 2.0


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_tell)
    stop = asyncio.Event()
    # Before anything is waited for: a process with number 1 in its pod, and no handler, does not end by SIGTERM.
    keep_signals(stop)
    telemetry = Telemetry()
    limiter = TokenBucket(settings.requests_per_second, settings.request_burst, loop.time)
    client = Client(await connect(settings.kubeconfig), limiter, telemetry.request, loop.time)
    queue = Queue()
    telemetry.watch_queue(queue, settings.workers, loop.time)
    parents, children = Parents(), Children()
    policies = Policies(settings.namespace, queue, parents)
    through_mlflow = settings.artifacts_through_mlflow
    registries = Registries(settings.namespace, client, queue, telemetry, utc_now, through_mlflow=through_mlflow)
    telemetry.watch_registries(registries.polled)
    source = Prometheus(settings.prometheus_url) if settings.prometheus_url is not None else None
    measurer = Measurer(source, queue, utc_now, telemetry.measured, settings.prometheus_matchers)
    backend = KServe()

    def forget(key: Key) -> None:
        registries.forget(key)
        measurer.forget(key)

    reconciler = Reconciler(
        Gatherer(parents, children, registries, policies, measurer, backend, client, platform(settings)),
        Performer(client, children, backend),
        client,
        parents,
        telemetry,
        utc_now,
        socket.gethostname(),
        forget,
    )
    missed = asyncio.Event()
    others = {MODEL_REGISTRY: registries.take, NAMESPACE: registries.take_namespace, ROLLOUT_POLICY: policies.take}
    watches = Watches((MODEL_DEPLOYMENT, *CHILDREN, *others), client.session, client.serves, missed.set)

    def alive() -> bool:
        return all(loop.time() - began < STUCK_SECONDS for began in queue.in_flight.values())

    runner, port = await serve(settings.http_host, settings.http_port, telemetry.registry, alive, watches.ready.is_set)
    log.info("serin starts", port=port, namespace=settings.namespace)
    registry = handlers.watch(queue, parents, children, others, registries.note, watches.login)
    # Before anything is decided, everything is read: a view with holes would be taken for things that are missing.
    round_of = partial(parts, client, queue, parents, children, policies, registries)
    if await unless(stop, prime(round_of())):
        async with _tasks(
            *(work(queue, reconciler, telemetry) for _ in range(settings.workers)),
            resync(round_of, missed, settings.resync_seconds),
            registries.run(),
        ):
            # What was imported stays for good: keep the collector from walking it again and again.
            gc.freeze()
            await watches.run(registry, handlers.settings(), stop)
    await registries.close()
    await measurer.close()
    if source is not None:
        await source.close()
    await runner.cleanup()
    await client.close()


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What nobody awaits, in the log. Not the ends of kopf's watch streams, which the loop closes when it stops: one
    traceback for each kind would be the first that a stranger sees after an upgrade."""
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


async def prime(round_of: Iterable[Part]) -> None:
    """Fill the caches, for as long as it takes the API server to answer. What was read is not read again: one that
    answers now and then would never answer everything in a row."""
    for part in round_of:
        while True:
            try:
                await part()
                break
            except ClusterError as error:
                log.warning("the API server cannot be read yet", status=error.status, error=error.message)
                await asyncio.sleep(max(RETRY_SECONDS, error.retry_after or 0.0))


async def work(queue: Queue, reconciler: Reconciler, telemetry: Telemetry) -> None:
    """One worker: takes keys for ever."""
    loop = asyncio.get_running_loop()
    while True:
        key, waited = await queue.get()
        began = loop.time()
        result = "error"
        try:
            result = await _one(queue, reconciler, key)
        finally:
            queue.done(key)
            telemetry.reconciled(result, waited, loop.time() - began)


async def _one(queue: Queue, reconciler: Reconciler, key: Key) -> str:
    structlog.contextvars.bind_contextvars(kind=MODEL_DEPLOYMENT.kind, object=f"{key.namespace}/{key.name}")
    try:
        outcome = await reconciler.reconcile(key)
    except ClusterError as error:
        at_least = error.retry_after or (AFTER_FORBIDDEN if error.status == FORBIDDEN else 0.0)
        delay = queue.failed(key, at_least=at_least)
        log.warning("reconcile failed", status=error.status, error=error.message, again_in=round(delay, 3))
        return "error"
    except Exception:  # a bug in one reconcile must not end the worker; it is told and counted
        delay = queue.failed(key, at_least=1.0)
        log.exception("reconcile broke (this is a bug, please report it)", again_in=round(delay, 3))
        return "error"
    queue.forget(key)
    if outcome.look_again_at is not None:
        seconds = (outcome.look_again_at - utc_now()).total_seconds()
        queue.add_at(key, asyncio.get_running_loop().time() + max(0.0, seconds))
    return outcome.result


@contextlib.asynccontextmanager
async def _tasks(*coroutines: object) -> AsyncIterator[None]:
    """Run these beside the body. One that ends by itself ends everything: a crippled operator is worse than none."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]  # type: ignore[arg-type, var-annotated]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def utc_now() -> datetime:
    """The wall clock. The only one: everything below gets the time as an argument."""
    return datetime.now(UTC)
