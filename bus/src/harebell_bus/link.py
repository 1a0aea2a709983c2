"""One connection to the broker, made again whenever it is lost.

aio-pika's own robust connection is not used: it replays declarations and consumers behind the caller's back,
and an acknowledgement after a reconnect fails. Here a lost connection ends the session, and a new session
begins from nothing.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from .errors import BrokerUnavailableError, BusError, UnsupportedBrokerError
from .settings import BrokerSettings
from .topology import MINIMUM_VERSION
from .transport import Connection

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 15.0
HEARTBEAT_SECONDS = 10
"""Of the connection, unless its URL says otherwise (``?heartbeat=``, one of RabbitMQ's URI query parameters).
A machine that is gone without a word is noticed after three of them."""
STABLE_SECONDS = 30.0
"""A session that lasted as long was a good one: after it, the backoff begins anew."""

Session = Callable[[AbstractConnection], Awaitable[None]]


class Link:
    """Keeps a session running on a live connection."""

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        self.connected = False
        self.error: str | None = "not connected yet"

    async def run(self, session: Session) -> None:
        """Connect and run ``session`` until cancelled; whenever either fails, back off and start over.

        :raises UnsupportedBrokerError: the broker is too old; waiting would not help.
        """
        clock = asyncio.get_running_loop().time
        task = asyncio.current_task()
        assert task is not None
        cancelled, failures = task.cancelling(), 0
        while True:
            begun = clock()
            try:
                async with await self._connect() as connection:
                    check_version(connection)
                    self.connected, self.error = True, None
                    logger.info("connected to the broker")
                    await _until_lost(connection, session)
                self.error = "the session ended"
            except UnsupportedBrokerError:
                raise
            except BusError as error:
                self.error = str(error)
            except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError) as error:
                self.error = describe(error)
            finally:
                self.connected = False
            # Of who is cancelled while aiormq connects it makes one whose connection was lost.
            if task.cancelling() > cancelled:
                raise asyncio.CancelledError
            # Not reset by connecting: what fails right after it would be tried twice a second for ever.
            failures = 1 if clock() - begun >= STABLE_SECONDS else failures + 1
            delay = random.uniform(0.5, 1.0) * min(MAX_BACKOFF_SECONDS, 0.25 * 2 ** min(failures, 10))  # noqa: S311
            logger.warning("broker connection lost: %s; again in %.1f s", self.error, delay)
            await asyncio.sleep(delay)

    async def _connect(self) -> AbstractConnection:
        url = self._settings.url()
        url = url.update_query(heartbeat=url.query.get("heartbeat", str(HEARTBEAT_SECONDS)))
        try:
            return await aio_pika.connect(
                url,
                ssl_context=self._settings.ssl_context(),
                timeout=CONNECT_TIMEOUT_SECONDS,
                client_properties={"connection_name": self._name},
                connection_class=Connection,
            )
        except StopAsyncIteration as error:
            # aiormq's word for a connection that is closed before the broker has said anything, as by a proxy
            # that has no broker behind it.
            raise BrokerUnavailableError("closed at once") from error


async def open_channel(
    connection: AbstractConnection, *, publisher_confirms: bool = True, on_return_raises: bool = False
) -> AbstractChannel:
    """Open a channel, to be closed by who asked for it: it is an asynchronous context manager.

    :raises BrokerUnavailableError: the connection is lost. aiormq has a plain RuntimeError for that, which
        nobody takes for what it is.
    :raises AMQPError: the broker refused it.
    """
    try:
        return await connection.channel(
            publisher_confirms=publisher_confirms, on_return_raises=on_return_raises
        )
    except RuntimeError as error:
        if not is_lost(connection):
            raise
        raise BrokerUnavailableError("the connection is lost") from error


def is_lost(connection: AbstractConnection) -> bool:
    """Whether nothing more can be done with the connection. (Its ``is_closed`` knows of ``close`` alone.)"""
    transport = connection.transport
    return connection.is_closed or transport is None or transport.connection.is_closed


def check_version(connection: AbstractConnection) -> None:
    """Refuse a broker older than :data:`.topology.MINIMUM_VERSION`."""
    text, properties = version(connection), _properties(connection)
    parts = text.split(".")
    if properties.get("product") != "RabbitMQ" or not all(p.isdigit() for p in parts[:2]):
        raise UnsupportedBrokerError(
            f"the broker says it is {properties.get('product')!r} {text!r}, not RabbitMQ"
        )
    if tuple(map(int, parts[:2])) < MINIMUM_VERSION:
        needed = ".".join(map(str, MINIMUM_VERSION))
        raise UnsupportedBrokerError(f"RabbitMQ {text} is too old: harebell needs {needed} or later")


def version(connection: AbstractConnection) -> str:
    """Return the version the broker says it is; empty if it says none."""
    text = _properties(connection).get("version", "")
    return text.decode() if isinstance(text, bytes) else str(text)


def _properties(connection: AbstractConnection) -> Mapping[str, Any]:
    transport = connection.transport
    return transport.connection.server_properties if transport else {}


def describe(error: BaseException) -> str:
    """Return an error's class and text; some AMQP errors have no text of their own."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _until_lost(connection: AbstractConnection, session: Session) -> None:
    """Run the session; end it when the connection is lost under it.

    :raises BrokerUnavailableError: it was.
    """
    lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def tell(_: object, error: BaseException | None = None) -> None:
        if not lost.done():
            lost.set_result(error)

    connection.close_callbacks.add(tell)
    if is_lost(connection):
        tell(connection)
    running = asyncio.ensure_future(session(connection))
    try:
        either: set[asyncio.Future[Any]] = {lost, running}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            error = lost.result()
            raise BrokerUnavailableError("closed" if error is None else describe(error))
        if running.cancelled():
            # By nobody here, so by something within it; the link goes on.
            raise BrokerUnavailableError("the session was cancelled")
        running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
