"""The work queue: each key waits once, is worked on once, and comes back when it shall."""

from __future__ import annotations

import asyncio

import pytest

from serin.controller.queue import FIRST_DELAY
from serin.controller.queue import LONGEST_DELAY
from serin.controller.queue import Key
from serin.controller.queue import Queue
from tests.unit.controller.virtual import VirtualTime

A, B, C = Key("n", "a"), Key("n", "b"), Key("n", "c")


@pytest.fixture
def event_loop_policy() -> VirtualTime:
    return VirtualTime()


async def take(queue: Queue) -> Key | None:
    """The next key if there is one now."""
    return (await queue.get())[0] if len(queue) else None


def now() -> float:
    return asyncio.get_running_loop().time()


async def drain(queue: Queue) -> list[Key]:
    keys = []
    while (key := await take(queue)) is not None:
        keys.append(key)
        queue.done(key)
    return keys


async def test_a_key_waits_once() -> None:
    queue = Queue()
    for key in (A, B, A, A):
        queue.add(key)
    # client-go counts what joins the line (workqueue queue.go, Add).
    assert (len(queue), queue.counts.adds) == (2, 2)
    assert await drain(queue) == [A, B]
    queue.add(A)
    key, _ = await queue.get()
    for _ in range(2):
        queue.add(key)
    assert queue.counts.adds == 4


async def test_what_was_just_changed_goes_before_the_backlog() -> None:
    queue = Queue()
    queue.add(A, fresh=False)
    queue.add(B, fresh=False)
    queue.add(C)
    queue.add(B)
    assert await drain(queue) == [C, B, A]
    queue.add(A)
    queue.add(A, fresh=False)
    assert len(queue) == 1


async def test_a_key_is_worked_on_by_one_at_a_time() -> None:
    queue = Queue()
    queue.add(A)
    assert await take(queue) == A
    queue.add(A)
    assert (await take(queue), list(queue.in_flight)) == (None, [A])
    queue.done(A)
    assert await drain(queue) == [A]
    assert await drain(queue) == []


@pytest.mark.parametrize(("fresh", "order"), [(True, [A, B]), (False, [B, A])])
async def test_a_key_that_was_added_in_flight_keeps_its_urgency(*, fresh: bool, order: list[Key]) -> None:
    queue = Queue()
    queue.add(A)
    assert await take(queue) == A
    queue.add(A, fresh=False)
    queue.add(A, fresh=fresh)
    queue.add(B, fresh=False)
    queue.done(A)
    assert await drain(queue) == order


async def test_how_long_a_key_waited() -> None:
    queue = Queue()
    queue.add(A, fresh=False)
    await asyncio.sleep(3)
    queue.add(A)
    await asyncio.sleep(2)
    assert await queue.get() == (A, 5)


async def test_later_means_later() -> None:
    queue = Queue()
    queue.add_at(A, now() + 10)
    await asyncio.sleep(9.9)
    assert await drain(queue) == []
    await asyncio.sleep(0.2)
    assert await drain(queue) == [A]
    await asyncio.sleep(100)
    assert await drain(queue) == []


async def test_the_earlier_moment_counts() -> None:
    queue = Queue()
    queue.add_at(A, now() + 50)
    queue.add_at(A, now() + 10)
    queue.add_at(A, now() + 30)
    queue.add_at(B, now() + 20)
    await asyncio.sleep(10)
    assert await drain(queue) == [A]
    await asyncio.sleep(100)
    assert await drain(queue) == [B]


async def test_a_look_in_between_makes_the_moment_void() -> None:
    queue = Queue()
    queue.add_at(A, now() + 10)
    queue.add(A)
    assert await drain(queue) == [A]
    await asyncio.sleep(100)
    assert await drain(queue) == []


async def test_moments_that_were_replaced_take_no_memory() -> None:
    """A look every few minutes at what is due in weeks must not add up."""
    queue = Queue()
    weeks = now() + 30 * 86400
    for number in range(10_000):
        queue.add_at(A, weeks + number)
        queue.add(A)
        assert await take(queue) == A
        queue.done(A)
    assert len(queue._timers) < 200
    queue.add_at(A, weeks)
    queue.add_at(B, weeks)
    await asyncio.sleep(31 * 86400)
    assert set(await drain(queue)) == {A, B}


async def test_failures_wait_longer_each_time_and_are_forgotten() -> None:
    queue = Queue()
    delays = []
    for number in range(20):
        queue.add(A)
        assert await take(queue) == A
        delays.append(queue.failed(A))
        queue.done(A)
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2**number)
        assert longest / 2 <= delays[-1] <= longest
        await asyncio.sleep(delays[-1])
        assert await drain(queue) == [A]
    assert (queue.failures(A), queue.counts.retries) == (20, 20)
    queue.forget(A)
    assert queue.failed(A) <= FIRST_DELAY


async def test_a_failure_may_ask_for_more_time() -> None:
    queue = Queue()
    assert queue.failed(A, at_least=60) == 60
    await asyncio.sleep(59)
    assert await drain(queue) == []
    await asyncio.sleep(1)
    assert await drain(queue) == [A]


async def test_whoever_waits_gets_it() -> None:
    queue = Queue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(A)
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert [one.result()[0] for one in done] == [A]
    for one in pending:
        one.cancel()
    await asyncio.wait(pending)
    queue.done(A)
    queue.add(B)
    assert (await asyncio.wait_for(queue.get(), 5))[0] == B
