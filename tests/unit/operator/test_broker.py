"""How often the operator declares a queue that many Tasks need at once."""

import asyncio
from typing import Any, Self, cast

import pytest
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelPreconditionFailed

from harebell_bus.errors import BrokerUnavailableError
from harebell_bus.lanes import Tier, lane_of, work_queue_name
from harebell_bus.settings import BrokerSettings
from harebell_operator.broker import Broker

LANE = lane_of("high", Tier.DISK)


class Connection:
    """One whose channels note what is declared over them; ``refusing``: they refuse it."""

    def __init__(self) -> None:
        self.declared: list[str] = []
        self.refusing = False

    async def channel(self, **_: Any) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def declare_queue(self, name: str, **_: Any) -> Self:
        self.declared.append(name)
        await asyncio.sleep(0)
        if self.refusing:
            raise ChannelPreconditionFailed("other arguments")
        return self

    async def bind(self, *_: object, **__: object) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def broker(connection: Connection) -> Broker:
    broker = Broker(BrokerSettings(url_literal="amqp://example.com"), "test", record_heartbeats=False)
    broker._connection = cast(AbstractConnection, connection)
    return broker


async def test_many_at_once_have_a_queue_declared_once(broker: Broker, connection: Connection) -> None:
    await asyncio.gather(*(broker.ensure_lane("text", LANE) for _ in range(20)))
    await broker.ensure_lane("text", LANE)
    assert connection.declared == [work_queue_name("text", LANE)]


async def test_a_refusal_is_told_to_all_and_tried_again_later(broker: Broker, connection: Connection) -> None:
    connection.refusing = True
    outcomes = await asyncio.gather(
        *(broker.ensure_lane("text", LANE) for _ in range(5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [BrokerUnavailableError] * 5
    connection.refusing = False
    await broker.ensure_lane("text", LANE)
    assert len(connection.declared) == 2


async def test_who_gives_up_leaves_it_to_the_others(broker: Broker, connection: Connection) -> None:
    first, second = (asyncio.create_task(broker.ensure_lane("text", LANE)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert len(connection.declared) == 1
