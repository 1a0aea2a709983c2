"""Taking one message at a time, the most urgent of several queues.

An idle agent looks into the queues in their order. While all are empty it consumes from all of them, with a
prefetch of one each, so the broker gives it a message the moment there is one. It stops consuming before it
keeps one, and gives back what else came, so while it works no unstarted message waits in its hands where a
free agent could not get it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Self, TypeVar

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ChannelNotFoundEntity

from .errors import BrokerUnavailableError
from .link import describe, is_lost, open_channel

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 30.0
"""How often an idle consumer is renewed. A queue that vanished or came back, or a consumer the broker dropped
without a word, is noticed this way."""
ANSWER_SECONDS: Final = 10.0
"""How long the broker may take to answer for one queue. One on a node that just failed must not hold up the
others."""
AT_ONCE: Final = 3
"""Queues counted at the same time: between the round trips of one by one and the work of all for nothing."""

T = TypeVar("T")


class Lanes:
    """The place of one who claims at the queues of its agent's type: a channel of its own to each.

    A queue that cannot be reached, as one kept by a single node of the broker that is down, is left out
    until it can be. To be used as an asynchronous context manager; leaving it gives back what is unsettled.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        names: Sequence[str],
        check_seconds: float = CHECK_SECONDS,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        """``names`` of the queues, the most urgent first.

        :param answered: Called whenever the broker answered for a queue, so at every renewal at least.
        """
        self._connection = connection
        self.names = tuple(names)
        self._check_seconds = check_seconds
        self._answered = answered
        self._queues: dict[str, AbstractQueue] = {}
        # Of all renewals: one forgotten would hold its channel's only place for good.
        self._arrived: dict[str, AbstractIncomingMessage] = {}
        self._some = asyncio.Event()
        self._told: set[str] = set()
        """Queues that were said to be out of reach."""
        self._retry_at = 0.0

    async def __aenter__(self) -> Self:
        """Open the channels. :raises BrokerUnavailableError: none of the queues can be reached."""
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        channels = [queue.channel for queue in self._queues.values()]
        await asyncio.gather(*(channel.close() for channel in channels), return_exceptions=True)

    async def claim(self) -> AbstractIncomingMessage:
        """Wait for the next message and return it unacknowledged, no longer consuming.

        If the caller is cancelled, what arrived at that moment is given back.

        :raises AMQPError: the connection was lost, or the broker refused something.
        :raises BrokerUnavailableError: none of the queues can be reached.
        """
        leave = asyncio.Event()
        # A task of its own, because a cancelled request to the broker would take its channel with it.
        hunt = asyncio.create_task(self._hunt(leave))
        try:
            found = await asyncio.shield(hunt)
        except asyncio.CancelledError:
            leave.set()
            await _settled(self._abandon(hunt))
            raise
        assert found is not None  # only one who leaves comes back without
        return found

    async def _abandon(self, hunt: "asyncio.Task[AbstractIncomingMessage | None]") -> None:
        message = await hunt
        if message is not None:
            await message.nack(requeue=True)

    async def _hunt(self, leave: asyncio.Event) -> AbstractIncomingMessage | None:
        while not leave.is_set():
            await self._open()
            if not self._arrived:
                await self._look()
            if not self._arrived and self._queues:
                await self._wait(leave)
            if (kept := await self._choose()) is not None:
                return kept
        return None

    async def _open(self) -> None:
        """Open a channel to each queue that has none; one out of reach is tried with each renewal."""
        missing = [name for name in self.names if name not in self._queues]
        clock = asyncio.get_running_loop().time
        if not missing or (self._queues and clock() < self._retry_at):
            return
        opened = await asyncio.gather(*(self._opened(name) for name in missing))
        self._queues |= {queue.name: queue for queue in opened if queue is not None}
        if not self._queues:
            raise BrokerUnavailableError(f"none of the queues {', '.join(self.names)} can be reached")
        for name in self._told & self._queues.keys():
            logger.info("work from %s again", name)
        self._told -= self._queues.keys()
        self._retry_at = clock() + self._check_seconds

    async def _opened(self, name: str) -> AbstractQueue | None:
        channel = await open_channel(self._connection, publisher_confirms=False)
        try:
            await channel.set_qos(prefetch_count=1)
            return await channel.declare_queue(name, passive=True, timeout=ANSWER_SECONDS)
        except (ChannelNotFoundEntity, TimeoutError) as error:
            self._lost(name, error)
            return None

    async def _look(self) -> None:
        """Take the first message of the first queue that has one.

        Counted before: to get from an empty quorum queue costs a round of its nodes, to count costs none.
        """
        for first in range(0, len(self.names), AT_ONCE):
            some = self.names[first : first + AT_ONCE]
            counts = await self._each(lambda queue: queue.declare(timeout=ANSWER_SECONDS), some)
            for name in [n for n in some if n in counts and counts[n].message_count]:
                got = await self._each(lambda queue: queue.get(fail=False, timeout=ANSWER_SECONDS), [name])
                if (message := got.get(name)) is not None:
                    self._arrived[name] = message
                    return

    async def _wait(self, leave: asyncio.Event) -> None:
        """Consume from every queue until something comes or the consumers are to be renewed."""
        self._some.clear()
        tags = await self._each(self._consume)
        ends = [asyncio.ensure_future(event.wait()) for event in (self._some, leave)]
        closed = [asyncio.ensure_future(queue.channel.closed()) for queue in self._queues.values()]
        waited: list[asyncio.Future[Any]] = [*ends, *closed]
        try:
            await asyncio.wait(waited, timeout=self._check_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waited:
                future.cancel()
        await self._each(lambda queue: queue.cancel(tags[queue.name], timeout=ANSWER_SECONDS))

    async def _consume(self, queue: AbstractQueue) -> str:
        async def deliver(message: AbstractIncomingMessage) -> None:
            self._arrived[queue.name] = message
            self._some.set()

        return await queue.consume(deliver, timeout=ANSWER_SECONDS)

    async def _choose(self) -> AbstractIncomingMessage | None:
        """Keep the most urgent of what arrived, and give back the rest."""
        arrived, self._arrived = self._arrived, {}
        # What came over a channel that is lost belongs to the broker again.
        mine = [arrived[name] for name in self.names if name in arrived and name in self._queues]
        if not mine:
            return None
        kept, *rest = mine
        await asyncio.gather(*(_settled(message.nack(requeue=True)) for message in rest))
        return kept

    async def _each(
        self, act: Callable[[AbstractQueue], Awaitable[T]], names: Sequence[str] | None = None
    ) -> dict[str, T]:
        """Do something with every queue, or some, at once; one that cannot be reached is left out."""
        queues = {n: q for n, q in self._queues.items() if names is None or n in names}
        answers = await asyncio.gather(*(act(queue) for queue in queues.values()), return_exceptions=True)
        done: dict[str, T] = {}
        for name, answer in zip(queues, answers, strict=True):
            if isinstance(answer, (ChannelNotFoundEntity, ChannelInvalidStateError, TimeoutError)):
                self._lost(name, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                done[name] = answer
        if done:
            self._answered()
        return done

    def _lost(self, name: str, error: BaseException) -> None:
        self._queues.pop(name, None)
        # A lost connection takes all of them, and is told by whoever keeps it.
        if name not in self._told and not is_lost(self._connection):
            self._told.add(name)
            logger.warning("no work from %s for now: %s", name, describe(error))


async def _settled(answer: Awaitable[None]) -> None:
    """Give back; where the channel is gone the broker has taken the message back by itself."""
    try:
        await answer
    except (AMQPError, ChannelInvalidStateError, BrokerUnavailableError, OSError) as error:
        logger.debug("nothing to give back, the channel is gone: %s", describe(error))
