"""Declares a topology on a channel. Idempotent, as AMQP declarations are."""

from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue

from .topology import Topology


async def declare(channel: AbstractChannel, topology: Topology) -> dict[str, AbstractQueue]:
    """Declare everything in ``topology`` and return its queues by name.

    :raises aio_pika.exceptions.ChannelPreconditionFailed: something of that name exists with other settings.
    """
    exchanges: dict[str, AbstractExchange] = {}
    for exchange in topology.exchanges:
        exchanges[exchange.name] = await channel.declare_exchange(exchange.name, exchange.type, durable=True)
    queues: dict[str, AbstractQueue] = {}
    for queue in topology.queues:
        queues[queue.name] = await channel.declare_queue(
            queue.name, durable=queue.durable, exclusive=queue.exclusive, arguments=dict(queue.arguments)
        )
    for binding in topology.bindings:
        await queues[binding.queue].bind(
            binding.exchange, routing_key=binding.routing_key, arguments=dict(binding.arguments)
        )
    for binding in topology.unbindings:
        await queues[binding.queue].unbind(
            binding.exchange, routing_key=binding.routing_key, arguments=dict(binding.arguments)
        )
    return queues
