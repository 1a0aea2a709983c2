"""Has the history record what is said, without anything else depending on it."""

import asyncio
import logging

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from harebell_bus.declare import declare
from harebell_bus.history import history_topology
from harebell_bus.link import describe

logger = logging.getLogger(__name__)

HEAD_START_SECONDS = 5.0
"""How long work waits for the history at most, so that in the usual case nothing goes unrecorded."""
DECLARE_SECONDS = 30.0
RETRY_SECONDS = 30.0


async def begin_recording(connection: AbstractConnection, *, heartbeats: bool) -> "asyncio.Task[None]":
    """Declare the history and return when that is done, or goes on beside the caller, who then cancels it."""
    task = asyncio.create_task(_declared(connection, heartbeats))
    try:
        await asyncio.wait({task}, timeout=HEAD_START_SECONDS)
    except asyncio.CancelledError:
        task.cancel()
        raise
    return task


async def _declared(connection: AbstractConnection, heartbeats: bool) -> None:
    while not connection.is_closed:
        try:
            async with asyncio.timeout(DECLARE_SECONDS), connection.channel() as channel:
                await declare(channel, history_topology(heartbeats=heartbeats))
        except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError) as error:
            logger.error("the history is not recorded: %s", describe(error))
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
