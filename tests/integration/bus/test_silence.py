"""Connections that fall silent, and messages whose properties another client made."""

import asyncio
import struct
from datetime import UTC, datetime

import aio_pika
import pamqp.encode
import pytest
from aio_pika.abc import AbstractConnection
from tests.integration.agent.harness import Wire
from tests.support.servers import Vhost
from tests.support.waiting import eventually

from harebell_bus.declare import declare
from harebell_bus.envelopes import Query
from harebell_bus.errors import BrokerUnavailableError
from harebell_bus.link import Link, open_channel
from harebell_bus.permissions import Permissions
from harebell_bus.publisher import Publisher
from harebell_bus.settings import BrokerSettings
from harebell_bus.topology import ANNOUNCEMENTS_EXCHANGE, base_topology

QUEUE = "foreign"


async def awaitable(found: bool) -> bool:
    return found


async def test_publishers_are_told_and_not_cancelled(vhost: Vhost) -> None:
    wire = Wire(vhost.operator_url)
    await wire.join()
    publisher = Publisher(timeout_seconds=60)
    sessions = 0

    async def session(connection: AbstractConnection) -> None:
        nonlocal sessions
        sessions += 1
        channel = await open_channel(connection, on_return_raises=True)
        await declare(channel, base_topology())
        publisher.attach(channel)
        try:
            await asyncio.Event().wait()
        finally:
            publisher.detach()

    async def publish() -> None:
        await publisher.publish(ANNOUNCEMENTS_EXCHANGE, Query(), message_id="m", mandatory=False)

    link = asyncio.create_task(Link(BrokerSettings(f"{wire.url}?heartbeat=1"), "test").run(session))
    try:
        await eventually("the connection", lambda: awaitable(publisher.attached))
        await publish()
        wire.freeze()
        ends = await asyncio.gather(*(publish() for _ in range(3)), return_exceptions=True)
        assert [type(e) for e in ends] == [BrokerUnavailableError] * 3
        wire.thaw()
        await eventually("the next session", lambda: awaitable(sessions == 2 and publisher.attached))
        await publish()
        assert sessions == 2
        assert not link.done()
    finally:
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        await wire.cut()


async def test_a_time_in_microseconds_costs_no_connection(
    vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[bytes] = []
    sessions = 0

    async def session(connection: AbstractConnection) -> None:
        nonlocal sessions
        sessions += 1
        channel = await open_channel(connection)
        async for message in (await channel.declare_queue(QUEUE)).iterator():
            bodies.append(message.body)
            await message.ack()

    url = vhost.user_url("foreigner", Permissions(configure=".*", write=".*", read=".*"))
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(QUEUE)
        microseconds = struct.pack(">Q", 1_700_000_000_000_000)
        with monkeypatch.context() as patch:
            patch.setitem(pamqp.encode.METHODS, "timestamp", lambda _: microseconds)
            patch.setattr(pamqp.encode, "timestamp", lambda _: microseconds)
            foreign = aio_pika.Message(b"foreign", timestamp=datetime.now(UTC))
            await channel.default_exchange.publish(foreign, QUEUE)
        await channel.default_exchange.publish(aio_pika.Message(b"ours"), QUEUE)
        link = asyncio.create_task(Link(BrokerSettings(url), "test").run(session))

        try:
            await eventually("both messages", lambda: awaitable(bodies == [b"foreign", b"ours"]))
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)
    assert sessions == 1
