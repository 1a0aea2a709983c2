"""Reading the stream over AMQP 0-9-1.

The broker keeps no offsets for such readers: each says where to begin (``x-stream-offset``), and every
message says its offset in a header of that name (RabbitMQ documentation, "Streams: Consuming"). An offset
that is not there is taken as the nearest end of the stream, so what comes first must be looked at.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from harebell_bus.history import HISTORY_STREAM
from harebell_bus.link import open_channel

from .errors import StreamError
from .rows import Arrival

OFFSET: Final = "x-stream-offset"
PREFETCH: Final = 200
"""Messages in memory at a time. A payload may have 256 KiB."""
BATCH: Final = 100
BATCH_BYTES: Final = 4 * 2**20
"""A batch that has reached this size is written: it must be done within the time a command may take."""
LINGER_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 10.0
"""How long a node may take to begin a consumer."""
FIRST_SECONDS: Final = 15.0
"""How long the first message of a stream that has some may take to come."""


@dataclass(frozen=True)
class Delivery:
    """A message, and what to acknowledge it by."""

    arrival: Arrival
    message: AbstractIncomingMessage


class Reader:
    """A consumer that has begun. See :func:`reading`."""

    def __init__(self) -> None:
        self._delivered: asyncio.Queue[tuple[AbstractIncomingMessage, datetime] | None] = asyncio.Queue()
        """None: the consumer has ended, and nothing more will come."""

    async def batch(self, seconds: float) -> list[Delivery]:
        """Return the next messages, in order: at least one unless none came in so long; at most BATCH,
        and none more when they have BATCH_BYTES.

        :raises StreamError: nothing more will come, or what came is not of a stream.
        """
        clock = asyncio.get_running_loop().time
        taken: list[Delivery] = []
        size = 0
        until = clock() + seconds
        while len(taken) < BATCH and size < BATCH_BYTES:
            try:
                async with asyncio.timeout_at(until):
                    delivered = await self._delivered.get()
            except TimeoutError:
                break
            if delivered is None:
                raise StreamError("the broker ended the consumer")
            message, at = delivered
            taken.append(Delivery(arrival(message, at), message))
            size += len(message.body)
            if len(taken) == 1:
                until = clock() + LINGER_SECONDS
        return taken

    async def acknowledge(self, taken: Sequence[Delivery]) -> None:
        """Have the broker send more. It remembers nothing: where to go on is in the database."""
        await taken[-1].message.ack(multiple=True)

    def ended(self, *_: object) -> None:
        """Take in that nothing more will come."""
        self._delivered.put_nowait(None)

    async def deliver(self, message: AbstractIncomingMessage) -> None:
        """Take in a message."""
        self._delivered.put_nowait((message, datetime.now(UTC)))


@asynccontextmanager
async def reading(
    connection: AbstractConnection,
    offset: int | str,
    stream: str = HISTORY_STREAM,
    prefetch: int = PREFETCH,
) -> AsyncIterator[Reader]:
    """Read from an offset, or from ``first`` or ``last``: the first message of the last chunk.

    :raises aio_pika.exceptions.AMQPError: there is no such stream, or it cannot be read now.
    :raises StreamError: the broker does not answer.
    """
    async with await open_channel(connection) as channel:
        await channel.set_qos(prefetch_count=prefetch)
        reader = Reader()
        # As when the stream is deleted: the channel lives on without it.
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(reader.ended)
        channel.close_callbacks.add(reader.ended)
        queue = await channel.get_queue(stream, ensure=False)
        try:
            await queue.consume(reader.deliver, arguments={OFFSET: offset}, timeout=ANSWER_SECONDS)
        except TimeoutError:
            raise StreamError(f"the broker did not begin to send within {ANSWER_SECONDS:g} s") from None
        yield reader


async def peek(connection: AbstractConnection, where: str, stream: str = HISTORY_STREAM) -> int | None:
    """Return the offset of the first message at ``first`` or ``last``; None: none came in time."""
    async with reading(connection, where, stream, prefetch=1) as reader:
        found = await reader.batch(FIRST_SECONDS)
    return found[0].arrival.offset if found else None


async def count(connection: AbstractConnection, stream: str = HISTORY_STREAM) -> int:
    """Return how many records the stream holds. 0 may mean that its leader could not be asked."""
    async with await open_channel(connection) as channel:
        queue = await channel.declare_queue(stream, passive=True)
        return int(queue.declaration_result.message_count or 0)


def arrival(message: AbstractIncomingMessage, received_at: datetime) -> Arrival:
    """Return what a message of the stream says. :raises StreamError: it has no offset: this is no stream."""
    offset = message.headers.get(OFFSET)
    if not isinstance(offset, int):
        raise StreamError("a message without an offset")
    return Arrival(
        offset=offset,
        received_at=received_at,
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        body=message.body,
        headers=message.headers,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        type=message.type,
        priority=message.priority,
    )
