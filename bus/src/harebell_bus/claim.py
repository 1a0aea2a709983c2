"""Taking one message at a time.

An idle agent consumes with a prefetch of one, so the broker gives it the most urgent message the moment
there is one. With the message in hand it stops consuming before it acknowledges, so while it works no
unstarted message waits in its hands where a free agent could not get it.
"""

import asyncio
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

CHECK_SECONDS = 30.0
"""How often an idle consumer is renewed. A queue that vanished, or a consumer the broker dropped without a
word, is noticed this way: the renewal fails and the session starts over."""


async def claim(
    channel: AbstractChannel, queue_name: str, check_seconds: float = CHECK_SECONDS
) -> AbstractIncomingMessage:
    """Wait for the next message of ``queue_name`` and return it unacknowledged, no longer consuming.

    ``channel`` must have a prefetch of one and be used for nothing else. If the caller is cancelled, a
    message that arrived at that moment is given back.

    :raises aio_pika.exceptions.AMQPError: the channel or connection was lost, or the queue does not exist.
    """
    queue = await channel.get_queue(queue_name, ensure=False)
    # One future for every renewal: a message may be handed over only after the cancel-ok of the consumer it
    # came to, and forgetting it would hold the channel's only place for good.
    arrived: asyncio.Future[AbstractIncomingMessage] = asyncio.get_running_loop().create_future()

    async def deliver(message: AbstractIncomingMessage) -> None:
        if not arrived.done():
            arrived.set_result(message)

    while True:
        tag = await queue.consume(deliver)
        closed = asyncio.ensure_future(channel.closed())
        try:
            waited: set[asyncio.Future[Any]] = {arrived, closed}
            await asyncio.wait(waited, timeout=check_seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if not channel.is_closed:
                await queue.cancel(tag)
                if arrived.done():
                    await arrived.result().nack(requeue=True)
            raise
        finally:
            closed.cancel()
        await queue.cancel(tag)
        # Looked at only now: a message may come between the end of the wait and the broker's cancel-ok.
        if arrived.done():
            return arrived.result()
