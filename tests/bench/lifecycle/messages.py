"""The broker's part of a Task's life: published as the operator does, done by agents, outcome heard."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from tests.integration.agent.harness import AGENT_TYPE, Operator
from tests.support.processes import Process, Processes
from tests.support.waiting import eventually

from harebell_bus.codec import decode_reply
from harebell_bus.envelopes import Succeeded
from harebell_bus.lanes import Tier, lane_of
from harebell_operator.work_queues import USUAL

from .server import STALL_SECONDS, each
from .tasks import PAYLOAD, READY_SECONDS, stop


class Caller(Operator):
    """Publishes work, and counts its outcomes. They are acknowledged, as by the operator."""

    def __init__(self, channel: AbstractChannel) -> None:
        super().__init__(channel)
        self.lanes = (
            USUAL,
            lane_of("normal", Tier.DISK),
        )  # As with the operator, when that is all there was.
        self._outcomes: set[str] = set()
        self._some = asyncio.Event()
        self._told: Callable[[int], None] = lambda _: None

    async def _reply(self, message: AbstractIncomingMessage) -> None:
        reply = decode_reply(message.body)
        if isinstance(reply, Succeeded):
            self._outcomes.add(reply.task.uid)
            self._told(len(self._outcomes))
            self._some.set()

    async def run(self, count: int, at_once: int, told: Callable[[int], None]) -> float:
        """Publish so many messages and wait for their outcomes; return the seconds that took.

        ``told`` hears how many there are. :raises TimeoutError: nothing happened for a long time.
        """
        self._outcomes.clear()
        self._told = told
        begun = time.monotonic()

        async def publish(_: int) -> None:
            await self.dispatch("echo", PAYLOAD)

        await each(range(count), at_once, publish)
        while len(self._outcomes) < count:
            self._some.clear()
            async with asyncio.timeout(STALL_SECONDS):
                await self._some.wait()
        return time.monotonic() - begun


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[Caller]:
    """Yield a caller with a connection of its own, which declared all queues."""
    async with await aio_pika.connect(url) as connection:
        caller = Caller(await connection.channel(publisher_confirms=True, on_return_raises=True))
        await caller.open()
        yield caller


@asynccontextmanager
async def agents(caller: Caller, processes: Processes, count: int) -> AsyncIterator[Sequence[Process]]:
    """Have so many agents registered, of one slot each, for the time of the block."""
    names = [f"messages-{uuid4().hex[:8]}" for _ in range(count)]
    started = [processes.agent(name, AGENT_TYPE) for name in names]

    async def registered() -> bool:
        return {*names} <= {heartbeat.agent.id for heartbeat in caller.heartbeats}

    try:
        await eventually(f"{count} agents to register", registered, READY_SECONDS)
        yield started
    finally:
        await stop(started)
