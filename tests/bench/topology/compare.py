"""Runs the candidates on one broker: messages published here, agents in processes beside."""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel
from tests.support.waiting import eventually

from harebell_bus.declare import declare
from harebell_bus.lanes import LEVELS, Tier
from harebell_bus.publisher import Publisher
from harebell_bus.topology import AGENT_TYPE_HEADER, LANE_HEADER, PRIORITIES, WORK_EXCHANGE, base_topology
from harebell_crds.task import DEFAULT_PERSISTENCE, Priority

from .candidates import Candidate
from .figures import Claim, Row, inversions, percentile, throughput

PAYLOAD: Final = b"x" * 1024
READY_SECONDS: Final = 120.0
TAKEN_SECONDS: Final = 120.0
IDLE_SECONDS: Final = 0.03
"""Between a message taken and the next one published: so long agents may need to wait for work again."""
BUSY_SECONDS: Final = 0.02
"""How long an agent works on a message of a burst."""
PROCESSES: Final = 2
"""Of agents, if there are more than one."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    singles: int
    """Messages published one at a time to idle agents."""
    backlog: int
    bursts: int


@dataclass
class Pool:
    """Agents of one candidate, and what they and the publisher say of each message."""

    processes: Sequence[asyncio.subprocess.Process]
    ready: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    taken: dict[str, "asyncio.Future[tuple[float, float]]"] = field(default_factory=dict)
    """When the agent began to look, and when it acknowledged, by message id."""
    published: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    """Level, and when publishing began and was confirmed, by message id."""

    async def listen(self, process: asyncio.subprocess.Process) -> None:
        """Take in what one process of agents says."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            said = json.loads(line)
            if "state" in said:
                self.ready.release()
            else:
                self.taken[said["id"]].set_result((said["begun"], said["acknowledged"]))
        raise RuntimeError(f"a process of agents ended: {await process.wait()}")

    async def settle(self) -> None:
        """Wait until all agents are at their places, and take nothing."""
        async with asyncio.timeout(READY_SECONDS):
            for _ in self.processes:
                await self.ready.acquire()

    def tell(self, line: str) -> None:
        """Tell every process what to do."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n".encode())

    async def claims(self) -> list[Claim]:
        """Wait until everything published is taken; return it, and forget it."""
        async with asyncio.timeout(TAKEN_SECONDS):
            times = await asyncio.gather(*self.taken.values())
        claims = [Claim(*self.published[name], *when) for name, when in zip(self.taken, times, strict=True)]
        self.taken.clear()
        self.published.clear()
        return claims


@asynccontextmanager
async def pool(url: str, candidate: Candidate, agents: int) -> AsyncIterator[Pool]:
    """Start agents; end them afterwards."""
    shares = [agents // PROCESSES + (n < agents % PROCESSES) for n in range(PROCESSES)]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"{__package__}.worker", url, candidate.name, str(share),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for share in shares if share
    ]  # fmt: skip
    found = Pool(processes)
    listening = [asyncio.create_task(found.listen(process)) for process in processes]
    try:
        await found.settle()
        yield found
    finally:
        for task in listening:
            task.cancel()
        for process in processes:
            process.kill()
            await process.wait()


class Comparison:
    """Publishes on one channel, and has agents take."""

    def __init__(self, url: str, channel: AbstractChannel, nodes: int, scale: Scale) -> None:
        self._url, self._channel, self._nodes, self._scale = url, channel, nodes, scale
        self._publisher = Publisher(timeout_seconds=60)
        self._publisher.attach(channel)
        self._sequence = 0

    async def run(self, candidate: Candidate, agents: int, mixes: Sequence[str]) -> list[Row]:
        """Measure one candidate with so many agents."""
        queues = await declare(self._channel, candidate.topology())
        try:
            async with pool(self._url, candidate, agents) as taking:
                return [await self._row(candidate, taking, agents, mix) for mix in mixes]
        finally:
            for queue in queues.values():
                await queue.delete(if_unused=False, if_empty=False)

    async def _row(self, candidate: Candidate, taking: Pool, agents: int, mix: str) -> Row:
        chosen = random.Random(f"{agents} {mix}")
        taking.tell("run 0")
        await eventually("every agent to wait", lambda: self._waiting(candidate, agents), READY_SECONDS)
        for _ in range(self._scale.singles):
            await asyncio.sleep(IDLE_SECONDS)
            await self._publish(candidate, taking, chosen.choice(LEVELS), mix, chosen)
            await asyncio.gather(*taking.taken.values())
        waits = [(c.acknowledged - c.published) * 1000 for c in await taking.claims()]

        taking.tell("halt")
        await taking.settle()
        levels = [LEVELS[n % len(LEVELS)] for n in range(self._scale.backlog)]
        chosen.shuffle(levels)
        await asyncio.gather(*(self._publish(candidate, taking, level, mix, chosen) for level in levels))
        taking.tell("run 0")
        drained = await taking.claims()

        taking.tell("halt")
        await taking.settle()
        taking.tell(f"run {BUSY_SECONDS}")
        for _ in range(self._scale.bursts):
            # More than there are agents: while some are taken by idle agents, others begin to wait.
            burst = [chosen.choice(LEVELS) for _ in range(2 * agents + 2)]
            await asyncio.gather(*(self._publish(candidate, taking, level, mix, chosen) for level in burst))
            await asyncio.sleep(chosen.uniform(0, 2 * BUSY_SECONDS))
        burst_claims = await taking.claims()
        taking.tell("halt")
        await taking.settle()
        return Row(
            self._nodes, agents, mix, candidate.name, percentile(waits, 50), percentile(waits, 99),
            throughput(drained), inversions(drained), inversions(burst_claims),
        )  # fmt: skip

    async def _waiting(self, candidate: Candidate, agents: int) -> bool:
        queues = [await self._channel.declare_queue(name, passive=True) for name in candidate.queues]
        return all(queue.declaration_result.consumer_count == agents for queue in queues)

    async def _publish(
        self, candidate: Candidate, taking: Pool, level: str, mix: str, chosen: random.Random
    ) -> None:
        tier = (
            Tier(DEFAULT_PERSISTENCE[Priority(level)].value)
            if mix == "default"
            else chosen.choice(list(Tier))
        )
        lane = candidate.lane(level, tier)
        self._sequence += 1
        name = str(self._sequence)
        taking.taken[name] = asyncio.get_running_loop().create_future()
        begun = time.monotonic()
        # Taken and told of before the confirm is here, now and then.
        taking.published[name] = level, begun, begun
        await self._publisher.publish(
            WORK_EXCHANGE,
            PAYLOAD,
            message_id=name,
            priority=PRIORITIES[level],
            persistent=lane.tier is Tier.DISK,
            headers={AGENT_TYPE_HEADER: candidate.name, LANE_HEADER: lane.name},
        )
        taking.published[name] = level, begun, time.monotonic()


async def compare(
    url: str, nodes: int, candidates: Sequence[Candidate], agents: Sequence[int], mixes: Sequence[str],
    scale: Scale,
) -> AsyncIterator[Row]:  # fmt: skip
    """Yield the figures of every candidate with every number of agents."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await declare(channel, base_topology())
        comparison = Comparison(url, channel, nodes, scale)
        for number in agents:
            for candidate in candidates:
                for row in await comparison.run(candidate, number, mixes):
                    yield row
