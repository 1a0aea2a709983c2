"""The ways that are compared: which queues there are, and how an agent takes a message from them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue

from harebell_bus.claim import Lanes
from harebell_bus.lanes import LANES, LEVELS, Lane, Tier, work_queue_name
from harebell_bus.topology import Topology, lane_topology


class Place(Protocol):
    """Where an agent takes messages from."""

    async def claim(self) -> AbstractIncomingMessage:
        """Wait for the next message, and hold no other."""


@dataclass(frozen=True)
class Candidate:
    """One way."""

    name: str
    about: str
    lanes: tuple[Lane, ...]
    place: Callable[[AbstractConnection, Sequence[str]], AbstractAsyncContextManager[Place]]

    @property
    def queues(self) -> tuple[str, ...]:
        """Names of its queues, in the order of its lanes."""
        return tuple(work_queue_name(self.name, lane) for lane in self.lanes)

    def topology(self) -> Topology:
        """Return its queues and bindings."""
        parts = [lane_topology(self.name, lane) for lane in self.lanes]
        return Topology(
            queues=tuple(q for p in parts for q in p.queues),
            bindings=tuple(b for p in parts for b in p.bindings),
        )

    def lane(self, level: str, tier: Tier) -> Lane:
        """Return where a message goes; without lanes of its tier, to one of the other."""
        found = [lane for lane in self.lanes if level in lane.levels]
        return next((lane for lane in found if lane.tier is tier), found[0])


@asynccontextmanager
async def _in_order(connection: AbstractConnection, names: Sequence[str]) -> AsyncIterator[Place]:
    async with Lanes(connection, names) as lanes:
        yield lanes


@dataclass
class _Consuming:
    """Consumes from each queue with a prefetch of one, keeps the most urgent, returns the rest."""

    queues: Sequence[AbstractQueue]

    async def claim(self) -> AbstractIncomingMessage:
        arrived: list[AbstractIncomingMessage] = []
        some = asyncio.Event()

        async def deliver(message: AbstractIncomingMessage) -> None:
            arrived.append(message)
            some.set()

        tags = [await queue.consume(deliver) for queue in self.queues]
        try:
            await some.wait()
        finally:
            await asyncio.gather(*(q.cancel(t) for q, t in zip(self.queues, tags, strict=True)))
        return await _keep_most_urgent(arrived)


@dataclass
class _Comparing:
    """Takes the first of each queue, keeps the more urgent and returns the other; waits as above."""

    queues: Sequence[AbstractQueue]

    async def claim(self) -> AbstractIncomingMessage:
        counts = await asyncio.gather(*(queue.declare() for queue in self.queues))
        some = [q for q, count in zip(self.queues, counts, strict=True) if count.message_count]
        found = await asyncio.gather(*(queue.get(fail=False) for queue in some))
        arrived = [message for message in found if message is not None]
        return await _keep_most_urgent(arrived) if arrived else await _Consuming(self.queues).claim()


async def _keep_most_urgent(arrived: list[AbstractIncomingMessage]) -> AbstractIncomingMessage:
    kept, *rest = sorted(arrived, key=lambda message: -(message.priority or 0))
    await asyncio.gather(*(message.nack(requeue=True) for message in rest))
    return kept


def _with_channels(kind: Callable[[Sequence[AbstractQueue]], Place]) -> Any:
    @asynccontextmanager
    async def place(connection: AbstractConnection, names: Sequence[str]) -> AsyncIterator[Place]:
        queues = []
        for name in names:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=1)
            queues.append(await channel.declare_queue(name, passive=True))
        yield kind(queues)

    return place


def _ladder() -> tuple[Lane, ...]:
    """Return lanes of two levels, shifted by one between the tiers: as few as keep the order."""
    memory = [Lane(Tier.MEMORY, LEVELS[:1]), *(Lane(Tier.MEMORY, LEVELS[n : n + 2]) for n in (1, 3))]
    disk = [*(Lane(Tier.DISK, LEVELS[n : n + 2]) for n in (0, 2)), Lane(Tier.DISK, LEVELS[4:])]
    return tuple(lane for pair in zip(memory, disk, strict=True) for lane in pair)


_LEVEL_BY_LEVEL = tuple(Lane(tier, (level,)) for level in LEVELS for tier in (Tier.MEMORY, Tier.DISK))

CANDIDATES: Mapping[str, Candidate] = {
    each.name: each
    for each in (
        Candidate(
            "one-queue",
            "one quorum queue with strict priorities, consumed from; nothing is transient",
            (Lane(Tier.DISK, LEVELS),),
            _with_channels(_Consuming),
        ),
        Candidate(
            "compare",
            "a quorum and a classic queue with priorities; the first of each is compared, one returned",
            (Lane(Tier.DISK, LEVELS), Lane(Tier.MEMORY, LEVELS)),
            _with_channels(_Comparing),
        ),
        Candidate("per-level", "a queue for each level and tier, in order", _LEVEL_BY_LEVEL, _in_order),
        Candidate("ladder", "six queues of one or two levels, in order", _ladder(), _in_order),
        Candidate("lanes", "eight: as the ladder, but one level in a quorum queue", LANES, _in_order),
    )
}

assert all(a.levels[-1] in LEVELS[: LEVELS.index(b.levels[0]) + 1] for a, b in pairwise(_ladder()))
