"""An agent that does exactly what a test tells it to, speaking the real protocol to the real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import ChannelLockedResource, ChannelNotFoundEntity
from tests.support.waiting import eventually

from harebell_bus.claim import Lanes
from harebell_bus.codec import decode_command, decode_work
from harebell_bus.declare import declare
from harebell_bus.envelopes import (
    AgentRef,
    Command,
    CurrentTask,
    Failed,
    Heartbeat,
    HeartbeatReason,
    Newest,
    Progressed,
    Query,
    Started,
    Succeeded,
    Welcome,
    Work,
    WorkQueues,
)
from harebell_bus.errors import UnroutableError
from harebell_bus.publisher import Publisher
from harebell_bus.topology import (
    HEARTBEATS_EXCHANGE,
    REPLIES_EXCHANGE,
    agent_queue_name,
    agent_topology,
)


@dataclass
class ScriptedAgent:
    """See the module."""

    ref: AgentRef
    agent_type: str
    connection: AbstractConnection
    publisher: Publisher
    commands: "asyncio.Queue[Command]" = field(default_factory=asyncio.Queue)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    work_queues: tuple[str, ...] = ()
    requeued: asyncio.Event = field(default_factory=asyncio.Event)
    superseded: tuple[Newest, ...] = ()

    async def heartbeat(
        self, reason: HeartbeatReason = HeartbeatReason.INTERVAL, *tasks: CurrentTask
    ) -> None:
        """Say that it is there, and what it works on."""
        beat = Heartbeat(
            reason=reason,
            agent=self.ref,
            agent_type=self.agent_type,
            software_version="test",
            started_at=self.started_at,
            at=datetime.now(UTC),
            current_tasks=tasks,
        )
        await self.publisher.publish(HEARTBEATS_EXCHANGE, beat, message_id=uuid4().hex, persistent=False)

    async def register(self) -> None:
        """Register, as soon as somebody may hear it, and wait for the Welcome."""

        async def told() -> bool:
            try:
                await self.heartbeat(HeartbeatReason.REGISTERED)
            except UnroutableError:
                return False
            return True

        await eventually("a queue for heartbeats", told)
        # An earlier process of the same agent may be told to stop something first.
        while not isinstance(welcome := await self.command(), Welcome):
            pass
        self.superseded = welcome.superseded

    async def command(self, seconds: float = 30) -> Command:
        """Return the next command it was given, other than to report."""
        async with asyncio.timeout(seconds):
            while isinstance(command := await self.commands.get(), Query):
                pass
            return command

    async def take(self, seconds: float = 30) -> tuple[Work, AbstractIncomingMessage]:
        """Claim the next work message. Its lanes stay open, or the message would go back."""
        async with asyncio.timeout(seconds):
            while (message := await self._claim()) is None:
                pass
        return decode_work(message.body), message

    async def _claim(self) -> AbstractIncomingMessage | None:
        """Return the next message, or None once work comes from other queues."""
        self.requeued.clear()
        claiming = asyncio.ensure_future(Lanes(self.connection, self.work_queues).claim())
        told = asyncio.ensure_future(self.requeued.wait())
        try:
            await asyncio.wait({claiming, told}, return_when=asyncio.FIRST_COMPLETED)
            return claiming.result() if claiming.done() else None
        finally:
            for future in (claiming, told):
                future.cancel()
            await asyncio.gather(claiming, told, return_exceptions=True)

    async def say(
        self, kind: type[Started | Progressed | Succeeded | Failed], work: Work, **more: Any
    ) -> None:
        """Publish a reply about an attempt."""
        reply = kind(task=work.task, attempt=work.attempt, agent=self.ref, at=datetime.now(UTC), **more)
        await self.publisher.publish(
            REPLIES_EXCHANGE, reply, message_id=uuid4().hex, correlation_id=work.task.uid
        )


@asynccontextmanager
async def scripted_agent(amqp_url: str, name: str, agent_type: str) -> AsyncIterator[ScriptedAgent]:
    """Connect an agent; it has not registered yet."""
    async with await aio_pika.connect(amqp_url) as connection:
        publisher = Publisher()
        publisher.attach(await connection.channel(publisher_confirms=True, on_return_raises=True))
        agent = ScriptedAgent(AgentRef(id=name, instance=uuid4().hex), agent_type, connection, publisher)

        async def declared() -> dict[str, AbstractQueue] | None:
            # Before the operator has declared anything, and while the broker still holds the queue of an
            # earlier connection, it tries again as real agents do.
            try:
                return await declare(await connection.channel(), agent_topology(agent_type, name))
            except (ChannelLockedResource, ChannelNotFoundEntity):
                return None

        queues = await eventually(f"the queue of {name}", declared)

        async def receive(message: AbstractIncomingMessage) -> None:
            command = decode_command(message.body)
            # In the order in which they come: whoever waits for the Welcome may read it after the next.
            if isinstance(command, Welcome | WorkQueues):
                agent.work_queues = command.work_queues
                agent.requeued.set()
            if not isinstance(command, WorkQueues):
                agent.commands.put_nowait(command)

        await queues[agent_queue_name(agent_type, name)].consume(receive, no_ack=True)
        yield agent
