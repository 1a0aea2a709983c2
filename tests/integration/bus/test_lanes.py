"""Claiming from the lanes of a type, on a real broker."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from tests.bench.topology.figures import Claim, inversions
from tests.support.servers import Vhost
from tests.support.waiting import eventually

from harebell_bus.claim import Lanes
from harebell_bus.declare import declare
from harebell_bus.errors import BrokerUnavailableError
from harebell_bus.lanes import LANES, LEVELS, Tier, lane_of, work_queue_name, work_queue_names
from harebell_bus.publisher import Publisher
from harebell_bus.topology import (
    AGENT_TYPE_HEADER,
    LANE_HEADER,
    PRIORITIES,
    WORK_EXCHANGE,
    base_topology,
    lane_topology,
)

NAMES = work_queue_names("text")
SECONDS = 60.0


class Board:
    """Publishes, and counts what waits."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel
        self._publisher = Publisher()
        self._publisher.attach(channel)

    async def put(self, level: str, tier: Tier, name: str = "") -> None:
        await self._publisher.publish(
            WORK_EXCHANGE,
            b"work",
            message_id=name or uuid4().hex,
            correlation_id=level,
            priority=PRIORITIES[level],
            persistent=tier is Tier.DISK,
            headers={AGENT_TYPE_HEADER: "text", LANE_HEADER: lane_of(level, tier).name},
        )

    async def waiting(self) -> int:
        queues = [await self.channel.declare_queue(name, passive=True) for name in NAMES]
        return sum(queue.declaration_result.message_count or 0 for queue in queues)

    async def holds(self, count: int) -> None:
        async def check() -> bool:
            return await self.waiting() == count

        await eventually(f"{count} messages to wait", check)


@pytest.fixture
async def board(vhost: Vhost) -> AsyncIterator[Board]:
    """All lanes of the type, empty."""
    async with await aio_pika.connect(vhost.operator_url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        for topology in (base_topology(), *(lane_topology("text", lane) for lane in LANES)):
            for queue in (await declare(channel, topology)).values():
                await queue.purge()
        yield Board(channel)


@pytest.fixture
async def connection(vhost: Vhost, board: Board) -> AsyncIterator[AbstractConnection]:
    """An agent's."""
    async with await aio_pika.connect(vhost.agent_url("text")) as connection:
        yield connection


async def claimed(lanes: Lanes) -> AbstractIncomingMessage:
    async with asyncio.timeout(SECONDS):
        return await lanes.claim()


async def test_a_thousand_waiting_messages_are_taken_without_an_inversion(board: Board, vhost: Vhost) -> None:
    chosen = random.Random(1)
    levels = [level for level in LEVELS for _ in range(200)]
    chosen.shuffle(levels)
    tiers = [chosen.choice(list(Tier)) for _ in levels]
    for start in range(0, len(levels), 100):
        batch = zip(levels[start : start + 100], tiers[start : start + 100], strict=True)
        await asyncio.gather(*(board.put(*each) for each in batch))
    confirmed = time.monotonic()
    claims: list[Claim] = []

    async def agent() -> None:
        async with await aio_pika.connect(vhost.agent_url("text")) as own, Lanes(own, NAMES) as lanes:
            while len(claims) < len(levels):
                begun = time.monotonic()
                message = await lanes.claim()
                level = str(message.correlation_id)
                await message.ack()
                claims.append(Claim(level, confirmed, confirmed, begun, time.monotonic()))

    async with asyncio.timeout(100):
        agents = [asyncio.create_task(agent()) for _ in range(4)]
        await asyncio.wait(agents, return_when=asyncio.FIRST_COMPLETED)
    for task in agents:
        task.cancel()
    ended = await asyncio.gather(*agents, return_exceptions=True)
    assert [e for e in ended if isinstance(e, Exception)] == []
    assert sorted(c.level for c in claims) == sorted(levels)
    assert inversions(claims) == 0


async def test_an_agent_that_works_holds_nothing_that_waits(
    board: Board, connection: AbstractConnection
) -> None:
    async with AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(Lanes(connection, NAMES)) for _ in range(3)]
        for lanes in agents:
            await board.put("normal", Tier.MEMORY)
            await claimed(lanes)
        for level in LEVELS:
            for tier in Tier:
                await board.put(level, tier)
        await board.holds(10)
        free = await stack.enter_async_context(Lanes(connection, NAMES))
        assert (await claimed(free)).correlation_id == "critical"
        await board.holds(9)


@pytest.mark.parametrize("tier", list(Tier))
async def test_of_what_comes_at_once_to_an_idle_agent_the_rest_goes_back_to_its_place(
    board: Board, connection: AbstractConnection, tier: Tier
) -> None:
    async with Lanes(connection, NAMES) as lanes:
        for _ in range(10):
            waiting = asyncio.create_task(claimed(lanes))
            await eventually("the agent to wait", lambda: _consumed(board))
            await asyncio.gather(*(board.put(level, each) for level in LEVELS for each in (tier, tier)))
            first = await waiting
            await first.ack()
            await board.holds(9)
            left = sorted(LEVELS * 2, key=LEVELS.index)
            left.remove(str(first.correlation_id))
            taken = []
            for _ in left:
                message = await claimed(lanes)
                taken.append(message.correlation_id)
                await message.ack()
            assert taken == left


async def _consumed(board: Board) -> bool:
    queues = [await board.channel.declare_queue(name, passive=True) for name in NAMES]
    return all(queue.declaration_result.consumer_count for queue in queues)


async def test_whenever_a_claim_is_given_up_nothing_stays_held(
    board: Board, connection: AbstractConnection
) -> None:
    chosen = random.Random(2)
    async with Lanes(connection, NAMES) as lanes:
        for _ in range(40):
            claim = asyncio.create_task(lanes.claim())
            putting = asyncio.create_task(board.put(chosen.choice(LEVELS), chosen.choice(list(Tier))))
            await asyncio.sleep(chosen.uniform(0, 0.02))
            claim.cancel()
            await putting
            (outcome,) = await asyncio.gather(claim, return_exceptions=True)
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, asyncio.CancelledError)
                await board.holds(1)
                outcome = await claimed(lanes)
            await outcome.ack()
            await board.holds(0)


async def test_a_lane_that_is_gone_is_done_without_and_found_again(
    board: Board, connection: AbstractConnection
) -> None:
    gone = lane_of("critical", Tier.MEMORY)
    async with Lanes(connection, NAMES, check_seconds=0.2) as lanes:
        await board.put("low", Tier.DISK)
        await (await claimed(lanes)).ack()
        waiting = asyncio.create_task(lanes.claim())
        await eventually("the agent to wait", lambda: _consumed(board))
        await board.channel.queue_delete(work_queue_name("text", gone))
        await board.put("low", Tier.DISK)
        async with asyncio.timeout(SECONDS):
            await (await waiting).ack()
        waiting = asyncio.create_task(lanes.claim())
        await declare(board.channel, lane_topology("text", gone))
        await board.put("critical", Tier.MEMORY)
        async with asyncio.timeout(SECONDS):
            message = await waiting
        assert message.correlation_id == "critical"
        await message.ack()


async def test_without_any_lane_it_says_so(vhost: Vhost, connection: AbstractConnection) -> None:
    names: Sequence[str] = [f"{NAMES[0]}-not"]
    with pytest.raises(BrokerUnavailableError, match="can be reached"):
        async with Lanes(connection, names):
            pass
