"""Up to when everything is heard, by what waits and what comes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from harebell_bus.errors import BrokerUnavailableError
from harebell_operator import hearing as module
from harebell_operator.hearing import Hearing

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Queue:
    """The replies that wait at a broker; each look moves the clock on by a second."""

    def __init__(self) -> None:
        self.waiting = 0
        self.now = T0
        self.away = 0
        """How often it cannot be asked."""
        self.looked = asyncio.Event()
        self.told = asyncio.Event()
        self.hearing = Hearing(self.count, lambda: self.now)

    async def count(self) -> int:
        found = self.waiting
        self.now += timedelta(seconds=1)
        self.looked.set()
        if self.away:
            self.away -= 1
            raise BrokerUnavailableError("away")
        return found

    async def look(self) -> None:
        """Wait until it is asked the next time."""
        self.looked.clear()
        async with asyncio.timeout(10):
            await self.looked.wait()

    async def known(self) -> datetime | None:
        """Wait until it is known up to when all is heard."""
        async with asyncio.timeout(10):
            await self.told.wait()
        self.told.clear()
        return self.hearing.until


@pytest.fixture
async def queue(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queue]:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    queue = Queue()
    running = asyncio.create_task(queue.hearing.run(queue.told.set))
    yield queue
    running.cancel()


async def test_nobody_knows_before_somebody_asks(queue: Queue) -> None:
    await asyncio.sleep(0.05)
    assert (queue.hearing.until, queue.now) == (None, T0)


async def test_where_nothing_waits_all_is_heard_up_to_the_question(queue: Queue) -> None:
    queue.now = T0 + timedelta(seconds=7)
    queue.hearing.ask()
    assert await queue.known() == T0 + timedelta(seconds=7)
    queue.hearing.deafen()
    assert queue.hearing.until is None


async def test_what_waits_is_heard_when_as_much_has_come_though_more_waits_by_then(queue: Queue) -> None:
    queue.waiting = 3
    queue.hearing.ask()
    await queue.look()
    await queue.look()  # It has settled: from here on all that comes counts.
    for _ in range(2):
        queue.hearing.heard_one()
    await queue.look()
    assert not queue.told.is_set()
    queue.hearing.heard_one()
    assert await queue.known() == T0
    assert queue.waiting == 3


async def test_what_waits_is_heard_when_nothing_waits_any_more(queue: Queue) -> None:
    queue.waiting = 3
    queue.hearing.ask()
    await queue.look()
    await queue.look()
    assert not queue.told.is_set()
    queue.waiting = 0  # It came while that settled.
    assert await queue.known() == T0


async def test_a_broker_that_cannot_be_asked_is_asked_again(queue: Queue) -> None:
    queue.away = 2
    queue.hearing.ask()
    assert await queue.known() == T0 + timedelta(seconds=2)
