"""Messages as operator and agents publish them, and what of them is in the stream."""

import asyncio
import time
from collections.abc import Iterable
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


async def publish_many(publisher: Publisher, numbers: Iterable[int], at_once: int = 50) -> float:
    """Publish work and replies in turn, each confirmed, and return how many a second were."""
    waiting = iter(numbers)
    done = 0

    async def worker() -> None:
        nonlocal done
        for number in waiting:
            await (publish_work if number % 2 else publish_reply)(publisher, number)
            done += 1

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return done / (time.perf_counter() - begun)


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
