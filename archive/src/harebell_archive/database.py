"""PostgreSQL: rows and the position of the stream, always in one transaction."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import asyncpg

from harebell_bus.history import HISTORY_STREAM

from .errors import DatabaseUnavailableError, PositionLostError, StandbyError
from .migrate import Phase, migrate
from .position import Gap, Position
from .queries import QUERIES
from .reader import admit_reader
from .rows import Arrival, Row, as_it_came, row

CONNECT_SECONDS: Final = 10.0
COMMAND_SECONDS: Final = 30.0
"""As long as it takes to notice that a server has vanished in the midst of something."""
_SETTINGS: Final = {
    "application_name": "harebell-archiver",
    "timezone": "UTC",
    # The lock of an archiver that froze or lost its machine must not outlive it for long.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "120s",
    "idle_in_transaction_session_timeout": "30s",
    "statement_timeout": "25s",
    # What locks the whole table waits for a long reader, and everybody behind it; try again later instead.
    "lock_timeout": "10s",
}


@dataclass(frozen=True)
class Stand:
    """What the database says of the archive. Times of the database's clock."""

    position: Position
    messages: int = 0
    gap_messages: int = 0
    last_gap_at: datetime | None = None
    last_time: datetime | None = None


@dataclass(frozen=True)
class Written:
    """What a transaction has brought about."""

    messages: int
    """Ever archived."""
    last_time: datetime | None
    refused: int
    """Rows of this transaction that PostgreSQL refused at first; they hold their bodies as they came."""


class Database:
    """A connection that holds the writer's lock. See :func:`open_database`."""

    def __init__(self, connection: asyncpg.Connection, stream: str) -> None:
        self._connection = connection
        self._stream = stream

    async def stand(self) -> Stand:
        """Return where the archive stands; a new one stands at the beginning.

        :raises DatabaseUnavailableError: it cannot be read now. So for all methods here.
        """
        with _translated():
            start = Position()
            await self._connection.execute(
                QUERIES["begin_position"], self._stream, start.epoch, start.next_offset
            )
            found = await self._connection.fetchrow(QUERIES["position"], self._stream)
            return Stand(
                Position(found["epoch"], found["next_offset"], found["digest"]),
                found["messages"],
                found["gap_messages"],
                found["last_gap_at"],
                found["last_time"],
            )

    async def write(
        self, before: Position, arrivals: Sequence[Arrival], gaps: Sequence[Gap], now: Position
    ) -> Written:
        """Add rows and gaps and move the position, all or nothing.

        :raises PositionLostError: the position is not at ``before``; nothing was written.
        """
        rows = [row(arrival, before.epoch) for arrival in arrivals]
        with _translated():
            async with self._connection.transaction():
                # First of all, because it locks: whoever else writes waits here, and then finds it moved.
                moved = await self._connection.fetchrow(
                    QUERIES["advance"],
                    self._stream,
                    before.epoch,
                    before.next_offset,
                    now.epoch,
                    now.next_offset,
                    now.digest,
                    max((r.time for r in rows), default=None),
                    len(rows),
                )
                if moved is None:
                    raise PositionLostError("another archiver has moved the position")
                for gap in gaps:
                    await self._connection.execute(
                        QUERIES["record_gap"],
                        self._stream,
                        gap.epoch,
                        gap.first_offset,
                        gap.messages,
                        gap.reason.value,
                    )
                for day in {r.time.date() for r in rows}:
                    await self._connection.execute(QUERIES["make_partition"], day)
                refused = await self._insert(rows, arrivals)
            return Written(moved["messages"], moved["last_time"], refused)

    async def _insert(self, rows: Sequence[Row], arrivals: Sequence[Arrival]) -> int:
        """Insert rows within a transaction; those that are refused, as they came. Returns how many."""
        try:
            await self._copy(rows)
        except _REFUSALS:
            if len(rows) == 1:
                await self._copy([as_it_came(rows[0], arrivals[0].body)])
                return 1
            half = len(rows) // 2
            return await self._insert(rows[:half], arrivals[:half]) + await self._insert(
                rows[half:], arrivals[half:]
            )
        return 0

    async def _copy(self, rows: Sequence[Row]) -> None:
        async with self._connection.transaction():
            await self._connection.copy_records_to_table(
                "messages", schema_name="harebell", columns=Row._fields, records=rows
            )

    async def partitions(self) -> list[date]:
        """Return the days that have a partition."""
        with _translated():
            return [r["day"] for r in await self._connection.fetch(QUERIES["partitions"])]

    async def make_partition(self, day: date) -> None:
        """Make the partition of a day, if there is none."""
        with _translated():
            await self._connection.execute(QUERIES["make_partition"], day)

    async def drop_partition(self, day: date) -> bool:
        """Drop the partition of a day and what is in it. False: somebody reads the table just now."""
        with _translated():
            try:
                async with self._connection.transaction():
                    await self._connection.execute(QUERIES["wait_little"])
                    await self._connection.execute(QUERIES["drop_partition"], day)
            except asyncpg.LockNotAvailableError:
                return False
        return True


_REFUSALS = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, UnicodeEncodeError)
"""What one row can bring about, and no other time or place would change."""

_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What asyncpg comes to when the server goes while it reads an answer.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    # A URL that is none.
    ValueError,
)


@asynccontextmanager
async def open_database(
    url: str, stream: str = HISTORY_STREAM, reader_password: str | None = None
) -> AsyncIterator[Database]:
    """Connect, become the writer, bring the schema up to date, and let the reader in.

    :raises StandbyError: another archiver is the writer.
    :raises DatabaseUnavailableError: it cannot be reached, or refused.
    """
    async with connected(url) as connection:
        with _translated():
            if not await connection.fetchval(QUERIES["try_lock_writer"]):
                raise StandbyError("another archiver writes")
            await migrate(connection, {Phase.PRE})
            await admit_reader(connection, reader_password)
        yield Database(connection, stream)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection. :raises DatabaseUnavailableError: there is none to be had now."""
    with _translated():
        connection = await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS, server_settings=_SETTINGS
        )
    try:
        yield connection
    finally:
        # At once: what could still be said to a server that may be gone is not worth waiting for.
        connection.terminate()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except asyncpg.OutOfMemoryError as error:
        # So PostgreSQL calls it, too, when there is no room for a lock: every day of the archive needs some.
        raise DatabaseUnavailableError(f"{error}; max_locks_per_transaction may be too low") from error
    except _FAILURES as error:
        raise DatabaseUnavailableError(f"{type(error).__name__}: {error}") from error
