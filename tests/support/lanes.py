"""What tests ask the broker of lanes."""

from collections.abc import Iterable

import aio_pika

from harebell_bus.lanes import Lane, work_queue_name


async def counts(amqp_url: str, kind: str, lanes: Iterable[Lane]) -> dict[Lane, int]:
    """Messages that wait, by lane; lanes that nobody has declared are left out."""
    async with await aio_pika.connect(amqp_url) as connection:
        found = {}
        for lane in lanes:
            # A channel each: the broker closes it where there is no such queue.
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(work_queue_name(kind, lane), passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                continue
            found[lane] = queue.declaration_result.message_count or 0
        return found
