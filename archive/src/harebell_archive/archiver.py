"""Brings stream and database together: begin where the database says, read, write, acknowledge.

There is no state to repair: whatever goes wrong ends what is being done, and it begins again from the
position in the database, which moves with the rows or not at all.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ChannelPreconditionFailed

from harebell_bus.envelopes import ArchiverState
from harebell_bus.errors import BrokerUnavailableError, BusError
from harebell_bus.link import Link, describe, is_lost

from . import metrics, retention, stream
from .database import Database, Stand, open_database
from .errors import DatabaseUnavailableError, PositionLostError, StandbyError, StreamError
from .position import Gap, GapReason, Taken, is_shorter, take
from .settings import DatabaseSettings
from .state import State

logger = logging.getLogger(__name__)

TICK_SECONDS = 10.0
"""How often the database is asked for its partitions, which also shows that it is there."""
LOOK_SECONDS = 5.0
MAX_BACKOFF_SECONDS = 5.0
STABLE_SECONDS = 30.0

Report = Callable[[AbstractConnection], Awaitable[None]]


class Archiver:
    """Archives until cancelled. ``report`` is called every few seconds while the broker is connected."""

    def __init__(
        self,
        link: Link,
        database: DatabaseSettings,
        keep_days: int,
        state: State,
        clock: Callable[[], datetime],
        report: Report,
    ) -> None:
        self._link = link
        self._settings = database
        self._keep_days = keep_days
        self._drops = retention.Drops(keep_days)
        self._state = state
        self._clock = clock
        self._report = report

    async def run(self) -> None:
        """Stay connected and archive.

        :raises UnsupportedBrokerError: the broker is too old.
        """
        await self._link.run(self._session)

    async def _session(self, connection: AbstractConnection) -> None:
        metrics.BROKER_CONNECTED.set(1)
        parts = {asyncio.ensure_future(p) for p in (self._work(connection), self._look(connection))}
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            metrics.BROKER_CONNECTED.set(0)
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            self._state.seen(None)
            self._state.enter(ArchiverState.STREAM_UNREACHABLE, "not connected to the broker")

    # ---- beside the work -------------------------------------------------------------------------------

    async def _look(self, connection: AbstractConnection) -> None:
        """See how far the stream goes, and report, for as long as the connection lives."""
        while True:
            try:
                self._state.seen(await stream.peek(connection, "last"))
            except (AMQPError, ChannelInvalidStateError, StreamError):
                if is_lost(connection):
                    raise
                # Why is what the work found out.
                self._state.seen(None)
            # One that stands by says nothing: the newest report counts, and is to be of who archives.
            if self._state.name != ArchiverState.STANDBY:
                try:
                    await self._report(connection)
                except (AMQPError, ChannelInvalidStateError, BusError) as error:
                    logger.info("not reported: %s", describe(error))
            await asyncio.sleep(LOOK_SECONDS)

    # ---- the work --------------------------------------------------------------------------------------

    async def _work(self, connection: AbstractConnection) -> None:
        """Archive; whenever database or stream fail, wait and begin again."""
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            begun = clock()
            try:
                async with open_database(
                    self._settings.url(), reader_password=self._settings.reader_password()
                ) as database:
                    await self._archive(connection, database)
            except (StandbyError, PositionLostError) as error:
                self._state.enter(ArchiverState.STANDBY, str(error))
            except DatabaseUnavailableError as error:
                self._state.enter(ArchiverState.POSTGRESQL_UNREACHABLE, str(error))
            except ChannelPreconditionFailed as error:
                # The node has no replica of the stream that runs, as when one was not started again after an
                # upgrade of all nodes. The next connection may be to another.
                raise BrokerUnavailableError(
                    f"this node cannot serve the stream: {describe(error)}"
                ) from error
            except (AMQPError, ChannelInvalidStateError, StreamError) as error:
                if is_lost(connection):
                    raise
                self._state.enter(ArchiverState.STREAM_UNREACHABLE, describe(error))
            failures = 1 if clock() - begun >= STABLE_SECONDS else failures + 1
            delay = random.uniform(0.5, 1.0) * min(MAX_BACKOFF_SECONDS, 0.25 * 2 ** min(failures, 10))  # noqa: S311
            logger.warning("%s: %s; again in %.1f s", self._state.name, self._state.message, delay)
            await asyncio.sleep(delay)

    async def _archive(self, connection: AbstractConnection, database: Database) -> None:
        """Archive until something fails; one stream of the name after the other."""
        self._state.stand = await database.stand()
        while True:
            stand = await self._read(connection, database, self._state.stand)
            logger.warning("the stream is another one than before; beginning anew with its first message")
            position = stand.position
            gap = Gap(position.epoch, position.next_offset, None, GapReason.REPLACED)
            await self._write(database, stand, Taken((), (gap,), position.replaced()))

    async def _read(self, connection: AbstractConnection, database: Database, stand: Stand) -> Stand:
        """Archive one stream. Returns where the archive stands when it has turned out to be another one."""
        position = stand.position
        begin = "first" if position.begin is None else position.begin
        async with stream.reading(connection, begin) as reader:
            await self._partitions(database)
            self._state.enter(ArchiverState.ARCHIVING)
            logger.info("archiving from offset %s of stream %d", begin, position.epoch)
            clock = asyncio.get_running_loop().time
            first, idle, ticked = True, 0, clock()
            while True:
                delivered = await reader.batch(TICK_SECONDS)
                if delivered:
                    taken = take(stand.position, [d.arrival for d in delivered], first=first)
                    if taken is None:
                        return stand
                    first, idle = False, 0
                    if taken.arrivals:
                        stand = await self._write(database, stand, taken)
                    await reader.acknowledge(delivered)
                else:
                    idle += 1
                    if first and await self._is_shorter(connection, stand):
                        return stand
                    if idle > 1 and self._state.lag:
                        raise StreamError("the stream has messages that do not come")
                if clock() - ticked >= TICK_SECONDS:
                    await self._partitions(database)
                    ticked = clock()

    async def _is_shorter(self, connection: AbstractConnection, stand: Stand) -> bool:
        """Nothing came, though the last message archived should have: is this another, shorter stream?"""
        messages = await stream.count(connection)
        first_offset = await stream.peek(connection, "first")
        return first_offset is not None and is_shorter(stand.position, first_offset, messages)

    async def _write(self, database: Database, stand: Stand, taken: Taken) -> Stand:
        """Make what was taken the archive's, and known to everybody."""
        written = await database.write(stand.position, taken.arrivals, taken.gaps, taken.position)
        now = self._clock()
        lost = sum(gap.messages or 0 for gap in taken.gaps)
        stand = replace(
            stand,
            position=taken.position,
            messages=written.messages,
            last_time=written.last_time,
            gap_messages=stand.gap_messages + lost,
            last_gap_at=now if taken.gaps else stand.last_gap_at,
        )
        self._state.stand = stand
        metrics.MESSAGES.inc(len(taken.arrivals))
        metrics.REFUSED.inc(written.refused)
        metrics.GAP_MESSAGES.inc(lost)
        for gap in taken.gaps:
            metrics.GAPS.labels(gap.reason.value).inc()
            count = "an unknown number of" if gap.messages is None else f"at most {gap.messages}"
            logger.error("%s messages are missing from offset %d on: %s", count, gap.first_offset, gap.reason)
        if taken.arrivals:
            metrics.BATCHES.inc()
            metrics.LAST_COMMIT.set(now.timestamp())
        return stand

    async def _partitions(self, database: Database) -> None:
        """Have the partitions that are to be, and, as soon as nobody reads the others, only those."""
        now = self._clock()
        existing = await database.partitions()
        for day in retention.wanted(now.date()):
            if day not in existing:
                await database.make_partition(day)
        for day in self._drops.due(existing, now):
            if not await database.drop_partition(day):
                self._drops.refused(now)
                logger.warning(
                    "what is of %s could not be dropped, because the table is being read; again in %d min",
                    day,
                    retention.AGAIN.total_seconds() // 60,
                )
                break
            logger.info("dropped what is of %s, older than %d days", day, self._keep_days)
