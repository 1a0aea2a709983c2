"""aio-pika's connection, with one difference: nobody is cancelled because the broker fell silent.

aiormq notices a peer that is gone without a word (RabbitMQ documentation, "Detecting Dead TCP Connections
with Heartbeats") by cancelling its own reader, and hands that cancellation to everybody who waits for the
broker: a publisher is told that *it* was cancelled, which it was not, and ends without a word. Here they are
told that the connection was lost.
"""

import asyncio
from typing import Any

import aio_pika
import aiormq
from aio_pika.abc import TimeoutType, UnderlayConnection
from aiormq.abc import ExceptionType
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from .decoding import tolerate

tolerate()


class Connection(aio_pika.Connection):
    """To be made by ``aio_pika.connect(..., connection_class=Connection)``."""

    async def connect(self, timeout: TimeoutType = None) -> None:
        """Connect. Called by ``aio_pika.connect``. :raises AMQPError, OSError, TimeoutError: that failed."""
        self.transport = await _Underlay.connect(
            self.url, self._on_connection_close, timeout=timeout, **self.kwargs
        )
        await self._on_connected()


class _Underlay(UnderlayConnection):
    @classmethod
    async def make_connection(
        cls, url: URL, timeout: TimeoutType = None, **kwargs: Any
    ) -> aiormq.abc.AbstractConnection:
        async with asyncio.timeout(timeout):
            connection = _Transport(url, **kwargs)
            await connection.connect()
            await connection.ready()
        return connection


class _Transport(aiormq.Connection):
    async def close(
        self, exc: ExceptionType | None = asyncio.CancelledError, timeout: TimeoutType = None
    ) -> None:
        if exc is asyncio.CancelledError or isinstance(exc, asyncio.CancelledError):
            exc = AMQPConnectionError("the broker gave no sign of life")
        await super().close(exc, timeout)
