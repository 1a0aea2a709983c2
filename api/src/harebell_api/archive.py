"""Reads the archive: the views about Tasks, as a role that may read nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

import asyncpg
from pydantic_core import to_json

from .history import DEAD_LETTERS, RECORDS, WORK, Deletion, Message, deletion, document, parsed
from .problems import ProblemError, ProblemType

logger = logging.getLogger(__name__)

CONNECTIONS = 2
"""Each costs PostgreSQL 27 MB once it has looked into every day of a year, and 2,200 locks while it does."""
ANSWER_SECONDS = 5.0
"""Whoever asks for a Task waits no longer than this for the archive, connecting included."""
RETRY_SECONDS = "10"
_LONGEST = 1000
"""Messages of one Task that are looked at; its attempts are 101 at most."""
MAX_BYTES = 8 * 2**20
"""What these may have together: more than 101 results of 64 KiB, but an agent may send larger ones."""

_COLUMNS = "task_uid, task_namespace, task_name, time, exchange, kind"
_BY_NAME = f"""
SELECT {_COLUMNS}, body, raw FROM harebell.task_history
WHERE kind = 'Removed' AND exchange = '{RECORDS}' AND task_namespace = $1 AND task_name = $2
ORDER BY time DESC LIMIT 1
"""  # noqa: S608 - no part of it comes from outside
_BY_UID = f"""
SELECT {_COLUMNS}, body, raw FROM harebell.task_history
WHERE kind = 'Removed' AND exchange = '{RECORDS}' AND task_namespace = $1 AND task_uid = $2
ORDER BY time DESC LIMIT 1
"""  # noqa: S608
# The last work, and what was said of it, newest first. Of a dead letter it matters only that there is one.
_WITHOUT_RECORD = f"""
WITH work AS (
    SELECT {_COLUMNS}, body - '{{payload,inputs,checkpoint}}'::text[] AS body, raw
    FROM harebell.task_history
    WHERE kind = 'Work' AND exchange = '{WORK}' AND task_namespace = $1 AND task_uid = $2
    ORDER BY time DESC, attempt DESC NULLS LAST LIMIT 1
), newest AS (
    SELECT
        {_COLUMNS},
        CASE WHEN kind = 'Work' THEN '{{}}' WHEN jsonb_typeof(body) = 'object' THEN body END AS body,
        CASE WHEN kind <> 'Work' THEN raw END AS raw
    FROM harebell.task_history
    WHERE kind <> 'Removed' AND (kind <> 'Work' OR exchange = '{DEAD_LETTERS}')
        AND task_namespace = $1 AND task_uid = $2
    ORDER BY time DESC LIMIT {_LONGEST}
), said AS (
    SELECT *, sum(octet_length(coalesce(body::text, '')) + coalesce(octet_length(raw), 0))
        OVER (ORDER BY time DESC ROWS UNBOUNDED PRECEDING) AS bytes
    FROM newest
)
SELECT {_COLUMNS}, body, raw FROM work
UNION ALL
SELECT {_COLUMNS}, body, raw FROM said WHERE bytes <= {MAX_BYTES} AND EXISTS (SELECT FROM work)
"""  # noqa: S608

MAX_DELETIONS = 2000
_REMOVED_SINCE = f"""
SELECT task_uid, body - '{{spec,status}}'::text[] AS body, raw FROM harebell.task_history
WHERE kind = 'Removed' AND exchange = '{RECORDS}' AND task_namespace = $1 AND time >= $2
ORDER BY time LIMIT {MAX_DELETIONS + 1}
"""  # noqa: S608

_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    ValueError,
)
_FULL = "PostgreSQL has no room for the locks this takes, so its max_locks_per_transaction is to be raised"


class Archive(Protocol):
    """Finds Tasks that are no longer resources."""

    async def find(self, namespace: str, task_id: str, *, is_uid: bool) -> bytes | None:
        """Return the document of a Task as JSON, or None: the archive does not know it.

        By name it is the one that was deleted last. :raises ProblemError: the archive cannot be read.
        """
        ...

    async def removed_since(self, namespace: str, since: datetime) -> Sequence[Deletion] | None:
        """Return the Tasks whose deletion was recorded since then, in order; None: too many to look at.

        Some may have been deleted a little later than recorded, and not every deletion is recorded.
        :raises ProblemError: the archive cannot be read.
        """
        ...


class PostgreSQL:
    """An :class:`Archive`. Nothing is connected before the first question."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._pool: asyncpg.Pool | None = None

    async def find(self, namespace: str, task_id: str, *, is_uid: bool) -> bytes | None:
        """See :class:`Archive`."""
        failure = "no such Task is in the cluster, and the archive cannot be read now"
        async with _in_time(failure):
            # First of all its record: where there is one it says everything.
            rows = await self._fetch(_BY_UID if is_uid else _BY_NAME, namespace, task_id)
            if not rows and is_uid:
                rows = await self._fetch(_WITHOUT_RECORD, namespace, task_id)
        messages = [m for row in rows if (m := _message(row)) is not None]
        found = document(messages)
        return to_json(found) if found is not None else None

    async def removed_since(self, namespace: str, since: datetime) -> Sequence[Deletion] | None:
        """See :class:`Archive`."""
        rows = await self.rows("the archive cannot be read now", _REMOVED_SINCE, namespace, since)
        if len(rows) > MAX_DELETIONS:
            return None
        bodies = ((row["task_uid"], parsed(row["body"], row["raw"])) for row in rows)
        return [deletion(uid, body) for uid, body in bodies if body is not None]

    async def rows(self, failure: str, query: str, *arguments: object) -> list[Any]:
        """Return what a query finds. :raises ProblemError: it cannot be had in time; ``failure`` says so."""
        async with _in_time(failure):
            return await self._fetch(query, *arguments)

    async def _fetch(self, query: str, *arguments: object) -> list[Any]:
        if self._pool is None:
            # A pool that holds no connection yet: nothing is awaited that could fail.
            self._pool = await asyncpg.create_pool(
                min_size=0,
                max_size=CONNECTIONS,
                max_inactive_connection_lifetime=60,
                connect=self._connect,
            )
        return list(await self._pool.fetch(query, *arguments))

    async def _connect(self, *_: Any, **options: Any) -> asyncpg.Connection:
        # The URL is read again at each connect, so that a password can change.
        settings = {
            "application_name": "harebell-api",
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(ANSWER_SECONDS * 1000)),
            # A plan for any days locks them all; one for the days that are asked for, only these.
            "plan_cache_mode": "force_custom_plan",
        }
        return await asyncpg.connect(
            self._url(), **{**options, "timeout": ANSWER_SECONDS, "server_settings": settings}
        )

    def close(self) -> None:
        """End all connections at once."""
        if self._pool is not None:
            self._pool.terminate()


@asynccontextmanager
async def _in_time(failure: str) -> AsyncIterator[None]:
    """Give up after :data:`ANSWER_SECONDS`. :raises ProblemError: that, or it failed; ``failure`` says so."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except _FAILURES as error:
        logger.warning("the archive cannot be read: %s: %s", type(error).__name__, error)
        if isinstance(error, asyncpg.OutOfMemoryError):
            failure = f"{failure}: {_FULL}"
        raise ProblemError(
            ProblemType.UNAVAILABLE, failure, headers={"Retry-After": RETRY_SECONDS}
        ) from error


def _message(row: Any) -> Message | None:
    body = parsed(row["body"], row["raw"])
    if body is None:
        return None
    return Message(
        row["task_uid"],
        row["task_namespace"],
        row["task_name"],
        row["time"],
        row["exchange"],
        row["kind"],
        body,
    )
