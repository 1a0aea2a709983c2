"""Nodes of the broker are lost while messages are in flight: what was confirmed is there afterwards."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractConnection
from tests.support.broker_nodes import BrokerNodes
from tests.support.servers import NODES, Vhost
from tests.support.waiting import eventually

from harebell_bus.declare import declare
from harebell_bus.errors import BrokerUnavailableError, BusError
from harebell_bus.lanes import Tier, lane_of, work_queue_name
from harebell_bus.link import Link
from harebell_bus.publisher import Publisher
from harebell_bus.settings import BrokerSettings
from harebell_bus.topology import (
    AGENT_TYPE_HEADER,
    HEARTBEATS_EXCHANGE,
    LANE_HEADER,
    WORK_EXCHANGE,
    Topology,
    base_topology,
    lane_topology,
)

AGENT_TYPE = "faults"
MESSAGES = 2000
LANE = lane_of("critical", Tier.DISK)
QUEUE = work_queue_name(AGENT_TYPE, LANE)

# Three nodes start and stop in here, on however busy a machine.
pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]


async def publish_work(publisher: Publisher, message_id: str) -> None:
    """Publish a Disk message under this id."""
    headers: dict[str, str | int] = {AGENT_TYPE_HEADER: AGENT_TYPE, LANE_HEADER: LANE.name}
    await publisher.publish(WORK_EXCHANGE, b"work" * 64, message_id=message_id, headers=headers)


@asynccontextmanager
async def publishing(
    url: str, declared: Iterable[Topology] = (), timeout_seconds: float = 10.0
) -> AsyncIterator[Publisher]:
    """A publisher on a connection that is made again as the operator's is."""
    publisher = Publisher(timeout_seconds)

    async def session(connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        for topology in declared:
            await declare(channel, topology)
        publisher.attach(channel)
        try:
            await channel.closed()
        finally:
            publisher.detach()

    link = asyncio.create_task(Link(BrokerSettings(url), "faults").run(session))
    try:
        yield publisher
    finally:
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)


async def until_confirmed(publisher: Publisher, message_id: str) -> int:
    """Publish, again under the same id where it was not confirmed, and return how many times it took."""
    for times in range(1, 1000):
        try:
            await publish_work(publisher, message_id)
        except BusError:
            await asyncio.sleep(0.2)
        else:
            return times
    raise AssertionError(f"{message_id} was never confirmed")


async def connected(url: str) -> AbstractConnection:
    """Connect; for a moment the Service still leads to a node that is gone."""

    async def made() -> AbstractConnection | None:
        try:
            return await aio_pika.connect(url)
        except aio_pika.exceptions.AMQPConnectionError:
            return None

    return await eventually("a connection", made, 60)


async def drained(url: str, at_least: set[str]) -> Counter[str]:
    """Take everything out of the work queue, and return how often each id was there."""
    found: Counter[str] = Counter()
    async with await connected(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=200)

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            found[str(message.message_id)] += 1
            await message.ack()

        await (await channel.get_queue(QUEUE, ensure=False)).consume(take)

        async def all_there() -> bool:
            left = await channel.declare_queue(QUEUE, passive=True)
            return at_least <= found.keys() and not left.declaration_result.message_count

        await eventually("every confirmed message", all_there, 120)
    return found


@pytest.fixture
async def queues(vhost: Vhost, broker_nodes: BrokerNodes) -> None:
    """The operator's exchanges and queues, and the empty ones of the agent type."""
    async with await aio_pika.connect(vhost.operator_url) as connection:
        channel = await connection.channel()
        await declare(channel, base_topology())
        for queue in (await declare(channel, lane_topology(AGENT_TYPE, LANE))).values():
            await queue.purge()


@pytest.mark.usefixtures("queues")
async def test_the_node_that_leads_the_queue_is_killed_with_2000_messages_in_flight(
    vhost: Vhost, broker_nodes: BrokerNodes
) -> None:
    before = await asyncio.to_thread(broker_nodes.queues, vhost.name)
    # All queues of Disk messages may have the same leader or not; this is the one the messages go to.
    leader = before[QUEUE].leader
    confirmed: set[str] = set()
    async with publishing(vhost.operator_url) as publisher:

        async def send(message_id: str) -> int:
            times = await until_confirmed(publisher, message_id)
            confirmed.add(message_id)
            return times

        with broker_nodes.armed(leader) as armed:
            await until_confirmed(publisher, "first")
            sending = [asyncio.create_task(send(f"m{n}")) for n in range(MESSAGES)]

            async def some() -> bool:
                return len(confirmed) >= MESSAGES // 10

            await eventually("the first confirms", some, 60)
            at_kill = len(confirmed)
            await asyncio.to_thread(armed.fire)
            times = await asyncio.gather(*sending)
    assert at_kill < MESSAGES, "nothing was in flight any more"
    found = await drained(vhost.operator_url, confirmed)
    lost = confirmed - found.keys()
    print(
        f"{leader} killed after {at_kill} confirms; {sum(t > 1 for t in times)} published again, "
        f"{found.total() - len(found)} duplicates, {len(lost)} lost"
    )
    assert len(confirmed) == MESSAGES
    assert not lost
    await asyncio.to_thread(broker_nodes.whole)
    after = await asyncio.to_thread(broker_nodes.queues, vhost.name)
    assert after[QUEUE].leader != leader


@pytest.mark.usefixtures("queues")
async def test_without_a_majority_nothing_is_confirmed_and_nothing_that_was_is_lost(
    vhost: Vhost, broker_nodes: BrokerNodes
) -> None:
    confirmed = {f"before-{n}" for n in range(100)}
    refused = {f"refused-{n}" for n in range(100)}
    async with publishing(vhost.operator_url, timeout_seconds=5) as publisher:
        await asyncio.gather(*(until_confirmed(publisher, each) for each in confirmed))
        await asyncio.to_thread(broker_nodes.scale, 1)

        async def connected() -> bool:
            return publisher.attached

        await eventually("a connection to the node that is left", connected, 60)
        outcomes = await asyncio.gather(
            *(publish_work(publisher, each) for each in refused), return_exceptions=True
        )
        print(Counter(map(repr, outcomes)))
        assert all(isinstance(outcome, BrokerUnavailableError) for outcome in outcomes)
        await asyncio.to_thread(broker_nodes.scale, len(broker_nodes.names))
        await asyncio.gather(*(until_confirmed(publisher, each) for each in refused))
    found = await drained(vhost.operator_url, confirmed | refused)
    print(f"{found.total() - len(found)} duplicates")
    assert found.keys() == confirmed | refused


async def test_any_node_can_be_away_and_every_queue_is_used_and_made(
    vhost: Vhost, broker_nodes: BrokerNodes
) -> None:
    topologies = [base_topology(), lane_topology(AGENT_TYPE, LANE)]
    async with publishing(vhost.operator_url, topologies) as publisher:
        await until_confirmed(publisher, "all")
        await asyncio.to_thread(broker_nodes.scale, 2)
        # A new connection declares everything again, some of it for the first time.
        early = lane_topology("early", LANE)
        async with publishing(vhost.operator_url, [*topologies, early]) as again:
            await until_confirmed(again, "one away")
            await again.publish(HEARTBEATS_EXCHANGE, b"alive", message_id="1", persistent=False)
        await asyncio.to_thread(broker_nodes.scale, len(broker_nodes.names))

    wanted = {queue.name for topology in (*topologies, early) for queue in topology.queues}

    async def replicated() -> bool:
        found = await asyncio.to_thread(broker_nodes.queues, vhost.name)
        return all(name in found and len(found[name].members) == NODES for name in wanted)

    await eventually(
        "three replicas of every queue, those declared while a node was away too", replicated, 120
    )
