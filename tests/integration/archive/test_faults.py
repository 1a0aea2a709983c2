"""Archiver, PostgreSQL and stream come and go: nothing is lost, nothing is twice, work goes on."""

import asyncio
import time

import pytest
from aio_pika.abc import AbstractConnection
from tests.support.kubectl import Kubectl
from tests.support.servers import Servers
from tests.support.waiting import eventually, until

from harebell_archive.stream import count
from harebell_bus.declare import declare
from harebell_bus.history import HISTORY_EXCHANGE, HISTORY_STREAM, history_topology
from harebell_bus.publisher import Publisher
from harebell_bus.topology import Queue, Topology

from .conftest import AWAY, Archive, Archivers
from .traffic import in_stream, publish_many, publish_reply

POD = "rabbit-postgresql-0"
CHUNK = 2000
OFFERED = 250.0
"""Messages a second; few enough that nobody waits for the processor."""


def kill_postgresql(kubectl: Kubectl) -> str:
    """End it as a crash would, and return the UID it had."""
    uid = str(kubectl.get("pod", POD)["metadata"]["uid"])
    kubectl("delete", "pod", POD, "--grace-period=0", "--force")
    return uid


async def back(database: Archive, kubectl: Kubectl, killed: str) -> None:
    """Wait until another PostgreSQL than the killed one answers."""

    def another() -> bool:
        found = kubectl("get", "pod", POD, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
        return found not in ("", killed)

    await asyncio.to_thread(until, "another PostgreSQL", another, 60)

    async def answers() -> bool:
        try:
            return bool(await database.rows("SELECT 1"))
        except AWAY:
            return False

    await eventually("PostgreSQL to answer", answers, 90)


@pytest.mark.alone  # The rates are of use only where nothing else takes the processor.
@pytest.mark.timeout(400)
async def test_nothing_lost_and_nothing_twice_while_everything_is_killed(
    connection: AbstractConnection,
    publisher: Publisher,
    archivers: Archivers,
    database: Archive,
    servers: Servers,
) -> None:
    """12,000 messages; archiver and PostgreSQL are killed twice each, at the worst of times."""
    chunks = [range(n, n + CHUNK) for n in range(CHUNK, 6 * CHUNK, CHUNK)]
    await publish_many(publisher, range(CHUNK // 2))  # To warm up.
    rates = {"no archiver": await publish_many(publisher, range(CHUNK // 2, CHUNK), OFFERED)}

    archiver = archivers.start()
    await database.reaches(1)
    archiver.kill()  # With a backlog in its hands.
    rates["archiver killed"] = await publish_many(publisher, chunks[0], OFFERED)
    archiver = archivers.start()
    await database.reaches(await database.count() + 100)
    killed = await asyncio.to_thread(kill_postgresql, servers.kubectl)
    rates["PostgreSQL killed"] = await publish_many(publisher, chunks[1], OFFERED)
    await back(database, servers.kubectl, killed)
    publishing = asyncio.create_task(publish_many(publisher, chunks[2], OFFERED))
    await database.reaches(await database.count() + 100)
    archiver.kill()
    rates["archiver killed meanwhile"] = await publishing
    archiver = archivers.start()
    publishing = asyncio.create_task(publish_many(publisher, chunks[3], OFFERED))
    await database.reaches(await database.count() + 100)
    killed = await asyncio.to_thread(kill_postgresql, servers.kubectl)
    rates["PostgreSQL killed meanwhile"] = await publishing
    await back(database, servers.kubectl, killed)
    flat_out = await publish_many(publisher, chunks[4])

    begun = time.perf_counter()
    stream = await in_stream(connection, 6 * CHUNK)
    await database.reaches(len(stream), 120)
    caught_up = time.perf_counter() - begun
    print(f"messages published and confirmed, {OFFERED:.0f} a second offered:")
    print(*(f"  {what}: {rate}" for what, rate in rates.items()), sep="\n")
    print(f"as many as can be, while archiving: {flat_out}; caught up {caught_up:.1f} s after the last")

    rows = await database.rows("SELECT epoch, stream_offset, message_id FROM harebell.messages")
    assert len(rows) == 6 * CHUNK
    assert {r["stream_offset"]: r["message_id"] for r in rows} == stream
    assert len(set(stream.values())) == 6 * CHUNK
    assert {r["epoch"] for r in rows} == {1}
    assert not await database.rows("SELECT * FROM harebell.archive_gaps")
    # Nothing waits for the archive. PostgreSQL takes many seconds to come back: waiting for it would bring
    # the rate down to next to nothing. A busy machine takes some of it too.
    assert min(rate.a_second for rate in rates.values()) > OFFERED * 0.5


async def test_a_second_archiver_stands_by_and_takes_over(
    connection: AbstractConnection, publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    first = archivers.start("first")
    await archivers.says("Archiving", "first")
    archivers.start("second")
    await archivers.says("Standby", "second")
    await publish_many(publisher, range(300))
    await database.reaches(1)
    first.kill()
    await publish_many(publisher, range(300, 600))
    await archivers.says("Archiving", "second")
    stream = await in_stream(connection, 600)
    await database.reaches(600)
    rows = await database.rows("SELECT stream_offset, message_id FROM harebell.messages")
    assert len(rows) == 600
    assert {r["stream_offset"]: r["message_id"] for r in rows} == stream


async def test_a_stream_made_anew_begins_another_epoch(
    connection: AbstractConnection, publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    async with connection.channel() as channel:
        archiver = archivers.start()
        await publish_many(publisher, range(50))
        await database.reaches(50)
        # While it is watched: the new one has fewer messages than were archived of the old one.
        await channel.queue_delete(HISTORY_STREAM)
        await declare(channel, history_topology(heartbeats=False))
        await publish_many(publisher, range(100, 120))
        await database.reaches(70)
        archiver.kill()
        # While it is not: the new one has more.
        await channel.queue_delete(HISTORY_STREAM)
        await declare(channel, history_topology(heartbeats=False))
        await publish_many(publisher, range(200, 300))
        archiver = archivers.start()
        await database.reaches(170)
        archiver.kill()
        # While it is not, with fewer, and none to come.
        await channel.queue_delete(HISTORY_STREAM)
        await declare(channel, history_topology(heartbeats=False))
        await publish_many(publisher, range(300, 310))
        archivers.start()
        await database.reaches(180)
    found = await database.rows("SELECT epoch, count(*) AS n FROM harebell.messages GROUP BY 1 ORDER BY 1")
    assert [(r["epoch"], r["n"]) for r in found] == [(1, 50), (2, 20), (3, 100), (4, 10)]
    gaps = await database.rows("SELECT epoch, messages, reason FROM harebell.archive_gaps ORDER BY id")
    assert [tuple(g) for g in gaps] == [(epoch, None, "StreamReplaced") for epoch in (1, 2, 3)]


async def test_what_retention_took_is_counted(
    connection: AbstractConnection, publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    async with connection.channel() as channel:
        # As the history's stream, but it drops what is old after some hundred messages.
        await channel.queue_delete(HISTORY_STREAM)
        small = {
            "x-queue-type": "stream",
            "x-max-length-bytes": 200_000,
            "x-stream-max-segment-size-bytes": 50_000,
        }
        stream = Queue(HISTORY_STREAM, arguments=small)
        queues = await declare(channel, Topology(queues=(stream,)))
        await queues[HISTORY_STREAM].bind(HISTORY_EXCHANGE)
        archiver = archivers.start()
        await publish_many(publisher, range(100))
        await database.reaches(100)
        archiver.kill()
        await publish_many(publisher, range(100, 3000))

        async def dropped() -> bool:
            return 0 < await count(connection) < 2000

        await eventually("old segments dropped", dropped)
        archivers.start()
        await archivers.says('harebell_archive_gaps_total{reason="Retention"} 1.0', path="/metrics")
        await publish_reply(publisher, 5000)

    async def newest() -> bool:
        return bool(await database.rows("SELECT 1 FROM harebell.messages WHERE message_id = 'uid-5000.p'"))

    await eventually("the newest message", newest)
    (gap,) = await database.rows("SELECT * FROM harebell.archive_gaps")
    ((first, last),) = await database.rows(
        "SELECT max(stream_offset) FILTER (WHERE stream_offset < $1), min(stream_offset) FILTER "
        "(WHERE stream_offset >= $1) FROM harebell.messages",
        gap["first_offset"],
    )
    assert (gap["reason"], gap["first_offset"], gap["messages"]) == ("Retention", first + 1, last - first - 1)
    assert f"harebell_archive_gap_messages_total {float(gap['messages'])}" in archivers.get("/metrics")


@pytest.mark.timeout(300)
async def test_work_goes_on_without_stream_or_postgresql_and_the_archive_catches_up(
    impatient_broker: None,
    connection: AbstractConnection,
    publisher: Publisher,
    archivers: Archivers,
    database: Archive,
) -> None:
    archivers.start()
    await archivers.says("Archiving")
    await publish_many(publisher, range(20))
    await database.reaches(20)
    async with connection.channel() as channel:
        await channel.queue_delete(HISTORY_STREAM)
        await archivers.says("StreamUnreachable")
        print(f"without the stream: {await publish_many(publisher, range(100, 600))}")
        assert await database.count() == 20
        await declare(channel, history_topology(heartbeats=False))
        await database.reaches(520, 90)
    ids = await database.rows("SELECT DISTINCT message_id FROM harebell.messages")
    assert len(ids) == 520
