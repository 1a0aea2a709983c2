"""The work queue: once each, one worker at a time, again if added meanwhile."""

import asyncio
from weakref import ref

from harebell_operator.workqueue import WorkQueue


async def test_a_key_waits_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_during_its_work_is_taken_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_the_earliest_delay_wins() -> None:
    now = 100.0
    queue: WorkQueue[str] = WorkQueue(lambda: now)
    queue.add_after("a", 50)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    now = 105.0
    assert await queue.get() == "a"
    queue.done("a")
    now = 1000.0
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add("b")
    assert await waiting == "b"


class Key(str):
    """A key that says, through a weak reference, whether the queue still holds it."""


async def test_what_was_overtaken_or_forgotten_is_not_kept_until_its_time() -> None:
    queue: WorkQueue[str] = WorkQueue(lambda: 100.0)
    seen = []
    for n in range(1000):
        overtaken, forgotten = Key("k"), Key(n)
        seen += [ref(overtaken), ref(forgotten)]
        queue.add_after(forgotten, 86_400)
        queue.forget(forgotten)
        queue.add_after(overtaken, 86_400)
        queue.add_after("k", 0)
        assert await queue.get() == "k"
        queue.done("k")
    del overtaken, forgotten
    assert sum(key() is not None for key in seen) < 100


async def test_what_is_due_later_outlives_what_is_dropped() -> None:
    now = 100.0
    queue: WorkQueue[int] = WorkQueue(lambda: now)
    for key in range(1000):
        queue.add_after(key, 1000 - key)
    for key in range(1000):
        if key % 100:
            queue.forget(key)
    queue.add_after(0, 50)
    for key, seconds in ((0, 50), (900, 100), (800, 200)):
        now = 100.0 + seconds
        assert await queue.get() == key
        queue.done(key)
    assert len(queue) == 0


async def test_no_two_workers_on_one_key() -> None:
    queue: WorkQueue[int] = WorkQueue()
    active: set[int] = set()
    seen = 0
    done = asyncio.Event()

    async def handle(key: int) -> None:
        nonlocal seen
        assert key not in active
        active.add(key)
        await asyncio.sleep(0)
        active.discard(key)
        seen += 1
        if seen < 200:
            queue.add(key)
            queue.add((key + 1) % 5)
        else:
            done.set()

    workers = [asyncio.create_task(queue.work(handle)) for _ in range(4)]
    queue.add(0)
    await asyncio.wait_for(done.wait(), 10)
    for worker in workers:
        worker.cancel()
    results = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(r, asyncio.CancelledError) for r in results)


async def test_a_closed_queue_lets_workers_finish_what_they_do() -> None:
    queue: WorkQueue[str] = WorkQueue()
    begun, told = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def handle(key: str) -> None:
        begun.set()
        await told.wait()
        done.append(key)

    workers = [asyncio.create_task(queue.work(handle)) for _ in range(2)]
    queue.add("a")
    await begun.wait()
    queue.close()
    queue.add("b")
    idle, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
    assert len(idle) == 1
    told.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*workers)
    assert done == ["a"]
