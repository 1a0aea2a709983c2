"""The stream of a selection: what there is, then what changes, or only what changed since a cursor."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from harebell_api.history import Deletion
from harebell_api.problems import ProblemError

from .cursor import Cursor, Point, Start
from .deletions import Known, explain
from .log import Change, Entry
from .message import TOO_SLOW, End, Idle, Item, Message, of_task, reset, synced
from .reach import RESTORED, reach
from .selection import WEIGHTS, Selection, weight
from .sources import EndedError, ResetError, Sources
from .view import View

MARGIN = timedelta(minutes=10)
"""A deletion may have been recorded so long before the client's last word and happened after it."""
SKEW = timedelta(minutes=1)
"""Between the clocks of the API server and of this process, and from a change until the watch tells it."""
_AT_ONCE = 500
"""Entries that are passed over before others get their turn."""
_NOT_KNOWN = "what was deleted since the cursor is not known any more"


@dataclass(frozen=True)
class Selected:
    """What a client asks for: a selection, and what the cursor of it has to match."""

    selection: Selection
    scope: str
    access: str
    cursor: Start | Point | None = None


async def follow_many(
    sources: Sources, wanted: Selected, now: Callable[[], float] = time.time
) -> AsyncGenerator[Item, None]:
    """Yield what the client is to be told. The last item is an ``End``; until then it goes on for ever."""
    with sources.feed.view(wanted.selection) as view:
        stream = _Stream(sources, wanted, view, now)
        cursor = wanted.cursor
        try:
            while True:
                try:
                    async for item in stream.catch_up(cursor):
                        yield item
                    async for item in stream.live():
                        yield item
                except ResetError as error:
                    yield reset(Start(wanted.scope), str(error))
                    cursor = None
        except EndedError as error:
            yield error.end


class _Stream:
    def __init__(self, sources: Sources, wanted: Selected, view: View, now: Callable[[], float]) -> None:
        self._sources, self._feed, self._view, self._now = sources, sources.feed, view, now
        self._selection, self._scope, self._access = wanted.selection, wanted.scope, wanted.access
        self._generation = self._feed.generation
        self._place = 0
        """Everything up to here was told."""
        self._version = 0
        """That of the last cursor."""

    async def catch_up(self, cursor: Start | Point | None) -> AsyncGenerator[Message, None]:
        """Yield what the client lacks. :raises ResetError, EndedError: that cannot be."""
        await reach(self._sources, cursor.seen if isinstance(cursor, Point) else 0)
        self._generation = self._feed.generation
        match cursor:
            case None:
                steps = self._snapshot()
            case Start():
                raise ResetError("the snapshot before was not complete")
            case Point():
                steps = self._resume(cursor)
        async for message in steps:
            yield message

    async def live(self) -> AsyncGenerator[Message | Idle, None]:
        """Yield what changes, for ever. :raises ResetError, EndedError: it cannot go on."""
        view = self._view
        while True:
            self._check_generation()
            if view.log.floor > self._place:
                raise EndedError(End(TOO_SLOW, "the client fell too far behind"))
            entry = view.log.after(self._place)
            if entry is not None:
                self._place = entry.place
                yield self._shared(entry)
            elif not await view.changes(self._place, self._sources.patience.idle):
                yield Idle()
                # Nothing of it was the client's concern; but from here on it need not be looked at again.
                if self._feed.watched > self._version and view.log.last <= self._place:
                    self._check_generation()
                    yield self._synced()

    async def _snapshot(self) -> AsyncGenerator[Message, None]:
        end, began = self._feed.log.last, self._point(total=None)
        cursor, place, passed = Start(self._scope), 0, 0
        while (entry := self._feed.log.after(place)) is not None and entry.place <= end:
            place = entry.place
            if entry.change is Change.UPDATE and self._selection.matches(entry.record):
                yield of_task("snapshot", cursor, entry.record.body)
            elif (passed := passed + 1) % _AT_ONCE == 0:
                await asyncio.sleep(0)
            self._check_generation()
        self._place = end
        if self._view.log.last <= end:
            began = replace(began, total=self._view.total)
        yield self._at(began)

    async def _resume(self, cursor: Point) -> AsyncGenerator[Message, None]:
        if cursor.access != self._access:
            raise ResetError("the client may see Tasks of other types now")
        # Who was told more than this replica knows is told some of it again: that a Task is gone.
        version = min(cursor.version, self._feed.watched)
        unsettled: Cursor | None = None
        floor = self._feed.log.floor
        if version < self._feed.log.floor_version:
            unsettled = cursor  # until the end, or what the archive told would be told again
            async for message in self._from_archive(cursor):
                yield message
        place, passed = self._feed.log.place_of(version), 0
        while True:
            self._check_generation()
            if self._feed.log.floor > place and self._feed.log.floor != floor:
                raise EndedError(End(TOO_SLOW, "the client fell too far behind"))
            entry = self._feed.log.after(place)
            if entry is None:
                break
            place = entry.place
            change = self._selection.meaning(entry)
            if change is not None:
                yield of_task(change, unsettled or self._after(entry, None), entry.record.body)
            elif (passed := passed + 1) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._place = self._feed.log.last
        yield self._synced()

    async def _from_archive(self, cursor: Point) -> AsyncGenerator[Message, None]:
        """Yield the deletions that no log knows. :raises ResetError: it cannot be told which they are."""
        archive, namespace = self._sources.archive, self._sources.tasks.namespace
        if archive is None:
            raise ResetError(_NOT_KNOWN)
        try:
            for uid in await self._deleted_since(cursor):
                document = await archive.find(namespace, uid, is_uid=True)
                if document is None:
                    raise ResetError(_NOT_KNOWN)
                yield of_task("deleted", cursor, document)
        except ProblemError as error:
            raise ResetError(f"{_NOT_KNOWN}: {error.problem.detail}") from error

    async def _deleted_since(self, cursor: Point) -> list[str]:
        """Return what was deleted before this replica's log begins.

        :raises ResetError: nobody knows.
        :raises ProblemError: the archive cannot be read.
        """
        archive, patience = self._sources.archive, self._sources.patience
        # Which Tasks were in some phase then is not to be found out from how they ended.
        if archive is None or cursor.total is None or self._selection.phases:
            raise ResetError(_NOT_KNOWN)
        since = datetime.fromtimestamp(cursor.at, UTC) - MARGIN
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience.archive
        while True:
            removed = await archive.removed_since(self._sources.tasks.namespace, since)
            if removed is None:
                raise ResetError(f"{_NOT_KNOWN}: too many were")
            self._check_generation()
            found = self._explained(cursor, cursor.total, removed)
            if found is not None:
                return found
            if loop.time() >= deadline:
                raise ResetError(_NOT_KNOWN)
            await asyncio.sleep(patience.ask_again)  # the archive is some seconds behind

    def _explained(self, cursor: Point, known: int, removed: Sequence[Deletion]) -> list[str] | None:
        log, wanted = self._feed.log, self._selection
        unchanged, changed, gone = 0, [], []
        for entry in log:
            if wanted.matches(entry.record):
                task = Known(entry.record.uid, entry.record.created, entry.weight)
                if entry.change is not Change.UPDATE:
                    gone.append(task)
                elif entry.version > cursor.version:
                    changed.append(task)
                else:
                    unchanged += entry.weight
        archived = {
            task.uid: Known(task.uid, task.created, weight(task.uid))
            for task in removed
            if log.get(task.uid) is None
            and (wanted.agent_types is None or task.agent_type in wanted.agent_types)
            and wanted.labels.matches(task.labels)
        }
        told = datetime.fromtimestamp(cursor.at, UTC)
        found = explain(
            (known - unchanged) % WEIGHTS,
            changed,
            [*archived.values(), *gone],
            (_second(told - SKEW), _second(told + SKEW)),
        )
        return None if found is None else [uid for uid in found if uid in archived]

    def _shared(self, entry: Entry) -> Message:
        """Return the message of a change, the same one for all to whom it means the same."""
        newest = entry.place == self._view.log.last
        self._version = entry.settled
        key = (self._view.number, self._scope, self._access, entry.place, newest)
        kept = self._sources.messages.get(key)
        if kept is not None:
            return kept
        # Which Tasks a client knows is known of those only who have been told everything.
        cursor = self._after(entry, self._view.total if newest else None)
        return self._sources.messages.keep(key, of_task(entry.change, cursor, entry.record.body))

    def _synced(self) -> Message:
        return self._at(self._point(total=self._view.total))

    def _at(self, point: Point) -> Message:
        self._version = point.version
        return synced(point)

    def _point(self, total: int | None) -> Point:
        """Return the cursor of who was told everything there is."""
        seen, version = self._feed.log.last_version, self._feed.watched
        return Point(self._scope, self._access, seen, version, int(self._now()), total)

    def _after(self, entry: Entry, total: int | None) -> Point:
        """Return the cursor of who was told everything up to an entry."""
        return Point(self._scope, self._access, entry.settled, entry.settled, int(entry.at), total)

    def _check_generation(self) -> None:
        if self._feed.generation != self._generation:
            raise ResetError(RESTORED)


def _second(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
