"""Messages as operator and agents publish them, and what of them is in the stream."""

import asyncio
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from aio_pika.abc import AbstractConnection
from tests.support.waiting import eventually

from harebell_archive.stream import count, reading
from harebell_bus.envelopes import AgentRef, Progressed, TaskRef, Work
from harebell_bus.publisher import Publisher
from harebell_bus.topology import (
    AGENT_TYPE_HEADER,
    ATTEMPT_HEADER,
    LANE_HEADER,
    PRIORITIES,
    REPLIES_EXCHANGE,
    TASK_NAME_HEADER,
    TASK_NAMESPACE_HEADER,
    WORK_EXCHANGE,
)

from .conftest import AGENT_TYPE, LANE

AGENT = AgentRef(id="agent-1", instance=uuid4().hex)


def task(number: int) -> TaskRef:
    return TaskRef(namespace="default", name=f"task-{number}", uid=f"uid-{number}")


async def publish_work(publisher: Publisher, number: int) -> None:
    """Publish a Task's first attempt."""
    work = Work(
        task=task(number),
        attempt=1,
        agent_type=AGENT_TYPE,
        action="echo",
        payload={"number": number, "text": "x" * 300},
        priority="high",
        published_at=datetime.now(UTC),
    )
    await publisher.publish(
        WORK_EXCHANGE,
        work,
        message_id=f"uid-{number}.1",
        correlation_id=work.task.uid,
        priority=PRIORITIES["high"],
        headers={
            AGENT_TYPE_HEADER: AGENT_TYPE,
            LANE_HEADER: LANE.name,
            TASK_NAMESPACE_HEADER: work.task.namespace,
            TASK_NAME_HEADER: work.task.name,
            ATTEMPT_HEADER: 1,
        },
    )


async def publish_reply(publisher: Publisher, number: int) -> None:
    """Publish what an agent says of it."""
    reply = Progressed(task=task(number), attempt=1, agent=AGENT, at=datetime.now(UTC), percent=50)
    await publisher.publish(
        REPLIES_EXCHANGE, reply, message_id=f"uid-{number}.p", correlation_id=reply.task.uid
    )


@dataclass(frozen=True)
class Rate:
    """How fast messages were published, and how long each took to be confirmed."""

    a_second: float
    median_ms: float
    p99_ms: float

    def __str__(self) -> str:
        return (
            f"{self.a_second:.0f} a second, confirmed in {self.median_ms:.1f} ms (p99 {self.p99_ms:.0f} ms)"
        )


async def publish_many(
    publisher: Publisher, numbers: Iterable[int], a_second: float | None = None, at_once: int = 50
) -> Rate:
    """Publish work and replies in turn, each confirmed: so many a second, or None: as many as can be."""
    waiting = enumerate(numbers)
    took: list[float] = []
    begun = time.perf_counter()

    async def worker() -> None:
        for place, number in waiting:
            if a_second is not None:
                await asyncio.sleep(begun + place / a_second - time.perf_counter())
            sent = time.perf_counter()
            await (publish_work if number % 2 else publish_reply)(publisher, number)
            took.append(time.perf_counter() - sent)

    await asyncio.gather(*(worker() for _ in range(at_once)))
    centiles = statistics.quantiles(took, n=100)
    return Rate(len(took) / (time.perf_counter() - begun), centiles[49] * 1000, centiles[98] * 1000)


async def in_stream(connection: AbstractConnection, messages: int, seconds: float = 60) -> dict[int, str]:
    """Read the stream until so many messages came, and return their ids by their offsets."""
    found: dict[int, str] = {}
    async with asyncio.timeout(seconds), reading(connection, "first") as reader:
        while len(found) < messages:
            batch = await reader.batch(seconds)
            found |= {d.arrival.offset: d.arrival.message_id or "" for d in batch}
            await reader.acknowledge(batch)

    async def counted() -> bool:
        # The broker's own records are counted, too.
        return await count(connection) == max(found) + 1

    await eventually("the stream to hold these and no more", counted)
    return found
