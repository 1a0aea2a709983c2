"""Runs Celery's workers and a client."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity
from tests.bench.lifecycle.server import STALL_SECONDS
from tests.cluster.paths import REPOSITORY
from tests.support.waiting import eventually

QUEUE = "rival"
"""As in ``app``, which cannot be imported here."""
READY_SECONDS = 120.0


@asynccontextmanager
async def workers(
    python: Path, url: str, pool: str, count: int, log: Path
) -> AsyncIterator["asyncio.subprocess.Process"]:
    """Have a worker with so many processes or threads consuming for the time of the block."""
    with log.open("wb") as output:
        worker = await asyncio.create_subprocess_exec(
            python, "-m", "celery", "-A", f"{__package__}.app",
            "worker", "--pool", pool, "--concurrency", str(count),
            "--without-mingle", "--without-gossip", "--without-heartbeat", "--loglevel", "WARNING",
            cwd=REPOSITORY, env={**os.environ, "RIVAL_BROKER": url}, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        async with await aio_pika.connect(url) as connection:
            await eventually(f"{worker.pid} to consume", lambda: _consumed(connection), READY_SECONDS)
        yield worker
    finally:
        if worker.returncode is None:
            worker.terminate()
        await worker.wait()


async def _consumed(connection: aio_pika.abc.AbstractConnection) -> bool:
    async with connection.channel() as channel:
        try:
            queue = await channel.declare_queue(QUEUE, passive=True)
        except ChannelNotFoundEntity:
            return False
    return bool(queue.declaration_result.consumer_count)


@asynccontextmanager
async def client(python: Path, url: str, count: int, warm_up: int) -> AsyncIterator["Client"]:
    """Have a client that has called and been answered ``warm_up`` times, and is to call ``count`` times."""
    process = await asyncio.create_subprocess_exec(
        python, "-m", f"{__package__}.load", str(warm_up), str(count),
        cwd=REPOSITORY, env={**os.environ, "RIVAL_BROKER": url},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    found = Client(process)
    try:
        await found.line(READY_SECONDS)
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Client:
    """A client's process."""

    def __init__(self, process: "asyncio.subprocess.Process") -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def line(self, seconds: float) -> str:
        """Return the next line it says. :raises RuntimeError: it ended instead."""
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            said = await self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"the client of Celery ended: {await self._process.wait()}")
        return said.decode().strip()

    async def run(self) -> float:
        """Send everything, and return the seconds until the last result."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return float(json.loads(await self.line(3 * STALL_SECONDS))["seconds"])
