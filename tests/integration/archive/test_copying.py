"""What is published is in the archive: what, and what about it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractConnection
from pamqp import encode
from tests.support.broker_shell import evaluate
from tests.support.servers import Servers, Vhost
from tests.support.waiting import eventually

from harebell_archive.archiver import TICK_SECONDS
from harebell_bus.envelopes import AgentRef, Heartbeat, HeartbeatReason, Query, Welcome
from harebell_bus.history import HISTORY_STREAM
from harebell_bus.publisher import Publisher
from harebell_bus.topology import (
    ANNOUNCEMENTS_EXCHANGE,
    COMMANDS_EXCHANGE,
    DEAD_LETTERS_EXCHANGE,
    HEARTBEATS_EXCHANGE,
    PRIORITIES,
    REASON_HEADER,
    REPLIES_EXCHANGE,
    command_key,
)

from .conftest import Archive, Archivers
from .traffic import AGENT, publish_reply, publish_work


async def test_every_message_is_archived_with_its_origin(
    publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    archivers.start()
    await publish_work(publisher, 1)
    await publish_reply(publisher, 1)
    welcome = Welcome(instance="i", work_queues=("q",), heartbeat_seconds=60)
    key = command_key("text", "agent-1.of.some")
    await publisher.publish(
        COMMANDS_EXCHANGE, welcome, routing_key=key, message_id="w", persistent=False, mandatory=False
    )
    await publisher.publish(ANNOUNCEMENTS_EXCHANGE, Query(), message_id="q", mandatory=False)
    await publisher.publish(
        DEAD_LETTERS_EXCHANGE, b"[", message_id="d", correlation_id="u", headers={REASON_HEADER: "unreadable"}
    )
    beat = Heartbeat(
        reason=HeartbeatReason.INTERVAL,
        agent=AgentRef(id="a", instance="i"),
        agent_type="text",
        software_version="1",
        started_at=datetime.now(UTC),
        at=datetime.now(UTC),
    )
    await publisher.publish(HEARTBEATS_EXCHANGE, beat, message_id="b")
    await publish_reply(publisher, 2)
    await database.reaches(6)
    rows = await database.rows("SELECT * FROM harebell.messages ORDER BY stream_offset")
    assert [(r["exchange"], r["kind"], r["message_id"]) for r in rows] == [
        ("harebell.work", "Work", "uid-1.1"),
        ("harebell.replies", "Progressed", "uid-1.p"),
        ("harebell.commands", "Welcome", "w"),
        ("harebell.announcements", "Query", "q"),
        ("harebell.dead-letters", None, "d"),
        ("harebell.replies", "Progressed", "uid-2.p"),
    ]
    work, reply, command, _, letter, _ = rows
    assert (work["task_namespace"], work["task_name"], work["correlation_id"]) == (
        "default",
        "task-1",
        "uid-1",
    )
    assert (work["agent_type"], work["attempt"], work["priority"]) == ("text", 1, PRIORITIES["high"])
    assert '"number"' in work["body"]
    assert '"agent-type": "text"' in work["headers"]
    assert (reply["agent_id"], reply["task_name"]) == (AGENT.id, "task-1")
    assert (command["agent_type"], command["agent_id"]) == ("text", "agent-1.of.some")
    assert (letter["body"], letter["raw"], letter["reason"]) == (None, b"[", "unreadable")
    now = datetime.now(UTC)
    assert all(abs(r["time"] - now) < timedelta(minutes=5) for r in rows)
    assert {r["epoch"] for r in rows} == {1}


async def test_what_postgresql_refuses_is_kept_as_it_came(
    publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    bodies = [
        b'{"kind": "Odd", "n": 1}',
        b'{"kind": "Huge", "n": 1e200000}',
        b"[" * 20_000 + b"]" * 20_000,
        b'{"s": "\\u0000"}',
        b"\xff\x00",
        b"",
        b'{"kind": "\\ud800", "attempt": "many", "task": [], "agent": {"id": 5}}',
        b'{"kind": "Last"}',
    ]
    for number, body in enumerate(bodies):
        await publisher.publish(
            REPLIES_EXCHANGE, body, message_id=f"{number}", headers={"odd": "\ufffe", "harebell-attempt": "x"}
        )
    archivers.start()
    await database.reaches(len(bodies))
    rows = await database.rows("SELECT * FROM harebell.messages ORDER BY stream_offset")
    assert [r["message_id"] for r in rows] == [str(n) for n in range(len(bodies))]
    kept = [None if r["body"] is not None else r["raw"] for r in rows]
    assert kept == [None, *bodies[1:7], None]
    assert (rows[0]["kind"], rows[6]["kind"], rows[7]["kind"]) == ("Odd", "?", "Last")
    assert rows[1]["kind"] == "Huge"
    assert "harebell_archive_refused_bodies_total 1.0" in archivers.get("/metrics")


async def test_whatever_is_said_of_numbers_text_and_times_more_is_archived(
    publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    as_json = [
        # Times that exist in their zones, and not in UTC.
        b'{"kind": "Progressed", "at": "0001-01-01T00:00:00+01:00"}',
        b'{"kind": "Progressed", "publishedAt": "9999-12-31T23:59:59-01:00"}',
        # And those that the driver takes for the infinities.
        b'{"at": "0001-01-01T00:00:00+00:00", "publishedAt": "9999-12-31T23:59:59.999999+00:00"}',
        b'{"at": "0001-01-01T00:00:00.000001Z"}',
        b'{"attempt": 2147483647}',
        b'{"attempt": 2147483648}',
        b'{"attempt": -9223372036854775809}',
        b'{"attempt": 1e400}',
        b'{"attempt": 1' + b"0" * 4000 + b"}",
        b'{"kind": "' + b"k" * 100_000 + b'", "reason": "' + "\u00e4".encode() * 50_000 + b'"}',
    ]
    as_they_came = [
        b'{"attempt": 1' + b"0" * 5000 + b"}",
        b'{"at": "\\u0000", "kind": "\\u0000", "reason": "a\\u0000b", "task": {"uid": "\\u0000"}}',
        b'{"at": "2026-01-01\\ud800", "kind": "\\udfff", "agent": {"id": "\\ud800x"}, "code": "\\ud800"}',
        b'{"\\u0000": 1}',
        b'{"kind": "a\x00b"}',
        b'{"kind": "\xed\xa0\x80"}',
    ]
    headers: dict[str, str | int] = {
        "harebell-reason": "\0",
        "harebell-attempt": 2**62,
        "harebell-task-name": "\ufffe" * 200,
    }
    bodies = [*as_json, *as_they_came]
    for number, body in enumerate(bodies):
        await publisher.publish(
            REPLIES_EXCHANGE, body, message_id=f"{number}", correlation_id="a\0b", headers=headers
        )
    await publish_reply(publisher, 1)
    archivers.start()
    await database.reaches(len(bodies) + 1)
    rows = await database.rows("SELECT * FROM harebell.messages ORDER BY stream_offset")
    assert [r["message_id"] for r in rows] == [*map(str, range(len(bodies))), "uid-1.p"]
    assert [r["raw"] for r in rows] == [*[None] * len(as_json), *as_they_came, None]
    assert [r["attempt"] for r in rows[:8]] == [*[None] * 4, 2147483647, *[None] * 3]
    assert [r["sent_at"] for r in rows[:4]] == [*[None] * 3, datetime(1, 1, 1, microsecond=1, tzinfo=UTC)]
    assert rows[-1]["sent_at"] is not None


def unreadable(patched: pytest.MonkeyPatch) -> list[Message]:
    """Return messages with what pamqp encodes as it does not read it."""
    far, never, text = datetime(2026, 1, 1, tzinfo=UTC), b"\xff" * 8, encode.short_string

    def short(value: str) -> bytes:
        return b"\x02\xffx" if value == "no UTF-8" else text(value)

    patched.setattr(encode, "timestamp", lambda _: never)
    patched.setitem(encode.METHODS, "timestamp", lambda _: never)
    patched.setattr(encode, "short_string", short)
    patched.setitem(encode.METHODS, "shortstr", short)
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"x": deep}
    return [
        Message(b'{"kind": "Header"}', headers={"when": far, "x-when": far}),
        Message(b'{"kind": "Property"}', timestamp=far),
        Message(b'{"kind": "Id"}', message_id="no UTF-8", correlation_id="no UTF-8", type="no UTF-8"),
        Message(b'{"kind": "Key"}', headers={"no UTF-8": 1, "x-no UTF-8": 1}),
        Message(b'{"kind": "Deep"}', headers={"deep": deep, "x-deep": deep}),
    ]


async def test_headers_and_properties_that_the_client_does_not_read_are_no_end(
    connection: AbstractConnection,
    publisher: Publisher,
    archivers: Archivers,
    database: Archive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with connection.channel() as channel:
        replies = await channel.get_exchange(REPLIES_EXCHANGE, ensure=False)
        with monkeypatch.context() as patched:
            for message in unreadable(patched):
                await replies.publish(message, "")
    await publish_reply(publisher, 1)
    archivers.start()
    await database.reaches(6, 30)
    rows = await database.rows("SELECT kind, message_id FROM harebell.messages ORDER BY stream_offset")
    assert [r["kind"] for r in rows] == ["Header", "Property", "Id", "Key", "Deep", "Progressed"]


async def test_old_days_go_and_coming_ones_are_ready(
    publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    days = (
        "SELECT array_agg(right(name, 8) ORDER BY name) AS days FROM "
        "(SELECT inhrelid::regclass::text AS name FROM pg_inherits "
        "WHERE inhparent = 'harebell.messages'::regclass) AS partitions"
    )
    first = archivers.start()
    await publish_reply(publisher, 1)
    await database.reaches(1)
    first.stop()
    await database.rows("SELECT harebell.make_partition($1)", datetime.now(UTC).date() - timedelta(days=9))
    await database.rows("SELECT harebell.make_partition($1)", datetime.now(UTC).date() - timedelta(days=2))
    assert len((await database.rows(days))[0]["days"]) == 5
    archivers.start(HAREBELL_RETENTION_DAYS="3")

    async def kept() -> list[str] | None:
        found: list[str] = (await database.rows(days))[0]["days"]
        return found if len(found) == 4 else None

    today = datetime.now(UTC)
    wanted = [f"{today + timedelta(days=n):%Y%m%d}" for n in (-2, 0, 1, 2)]
    assert await eventually("the old partition dropped", kept) == wanted
    assert await database.count() == 1


@pytest.mark.timeout(180, func_only=True)
async def test_while_old_days_are_being_read_the_rest_goes_on(
    publisher: Publisher, archivers: Archivers, database: Archive
) -> None:
    """As by a backup, which holds its locks to its end."""
    first = archivers.start(HAREBELL_RETENTION_DAYS="3")
    await publish_reply(publisher, 1)
    await database.reaches(1)
    today = datetime.now(UTC).date()
    old = [today - timedelta(days=n) for n in (9, 8)]
    reading = await asyncpg.connect(database.url, timeout=20)
    try:
        async with reading.transaction():
            await reading.execute("LOCK TABLE harebell.messages IN ACCESS SHARE MODE")
            for day in old:
                await database.rows("SELECT harebell.make_partition($1)", day)
            clock, number, refused_at = asyncio.get_running_loop().time, 1, 0.0
            # For longer than until the next look at the days.
            while not refused_at or clock() < refused_at + TICK_SECONDS + 2:
                number += 1
                await publish_reply(publisher, number)
                await database.reaches(number, 6)
                if not refused_at and "could not be dropped" in first.log.read_text():
                    refused_at = clock()
        assert first.log.read_text().count("could not be dropped") == 1
    finally:
        await reading.close(timeout=5)
    first.stop()
    # Another one tries at once.
    archivers.start(HAREBELL_RETENTION_DAYS="3")

    async def gone() -> bool:
        names = [f"harebell.messages_{day:%Y%m%d}" for day in old]
        found = await database.rows("SELECT count(to_regclass(name)) FROM unnest($1::text[]) AS name", names)
        return bool(found[0][0] == 0)

    await eventually("the old days dropped", gone, 30)
    assert await database.count() == number


async def test_a_node_without_the_stream_is_left_for_another(
    publisher: Publisher, archivers: Archivers, database: Archive, servers: Servers, vhost: Vhost
) -> None:
    """As when RabbitMQ did not start a replica again after all nodes were restarted."""
    stream, name = f'<<"{vhost.name}">>', f'<<"{HISTORY_STREAM}">>'
    evaluate(
        servers.kubectl,
        f"{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r({stream}, queue, {name})), "
        "[Other | _] = rabbit_nodes:list_running() -- [node(amqqueue:get_pid(Q))], "
        f"ok = rabbit_stream_queue:delete_replica({stream}, {name}, Other)",
    )
    for n in range(1, 7):
        # Each is led to any of the three nodes.
        archiver = archivers.start()
        await publish_reply(publisher, n)
        await database.reaches(n)
        archiver.kill()
