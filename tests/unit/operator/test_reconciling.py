"""Whatever a step comes to is counted, and what failed is tried again when it can help."""

import asyncio

import pytest

from harebell_operator import metrics
from harebell_operator.apiserver import KubeError, NotFoundError, RefusedError
from harebell_operator.reconciling import FAULT_SECONDS, RETRY_SECONDS, take_step
from harebell_operator.workqueue import WorkQueue


class Later(WorkQueue[str]):
    """Remembers what was added for later."""

    def __init__(self) -> None:
        super().__init__()
        self.added: list[tuple[str, float]] = []

    def add_after(self, key: str, seconds: float) -> None:
        self.added.append((key, seconds))


@pytest.mark.parametrize(
    ("error", "outcome", "again", "gone"),
    [
        (None, "success", [], []),
        (NotFoundError("404"), "gone", [], ["key"]),
        (RefusedError("422"), "refused", [("key", FAULT_SECONDS)], []),
        (KubeError("503"), "error", [("key", RETRY_SECONDS)], []),
        (ZeroDivisionError(), "fault", [("key", FAULT_SECONDS)], []),
        (asyncio.CancelledError(), "fault", [("key", FAULT_SECONDS)], []),
    ],
)
async def test_each_outcome(
    error: BaseException | None, outcome: str, again: list[tuple[str, float]], gone: list[str]
) -> None:
    queue, told = Later(), list[str]()
    counter = metrics.RECONCILES.labels("Test", outcome)
    before = counter._value.get()

    async def step() -> None:
        if error is not None:
            raise error

    await take_step("Test", "name", "key", queue, step(), told.append)

    assert counter._value.get() == before + 1
    assert (queue.added, told) == (again, gone)


async def test_a_worker_outlives_a_cancellation_that_nobody_asked_for_and_no_other() -> None:
    queue: WorkQueue[str] = WorkQueue()
    handled = []
    reached = asyncio.Event()

    async def step(key: str) -> None:
        handled.append(key)
        if key == "stray":
            given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            given_up.cancel()
            await given_up
        reached.set()
        await asyncio.Event().wait()

    async def handle(key: str) -> None:
        await take_step("Test", key, key, queue, step(key), handled.append)

    for key in ("stray", "next"):
        queue.add(key)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        worker = group.create_task(queue.work(handle))
        reaching = group.create_task(reached.wait())
        await asyncio.wait((worker, reaching), return_when=asyncio.FIRST_COMPLETED)
        assert handled == ["stray", "next"]
        worker.cancel()
    assert worker.cancelled()
