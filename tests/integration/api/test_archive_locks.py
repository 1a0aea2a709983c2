"""Questions to an archive of more than a year, of which each locks every day's partition and its indexes."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from harebell_api import archive, past

pytestmark = pytest.mark.timeout(300, func_only=True)

DAYS = 370
CONNECTIONS = 8
"""Of four replicas, or of two while they are replaced."""
UID = ("ns", "unknown")
QUESTIONS = (
    (archive._BY_UID, UID),
    (archive._WITHOUT_RECORD, UID),
    (archive._BY_NAME, UID),
    (past._MESSAGES, (*UID, None, None, None, 10)),
    (past._AGENT_TYPE, UID),
    (past._UID_BY_NAME, UID),
)
LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database WHERE d.datname = current_database()
"""


@pytest.fixture(scope="module")
def owner_url(archive_owner_url: str) -> str:
    """The owner's URL of an archive of so many days, without messages."""
    asyncio.run(_fill(archive_owner_url))
    return archive_owner_url


async def _fill(url: str) -> None:
    owner = await asyncpg.connect(url, timeout=20)
    try:
        today = datetime.now(UTC).date()
        for ago in range(DAYS):
            await owner.execute("SELECT harebell.make_partition($1)", today - timedelta(days=ago))
    finally:
        await owner.close(timeout=5)


async def _locks(url: str) -> int:
    owner = await asyncpg.connect(url, timeout=20)
    try:
        return int(await owner.fetchval(LOCKS))
    finally:
        await owner.close(timeout=5)


async def test_there_is_room_for_the_locks_of_all_who_ask_at_once(owner_url: str, archive_url: str) -> None:
    async with AsyncExitStack() as held:
        for number in range(CONNECTIONS):
            reader = await archive.PostgreSQL(lambda: archive_url)._connect()
            held.callback(reader.terminate)
            await reader.execute("BEGIN")
            question, arguments = QUESTIONS[number % len(QUESTIONS)]
            assert await reader.fetch(question, *arguments) == []
        assert await _locks(owner_url) > DAYS * CONNECTIONS * 5


async def test_who_asks_for_some_days_locks_only_these(owner_url: str, archive_url: str) -> None:
    reader = await archive.PostgreSQL(lambda: archive_url)._connect()
    try:
        await reader.execute("BEGIN")
        # As often as it takes for PostgreSQL to prefer a plan that holds for any days.
        for _ in range(8):
            since = datetime.now(UTC) - timedelta(days=2)
            assert await reader.fetch(archive._REMOVED_SINCE, "ns", since) == []
        assert await _locks(owner_url) < 10 * 7
    finally:
        reader.terminate()
