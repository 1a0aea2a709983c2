"""An archiver as a process of this machine, a virtual host with the history in it, and an empty database."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractConnection
from tests.support.api import KEY, Api, running
from tests.support.broker_shell import evaluate
from tests.support.keys import record, write
from tests.support.processes import Process, Processes, free_port, processes
from tests.support.servers import Servers, Vhost
from tests.support.waiting import eventually

from harebell_bus.declare import declare
from harebell_bus.history import history_topology
from harebell_bus.lanes import Tier, lane_of
from harebell_bus.permissions import archiver_permissions
from harebell_bus.publisher import Publisher
from harebell_bus.topology import base_topology, lane_topology

AGENT_TYPE = "text"
PASSWORD = "only-for-reading-0123456789"
"""Of who may read what became of Tasks."""
LANE = lane_of("high", Tier.DISK)
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a database that is just being killed or started gives for an answer."""


@dataclass(frozen=True)
class Archive:
    """The database as a reader sees it."""

    url: str

    async def rows(self, query: str, *arguments: object) -> list[Any]:
        """Run a query over a connection of its own."""
        connection = await asyncpg.connect(self.url, timeout=10)
        try:
            return list(await connection.fetch(query, *arguments, timeout=20))
        finally:
            await connection.close(timeout=5)

    async def count(self) -> int:
        """Return how many messages there are; -1: it does not answer, or there is no table yet."""
        try:
            return int((await self.rows("SELECT count(*) FROM harebell.messages"))[0][0])
        except AWAY:
            return -1

    async def reaches(self, messages: int, seconds: float = 60) -> None:
        """Wait until there are so many messages."""

        async def reached() -> bool:
            return await self.count() >= messages

        await eventually(f"{messages} messages in the archive", reached, seconds)


@dataclass
class Archivers:
    """Starts archivers."""

    processes: Processes
    amqp_url: str
    database_url: str
    ports: dict[str, int]

    def start(self, name: str = "archiver", **environment: str) -> Process:
        """Start one. It has not connected when this returns."""
        port = self.ports.setdefault(name, free_port())
        return self.processes.archiver(
            name, self.amqp_url, self.database_url, HAREBELL_PORT=str(port), **environment
        )

    def get(self, path: str, name: str = "archiver") -> str:
        """Return what one answers over HTTP, or why it does not."""
        try:
            with urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            return str(error.read().decode())
        except OSError as error:
            return str(error)

    async def says(self, text: str, name: str = "archiver", path: str = "/readyz") -> None:
        """Wait until one's answer holds a text."""

        async def said() -> bool:
            return text in await asyncio.to_thread(self.get, path, name)

        await eventually(f"{text!r} at {path} of {name}", said, 60)


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[Archive]:
    """An empty database of the test's own."""
    name = f"it_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(servers.postgresql_url, timeout=20)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    yield Archive(f"{servers.postgresql_url.rsplit('/', 1)[0]}/{name}")

    async def dropped() -> bool:
        try:
            connection = await asyncpg.connect(servers.postgresql_url, timeout=10)
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await connection.close()
        except AWAY:
            return False
        return True

    await eventually("the database dropped", dropped, 60)


@pytest.fixture(scope="module")
def archiver_url(vhost: Vhost) -> str:
    """The archiver's URL in the suite's virtual host."""
    return vhost.user_url("archiver", archiver_permissions())


@pytest.fixture
def archivers(
    tmp_path: Path, archiver_url: str, database: Archive, vhost: Vhost, namespace: str, kubeconfig: Path
) -> Iterator[Archivers]:
    """Starts archivers, which end with the test."""
    with processes(tmp_path, vhost.operator_url, vhost.agent_url, namespace, kubeconfig) as starter:
        yield Archivers(starter, archiver_url, database.url, {})


def reader_url(url: str) -> str:
    """Return the URL for who may read what became of Tasks."""
    return re.sub("//[^@]+@", f"//harebell_reader:{PASSWORD}@", url)


@pytest.fixture
def api(kubeconfig: Path, namespace: str, tmp_path: Path, database: Archive) -> Iterator[Api]:
    """An API that reads the archive."""
    keys = tmp_path / "keys"
    write(keys, record(KEY))
    with running(kubeconfig, namespace, keys, HAREBELL_ARCHIVE_URL=reader_url(database.url)) as api:
        yield api


@pytest.fixture
def impatient_broker(servers: Servers) -> Iterator[None]:
    """Queues declared meanwhile repeat an unconfirmed dead letter after a second instead of three minutes."""

    def set_patience(milliseconds: int) -> None:
        setting = f"[rabbit, dead_letter_worker_publisher_confirm_timeout, {milliseconds}]"
        evaluate(servers.kubectl, f"rpc:multicall(application, set_env, {setting})")

    set_patience(1000)
    yield
    set_patience(180_000)


@pytest.fixture
async def connection(vhost: Vhost) -> AsyncIterator[AbstractConnection]:
    """The operator's connection; everything is declared, and nothing is in it."""
    async with await aio_pika.connect(vhost.operator_url) as connection:
        channel = await connection.channel()
        everything = (base_topology(), lane_topology(AGENT_TYPE, LANE), history_topology(heartbeats=False))
        # Queues keep what earlier tests left, and a stream cannot be purged.
        for topology in everything:
            for queue in topology.queues:
                await channel.queue_delete(queue.name)
        for topology in everything:
            await declare(channel, topology)
        yield connection


@pytest.fixture
async def publisher(connection: AbstractConnection) -> Publisher:
    """Publishes as the operator does."""
    publisher = Publisher(timeout_seconds=30)
    publisher.attach(await connection.channel(publisher_confirms=True, on_return_raises=True))
    return publisher
