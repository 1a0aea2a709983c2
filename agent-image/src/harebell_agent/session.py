"""Everything an agent does on one connection to the broker."""

import asyncio
import logging
from typing import assert_never

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelLockedResource

from harebell_bus.claim import Lanes
from harebell_bus.codec import decode_command
from harebell_bus.declare import declare
from harebell_bus.envelopes import (
    CancelMode,
    CancelTask,
    Command,
    Proceed,
    Query,
    Standing,
    Superseded,
    SuspendTask,
    TaskRef,
    Welcome,
    WorkQueues,
)
from harebell_bus.errors import BrokerUnavailableError, IdInUseError, UnreadableMessageError
from harebell_bus.link import open_channel
from harebell_bus.publisher import Publisher
from harebell_bus.topology import agent_queue_name, agent_topology

from .announcements import Announcements
from .delivery import Permit
from .inflight import InFlight
from .listening import Listening
from .outcome import StopCause
from .presence import Presence
from .vouching import Vouching
from .worker import Worker

logger = logging.getLogger(__name__)

LOOPS = 16
"""How many look for work at the same time, at most; each fills one free slot after the other. Each has a
channel to every queue, and RabbitMQ allows a connection 2047 of them (``channel_max``), or fewer."""
CHECK_SECONDS = 60.0
"""How often the agent makes sure that it still hears commands."""


class Session:
    """What connections have in common, and what to do on each."""

    def __init__(
        self,
        agent_type: str,
        agent_id: str,
        publisher: Publisher,
        presence: Presence,
        worker: Worker,
        inflight: InFlight,
        vouching: Vouching,
        announcements: Announcements,
        listening: Listening,
        slots: int,
    ) -> None:
        self._topology = agent_topology(agent_type, agent_id)
        self._queue_name = agent_queue_name(agent_type, agent_id)
        self._publisher = publisher
        self._presence = presence
        self._worker = worker
        self._inflight = inflight
        self._vouching = vouching
        self._announcements = announcements
        self._loops = listening
        self._slots = slots
        # Of the process, not of the connection: an attempt keeps its slot when the connection is lost.
        self._free = asyncio.Semaphore(slots)
        self.draining = asyncio.Event()
        """Set once no more work is to be taken."""

    async def run(self, connection: AbstractConnection) -> None:
        """Register and work on ``connection`` until it is lost.

        :raises IdInUseError: an agent of the same type and id is connected.
        :raises AMQPError, BusError: it was lost, or something on it.
        """
        commands = await open_channel(connection, publisher_confirms=False)
        outgoing = await open_channel(connection, on_return_raises=True)
        try:
            queues = await declare(commands, self._topology)
        except ChannelLockedResource as error:
            raise IdInUseError(
                f"another connection holds {self._queue_name}; each agent needs an id of its own"
            ) from error
        await queues[self._queue_name].consume(self._on_message, no_ack=True)
        self._publisher.attach(outgoing)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_lost(outgoing, "the channel for publishing"))
                group.create_task(_lost(commands, "the channel for commands"))
                group.create_task(self._listening(commands))
                group.create_task(self._presence.run())
                for _ in range(min(self._slots, LOOPS)):
                    group.create_task(self._loop(connection))
        except BaseExceptionGroup as errors:
            # The first is the cause; the link knows plain errors only.
            raise errors.exceptions[0] from errors
        finally:
            self._publisher.detach()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        try:
            command = decode_command(message.body)
        except UnreadableMessageError as error:
            # A later version may know commands of other kinds.
            logger.info("ignored an unreadable command: %s", error)
            return
        self.obey(command)

    def obey(self, command: Command) -> None:
        """Do what the operator says."""
        match command:
            case Welcome():
                # Before anything can be claimed.
                self._inflight.supersede(command.superseded)
                self._vouching.hear_from(command.operator)
                self._presence.greet(command)
            case WorkQueues(work_queues=work_queues):
                self._presence.requeue(work_queues)
            case Query(operator=operator):
                self._vouching.hear_from(operator)
                self._presence.query()
            case Proceed(task=task, attempt=number):
                self._vouching.proceed(task, number)
            case Standing():
                self._presence.told(command)
            case Superseded(newest=newest):
                self._inflight.supersede(newest)
            case CancelTask(task=task, attempt=number, mode=mode, reason=reason):
                immediate = mode is CancelMode.IMMEDIATE
                self._stop(task, number, StopCause.CANCELLED, reason, immediate=immediate)
            case SuspendTask(task=task, attempt=number, reason=reason):
                self._stop(task, number, StopCause.SUSPENDED, reason)
            case _:
                assert_never(command)

    def _stop(
        self, task: TaskRef, number: int, cause: StopCause, reason: str, *, immediate: bool = False
    ) -> None:
        attempt = self._inflight.find(task.uid, number)
        if attempt is None:
            logger.info("told to stop attempt %d of %s, which is not here", number, task.uid)
            return
        attempt.stop.request(cause, reason, immediate=immediate)

    async def _listening(self, channel: AbstractChannel) -> None:
        """Fail when the agent's own queue is gone or has lost its consumer, which the broker may not say."""
        name = self._queue_name
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            queue = await channel.declare_queue(name, passive=True)
            if not queue.declaration_result.consumer_count:
                raise BrokerUnavailableError(f"nobody listens to {name} any more")

    async def _loop(self, connection: AbstractConnection) -> None:
        """Claim one message after the other, as slots are free."""
        while not self.draining.is_set():
            await self._presence.may_work()
            if self._presence.welcome is None:
                continue
            self._presence.requeued.clear()
            heard = self._loops.answered
            async with Lanes(connection, self._presence.work_queues, answered=heard) as lanes:
                await self._claims(lanes)

    async def _claims(self, lanes: Lanes) -> None:
        """Claim from ``lanes`` until draining or paused, or until work comes from other queues."""
        while True:
            await self._free.acquire()
            permit = Permit(self._free.release)
            try:
                message = await self._next(lanes)
                if message is None:
                    return
                self._loops.delivered()
                if self.draining.is_set() or self._announcements.paused.is_set():
                    await message.nack(requeue=True)
                    return
                await self._worker.take(message, permit)
            finally:
                if not permit.taken:
                    permit.release()

    async def _next(self, lanes: Lanes) -> AbstractIncomingMessage | None:
        """Return the next message, or None when there is to be none: leaving the lanes gives back any that
        is on its way."""
        presence = self._presence
        stops = (self.draining, self._presence.requeued, self._announcements.paused)
        if presence.welcome is None or presence.work_queues != lanes.names or any(e.is_set() for e in stops):
            return None
        claiming = asyncio.ensure_future(lanes.claim())
        ends = [asyncio.ensure_future(e.wait()) for e in stops]
        try:
            await asyncio.wait({claiming, *ends}, return_when=asyncio.FIRST_COMPLETED)
            return claiming.result() if claiming.done() else None
        finally:
            for future in (claiming, *ends):
                future.cancel()
            await asyncio.gather(claiming, *ends, return_exceptions=True)


async def _lost(channel: AbstractChannel, what: str) -> None:
    """Fail when the channel closes. A broker closes only a channel for some errors, and nothing else ends."""
    await channel.closed()
    raise BrokerUnavailableError(f"{what} was closed")
