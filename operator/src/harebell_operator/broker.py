"""The operator's side of the broker: one connection, what it declares, consumes and publishes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from harebell_bus.codec import decode_heartbeat, decode_reply, decode_work
from harebell_bus.declare import declare
from harebell_bus.envelopes import Heartbeat
from harebell_bus.errors import BrokerUnavailableError, BusError, UnreadableMessageError
from harebell_bus.lanes import Lane, work_queue_name
from harebell_bus.link import Link, describe, open_channel, version
from harebell_bus.publisher import Publisher
from harebell_bus.settings import BrokerSettings
from harebell_bus.topology import (
    DEAD_LETTERS_EXCHANGE,
    HEARTBEATS_QUEUE,
    REASON_HEADER,
    REPLIES_QUEUE,
    base_topology,
    lane_topology,
)

from . import metrics
from .attention import Attention
from .decide.observation import Report, Undelivered
from .hearing import Hearing
from .recording import ReportHandler, begin_recording

logger = logging.getLogger(__name__)

REPLIES_PREFETCH = 1000
"""Replies wait unacknowledged until their effect is written, which may be a second for each running Task."""
HEARTBEATS_PREFETCH = 200
COUNT_SECONDS = 5.0

ReplyHandler = Callable[[Report, AbstractIncomingMessage], None]
HeartbeatHandler = Callable[[Heartbeat], None]


class Broker:
    """Keeps the operator connected. :attr:`error` says why it is not."""

    def __init__(self, settings: BrokerSettings, name: str, *, record_heartbeats: bool) -> None:
        self._link = Link(settings, name)
        self._record_heartbeats = record_heartbeats
        self.instance = str(uuid4())
        """This process, for messages to tell it from operators before it."""
        self.publisher = Publisher()
        self._declared: set[str] = set()
        """Names of work queues."""
        self._declaring: dict[str, asyncio.Task[None]] = {}
        """By the queue's name, so that many Tasks that need one at once have it declared once. Of two that
        declare a classic queue at the same moment, RabbitMQ answers NOT_FOUND to one."""
        self._waiting: dict[str, tuple[int, float]] = {}
        """How many messages, and when they were counted, by the queue's name."""
        self._connection: AbstractConnection | None = None
        self.version: str | None = None
        """What the broker said at the last connect."""
        self._arriving_since: datetime | None = None
        self._attention = Attention(_now)
        self._hearing = Hearing(self.replies_waiting, _now)
        self._background: set[asyncio.Task[None]] = set()

    @property
    def error(self) -> str | None:
        """Why nothing can be published now, or None."""
        return None if self.publisher.attached else (self._link.error or "connecting")

    @property
    def hearing_since(self) -> datetime | None:
        """Since when replies and heartbeats arrive, and are listened to; None while they cannot."""
        return max(self._arriving_since, self._attention.since) if self._arriving_since else None

    @property
    def heard_until(self) -> datetime | None:
        """Up to when every reply has been handed to the handlers, as far as is known; None while none arrive.
        See :meth:`hear_out`."""
        return self._hearing.until

    async def run(
        self,
        on_reply: ReplyHandler,
        on_heartbeat: HeartbeatHandler,
        on_report: ReportHandler,
        on_connected: Callable[[], None],
        on_heard: Callable[[], None],
    ) -> None:
        """Stay connected until cancelled. A message that a handler cannot take in is dead-lettered.

        :param on_heard: Called when :attr:`heard_until` is later than it was.
        """

        async def session(connection: AbstractConnection) -> None:
            await self._session(connection, on_reply, on_heartbeat, on_report, on_connected, on_heard)

        await self._link.run(session)

    async def ensure_lanes(self, agent_type: str, lanes: Collection[Lane]) -> None:
        """Declare some queues of an agent type, once per connection.

        :raises BusError: none of them can be declared now. Of fewer it is logged: agents do without.
        """
        declaring = (self.ensure_lane(agent_type, lane) for lane in lanes)
        problems: list[BusError] = []
        for outcome in await asyncio.gather(*declaring, return_exceptions=True):
            if isinstance(outcome, BusError):
                problems.append(outcome)
                logger.warning("%s", outcome)
            elif outcome is not None:
                raise outcome
        if len(problems) == len(lanes):
            raise problems[0]

    async def ensure_lane(self, agent_type: str, lane: Lane) -> None:
        """Declare one queue of an agent type, once per connection.

        :raises BusError: it cannot be declared now.
        """
        name = work_queue_name(agent_type, lane)
        if name in self._declared:
            return
        declaring = self._declaring.get(name)
        if declaring is None:
            declaring = self._declaring[name] = asyncio.create_task(
                self._declare_lane(name, agent_type, lane)
            )
            declaring.add_done_callback(lambda _: self._declaring.pop(name))
        # Somebody else may wait for it too.
        await asyncio.shield(declaring)

    async def _declare_lane(self, name: str, agent_type: str, lane: Lane) -> None:
        # A channel of its own: a refused declaration closes the channel.
        async with self._channel(f"{name} was not declared") as channel:
            await declare(channel, lane_topology(agent_type, lane))
        self._declared.add(name)

    def forget_lane(self, agent_type: str, lane: Lane) -> None:
        """Have the queue declared again before the next message to it."""
        self._declared.discard(work_queue_name(agent_type, lane))

    async def messages_waiting(self, agent_type: str, lane: Lane) -> int:
        """Return how many messages wait in a lane; an answer serves for some seconds.

        :raises BusError: the broker cannot be asked now.
        """
        known = self._waiting.get(work_queue_name(agent_type, lane))
        if known is not None and time.monotonic() - known[1] < COUNT_SECONDS:
            return known[0]
        return await self.count(agent_type, lane)

    async def count(self, agent_type: str, lane: Lane) -> int:
        """Return how many messages wait in a lane now. :raises BusError: the broker cannot be asked now."""
        await self.ensure_lane(agent_type, lane)
        name = work_queue_name(agent_type, lane)
        try:
            found = await self._count(name)
        except BusError:
            self.forget_lane(agent_type, lane)
            raise
        self._waiting[name] = (found, time.monotonic())
        return found

    async def replies_waiting(self) -> int:
        """Return how many replies are still to be heard. :raises BusError: the broker cannot be asked now."""
        return await self._count(REPLIES_QUEUE)

    def hear_out(self) -> None:
        """Have it found out up to when every reply has arrived, now or as soon as they arrive again."""
        self._hearing.ask()

    async def purge(self, agent_type: str, lane: Lane) -> None:
        """Throw away what waits in a lane. :raises BusError: that was not possible now."""
        name = work_queue_name(agent_type, lane)
        async with self._channel(f"{name} was not purged") as channel:
            await (await channel.get_queue(name, ensure=False)).purge()

    async def _count(self, name: str) -> int:
        async with self._channel(f"{name} was not counted") as channel:
            queue = await channel.declare_queue(name, passive=True)
        return int(queue.declaration_result.message_count or 0)

    @asynccontextmanager
    async def _channel(self, problem: str) -> AsyncIterator[AbstractChannel]:
        """Open a channel for a moment. :raises BrokerUnavailableError: what was done with it failed."""
        connection = self._connection
        if connection is None:
            raise BrokerUnavailableError(self.error or "not connected")
        try:
            async with asyncio.timeout(10), await open_channel(connection) as channel:
                yield channel
        except (AMQPError, ChannelInvalidStateError, BrokerUnavailableError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(f"{problem}: {describe(error)}") from error

    def acknowledge(self, messages: Iterable[AbstractIncomingMessage]) -> None:
        """Acknowledge messages. One whose connection is gone comes again, and changes nothing then."""
        batch = list(messages)
        if batch:
            self.spawn(_acknowledge(batch))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the caller; a failure is logged."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            level = logging.WARNING if isinstance(error, BusError) else logging.ERROR
            logger.log(level, "background work failed: %s", describe(error))

    async def _session(
        self,
        connection: AbstractConnection,
        on_reply: ReplyHandler,
        on_heartbeat: HeartbeatHandler,
        on_report: ReportHandler,
        on_connected: Callable[[], None],
        on_heard: Callable[[], None],
    ) -> None:
        self.version = version(connection)
        publishing = await open_channel(connection, on_return_raises=True)
        replies = await open_channel(connection)
        heartbeats = await open_channel(connection)
        await replies.set_qos(prefetch_count=REPLIES_PREFETCH)
        await heartbeats.set_qos(prefetch_count=HEARTBEATS_PREFETCH)
        await declare(publishing, base_topology())
        recording = await begin_recording(connection, on_report, heartbeats=self._record_heartbeats)
        self._connection = connection
        self.publisher.attach(publishing)
        metrics.BROKER_CONNECTED.set(1)
        try:

            async def reply(message: AbstractIncomingMessage) -> None:
                try:
                    on_reply(_report(message), message)
                except Exception as error:  # noqa: BLE001
                    await self._bury(message, REPLIES_QUEUE, error)
                finally:
                    self._hearing.heard_one()

            async def heartbeat(message: AbstractIncomingMessage) -> None:
                try:
                    on_heartbeat(decode_heartbeat(message.body))
                except Exception as error:  # noqa: BLE001
                    await self._bury(message, HEARTBEATS_QUEUE, error)
                else:
                    await message.ack()

            await (await replies.get_queue(REPLIES_QUEUE, ensure=False)).consume(reply)
            await (await heartbeats.get_queue(HEARTBEATS_QUEUE, ensure=False)).consume(heartbeat)
            self._arriving_since = _now()
            on_connected()
            await self._listen(on_heard, publishing, replies, heartbeats)
        finally:
            recording.cancel()
            self.publisher.detach()
            self._connection = None
            self._arriving_since = None
            self._hearing.deafen()
            self._declared.clear()
            metrics.BROKER_CONNECTED.set(0)

    async def _listen(self, on_heard: Callable[[], None], *channels: AbstractChannel) -> None:
        """Answer :meth:`hear_out` until one of the channels has closed."""
        closed = asyncio.create_task(_any_closed(*channels))
        hearing = asyncio.create_task(self._hearing.run(on_heard))
        attention = asyncio.create_task(self._attention.run())
        try:
            await asyncio.wait({closed, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                hearing.result()
        finally:
            closed.cancel()
            hearing.cancel()
            attention.cancel()

    async def _bury(self, message: AbstractIncomingMessage, queue: str, error: Exception) -> None:
        """Move a message nobody can read to the dead letters, with the reason.

        Whatever the error is: a message that stays unacknowledged has others wait behind it, and comes again.
        """
        metrics.UNREADABLE.labels(queue).inc()
        foreseen = isinstance(error, UnreadableMessageError)
        reason = str(error) if foreseen else describe(error)
        logger.error(
            "unreadable message %s in %s: %s", message.message_id, queue, reason,
            exc_info=None if foreseen else error,
        )  # fmt: skip
        await self.publisher.publish(
            DEAD_LETTERS_EXCHANGE,
            message.body,
            message_id=message.message_id or "unknown",
            correlation_id=message.correlation_id,
            headers={REASON_HEADER: reason[:1024]},
        )
        await message.ack()


def _now() -> datetime:
    return datetime.now(UTC)


def _report(message: AbstractIncomingMessage) -> Report:
    """Read what came to the replies: a reply, or work that the broker gave up.

    :raises UnreadableMessageError: it is neither.
    """
    if "x-death" not in message.headers:
        return decode_reply(message.body)
    work = decode_work(message.body)
    return Undelivered(work.task, work.attempt, work.dispatch)


async def _acknowledge(messages: list[AbstractIncomingMessage]) -> None:
    for message in messages:
        try:
            await message.ack()
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            logger.debug("a reply will be delivered again: %s", describe(error))


async def _any_closed(*channels: AbstractChannel) -> None:
    """Return when one of the channels has closed."""
    waiting = [asyncio.ensure_future(channel.closed()) for channel in channels]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in waiting:
            future.cancel()
