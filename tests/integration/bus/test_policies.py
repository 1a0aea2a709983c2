"""Limits of queues that are there change with a policy, and a declaration does not mind."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from tests.support.broker_nodes import BrokerNodes
from tests.support.servers import Servers, Vhost, define
from tests.support.waiting import eventually

from harebell_bus.declare import declare
from harebell_bus.history import HISTORY_EXCHANGE, HISTORY_STREAM, history_topology
from harebell_bus.policies import POLICIES, VHOST
from harebell_bus.topology import HEARTBEATS_EXCHANGE, HEARTBEATS_QUEUE, base_topology

FILE = Path(__file__).parents[3] / "docs" / "policies.json"


@pytest.fixture
async def channel(vhost: Vhost) -> AsyncIterator[AbstractChannel]:
    """The operator's; publishing on it waits for the broker's word."""
    async with await aio_pika.connect(vhost.operator_url) as connection:
        yield await connection.channel(publisher_confirms=True)


def load(vhost: Vhost, **changed: dict[str, Any]) -> None:
    """Load the documented policies into a virtual host; ``changed`` are other definitions by the queue."""
    policies = json.loads(FILE.read_text().replace(f'"vhost": "{VHOST}"', f'"vhost": "{vhost.name}"'))[
        "policies"
    ]
    for policy in policies:
        policy["definition"] |= changed.get(policy["name"].removeprefix("harebell-"), {})
    define(vhost.kubectl, policies=policies)


async def publish(channel: AbstractChannel, exchange: str, messages: int) -> None:
    target = await channel.get_exchange(exchange, ensure=False)
    await asyncio.gather(*(target.publish(Message(bytes(500)), "") for _ in range(messages)))


async def waiting(channel: AbstractChannel, queue: str) -> int:
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def test_a_policy_changes_queues_that_are_there(
    vhost: Vhost, servers: Servers, channel: AbstractChannel
) -> None:
    # A stream has the segments that it was made with, and drops whole ones.
    await asyncio.to_thread(load, vhost, history={"stream-max-segment-size-bytes": 50_000})
    await declare(channel, base_topology())
    await declare(channel, history_topology(heartbeats=False))
    await publish(channel, HEARTBEATS_EXCHANGE, 20)
    await publish(channel, HISTORY_EXCHANGE, 2000)
    assert await waiting(channel, HEARTBEATS_QUEUE) == 20

    async def all_there() -> bool:
        # The broker counts a record of its own in each segment too.
        return await waiting(channel, HISTORY_STREAM) >= 2000

    await eventually("all messages in the stream", all_there)
    await asyncio.to_thread(load, vhost, heartbeats={"max-length": 5}, history={"max-length-bytes": 200_000})

    async def shortened() -> bool:
        kept = await waiting(channel, HISTORY_STREAM)
        # None of a stream means that its leader could not be asked.
        return await waiting(channel, HEARTBEATS_QUEUE) == 5 and 0 < kept < 1000

    await eventually("both shortened", shortened)
    # What the operator does when it starts.
    await declare(channel, base_topology())
    await declare(channel, history_topology(heartbeats=False))
    await publish(channel, HEARTBEATS_EXCHANGE, 1)
    assert await waiting(channel, HEARTBEATS_QUEUE) == 5

    listed = await asyncio.to_thread(
        BrokerNodes(servers.kubectl).ctl,
        "list_queues",
        "-p",
        vhost.name,
        "name",
        "policy",
        "--formatter",
        "json",
    )
    governed = {queue["name"]: queue["policy"] for queue in json.loads(listed) if queue["policy"]}
    assert governed == {policy.queue: policy.name for policy in POLICIES}
