"""Has the history record what is said, without anything else depending on it, and hears the archiver."""

import asyncio
import logging
from collections.abc import Callable

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from harebell_bus.codec import decode_archive_report
from harebell_bus.declare import declare
from harebell_bus.envelopes import ArchiveReport
from harebell_bus.errors import BusError, UnreadableMessageError
from harebell_bus.history import REPORTS_QUEUE, history_topology
from harebell_bus.link import describe, open_channel

from . import metrics

logger = logging.getLogger(__name__)

HEAD_START_SECONDS = 5.0
"""How long work waits for the history at most, so that in the usual case nothing goes unrecorded."""
DECLARE_SECONDS = 30.0
RENEW_SECONDS = 30.0
"""How often everything is declared and consumed again: what somebody deleted comes back."""
RETRY_SECONDS = 15.0

ReportHandler = Callable[[ArchiveReport], None]


async def begin_recording(
    connection: AbstractConnection, on_report: ReportHandler, *, heartbeats: bool
) -> "asyncio.Task[None]":
    """Return when the history is declared, or for the time being cannot be, and keep it so.

    The caller cancels what is returned.
    """
    declared = asyncio.Event()
    task = asyncio.create_task(_record(connection, on_report, heartbeats, declared))
    try:
        async with asyncio.timeout(HEAD_START_SECONDS):
            await declared.wait()
    except TimeoutError:
        logger.warning("work goes on without the history being recorded")
    except asyncio.CancelledError:
        task.cancel()
        raise
    return task


async def _record(
    connection: AbstractConnection, on_report: ReportHandler, heartbeats: bool, declared: asyncio.Event
) -> None:
    async def report(message: AbstractIncomingMessage) -> None:
        try:
            on_report(decode_archive_report(message.body))
        except UnreadableMessageError as error:
            # The next one is due in seconds.
            metrics.UNREADABLE.labels(REPORTS_QUEUE).inc()
            logger.error("unreadable message in %s: %s", REPORTS_QUEUE, error)

    while True:
        try:
            async with await open_channel(connection) as channel:
                async with asyncio.timeout(DECLARE_SECONDS):
                    queues = await declare(channel, history_topology(heartbeats=heartbeats))
                    await queues[REPORTS_QUEUE].consume(report, no_ack=True)
                declared.set()
                metrics.HISTORY_RECORDED.set(1)
                await asyncio.wait({asyncio.ensure_future(channel.closed())}, timeout=RENEW_SECONDS)
        except (AMQPError, ChannelInvalidStateError, BusError, OSError, TimeoutError) as error:
            metrics.HISTORY_RECORDED.set(0)
            logger.error("the history cannot be declared: %s", describe(error))
            await asyncio.sleep(RETRY_SECONDS)
