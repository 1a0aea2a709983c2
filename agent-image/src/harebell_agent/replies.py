"""What the agent tells the operator about attempts."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from harebell_bus import envelopes
from harebell_bus.envelopes import Checkpointed, Progressed, Reply, Started
from harebell_bus.errors import BusError
from harebell_bus.link import describe
from harebell_bus.topology import DEAD_LETTERS_EXCHANGE, REASON_HEADER, REPLIES_EXCHANGE

from .backoff import backoff

logger = logging.getLogger(__name__)

MAX_PAUSE_SECONDS = 3.0
"""Between two tries to have an outcome confirmed. Without a connection a try costs nothing."""


class Publishing(Protocol):
    """What is needed of :class:`harebell_bus.publisher.Publisher`."""

    async def publish(
        self,
        exchange: str,
        message: envelopes.Message | bytes,
        *,
        message_id: str,
        correlation_id: str | None = None,
        persistent: bool = True,
        headers: dict[str, str | int] | None = None,
    ) -> None:
        """Publish and wait for the confirm. :raises BusError: it was not confirmed."""


class Replies:
    """Publishes replies, each under an id that stays the same when it is published again."""

    def __init__(
        self, publisher: Publishing, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._publisher = publisher
        self._pause = pause
        self._count = itertools.count(1)

    async def send(self, reply: Reply) -> None:
        """Publish once. :raises BusError: it was not confirmed."""
        await self._publish(reply, self._name(reply))

    async def deliver(self, reply: Reply) -> None:
        """Publish until confirmed, over as many connections as it takes, for as long as the process lives."""
        failures, name = 0, self._name(reply)
        while True:
            try:
                await self._publish(reply, name)
            # Not of the bus alone: whatever a client library comes up with, the attempt must come to an end.
            except Exception as error:  # noqa: BLE001
                failures += 1
                delay = min(backoff(failures), MAX_PAUSE_SECONDS)
                what = error if isinstance(error, BusError) else describe(error)
                logger.warning("%s was not confirmed: %s; again in %.1f s", reply.kind, what, delay)
                await self._pause(delay)
            else:
                return

    def _name(self, reply: Reply) -> str:
        what = "announced" if isinstance(reply, Started) and not reply.begun else reply.kind.lower()
        name = f"{reply.task.uid}.{reply.attempt}.{reply.agent.instance}.{what}"
        # Of these an attempt has many.
        return f"{name}.{next(self._count)}" if isinstance(reply, Progressed | Checkpointed) else name

    async def _publish(self, reply: Reply, name: str) -> None:
        await self._publisher.publish(REPLIES_EXCHANGE, reply, message_id=name, correlation_id=reply.task.uid)

    async def bury(
        self,
        body: bytes,
        reason: str,
        *,
        message_id: str,
        correlation_id: str | None,
        headers: dict[str, str | int],
    ) -> None:
        """Put a message nobody can read among the dead letters, as it came, with the reason.

        :raises BusError: it was not confirmed.
        """
        await self._publisher.publish(
            DEAD_LETTERS_EXCHANGE,
            body,
            message_id=message_id,
            correlation_id=correlation_id,
            headers={**headers, REASON_HEADER: reason},
        )
