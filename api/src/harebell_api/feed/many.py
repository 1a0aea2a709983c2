"""The stream of a selection: what there is, then what changes, or only what changed since a cursor."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from .cursor import Point, Start
from .log import Change, Entry
from .message import TOO_SLOW, End, Idle, Item, Message, of_task, reset, synced
from .proof import documents, prove
from .reach import RESTORED, reach
from .selection import Selection
from .sources import EndedError, ResetError, Sources
from .view import View

_AT_ONCE = 500
"""Entries that are passed over before others get their turn."""


@dataclass(frozen=True)
class Selected:
    """What a client asks for: a selection, and what the cursor of it has to match."""

    selection: Selection
    scope: str
    access: str
    cursor: Start | Point | None = None


async def follow_many(sources: Sources, wanted: Selected) -> AsyncGenerator[Item, None]:
    """Yield what the client is to be told. The last item is an ``End``; until then it goes on for ever."""
    with sources.feed.view(wanted.selection) as view:
        stream = _Stream(sources, wanted, view)
        cursor = wanted.cursor
        try:
            while True:
                try:
                    async for message in stream.catch_up(cursor):
                        yield message
                    async for item in stream.live():
                        yield item
                except ResetError as error:
                    yield stream.reset(str(error))
                    cursor = None
        except EndedError as error:
            yield error.end


class _Stream:
    def __init__(self, sources: Sources, wanted: Selected, view: View) -> None:
        self._sources, self._feed, self._view = sources, sources.feed, view
        self._selection, self._scope, self._access = wanted.selection, wanted.scope, wanted.access
        self._generation = self._feed.generation
        self._place = 0
        """Everything up to here was told."""
        self._cursor: Start | Point = wanted.cursor or Start(wanted.scope)
        """The last one told."""

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

    def reset(self, reason: str) -> Message:
        """Return the message that begins anew."""
        self._cursor = Start(self._scope)
        return reset(self._cursor, reason)

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
                if self._feed.watched > self._told_version and view.log.last <= self._place:
                    self._check_generation()
                    yield self._at(self._point(self._view.total))

    async def _snapshot(self) -> AsyncGenerator[Message, None]:
        end, began = self._feed.log.last, self._point(None)
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
        floor, proof = self._feed.log.floor, None
        if not self._feed.log.knows_since(version):
            proof = await prove(self._sources, self._selection, cursor)
            async for document in documents(self._sources, proof):
                yield of_task(Change.DELETED, cursor, document)
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
            if change is not None and (proof is None or proof.allows(change, entry)):
                if proof is not None or not entry.settled:  # else what was proved would be told again
                    yield self._unsettled(change, entry)
                else:
                    self._cursor = self._after(entry, None)
                    yield of_task(change, self._cursor, entry.record.body)
            elif (passed := passed + 1) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._place = self._feed.log.last
        point = self._point(self._view.total)
        # What the archive told, a replica that is behind would tell again: it is to wait.
        yield self._at(replace(point, seen=point.version) if proof is not None else point)

    def _shared(self, entry: Entry) -> Message:
        """Return the message of a change, the same one for all to whom it means the same."""
        if not entry.settled:
            return self._unsettled(entry.change, entry)
        # Which Tasks a client knows is known of those only who have been told everything.
        newest = entry.place == self._view.log.last
        self._cursor = self._after(entry, self._view.total if newest else None)
        key = (self._view.number, self._scope, self._access, entry.place, newest)
        kept = self._sources.messages.get(key)
        if kept is not None:
            return kept
        return self._sources.messages.keep(key, of_task(entry.change, self._cursor, entry.record.body))

    def _unsettled(self, change: Change, entry: Entry) -> Message:
        """Return the message of a change after which it is not known yet what else happened until then.

        Who comes back is told it again; and may know more Tasks than the cursor before stood for.
        """
        if isinstance(self._cursor, Point):
            self._cursor = replace(self._cursor, total=None)
        return of_task(change, self._cursor, entry.record.body)

    def _at(self, point: Point) -> Message:
        self._cursor = point
        return synced(point)

    @property
    def _told_version(self) -> int:
        return self._cursor.version if isinstance(self._cursor, Point) else 0

    def _point(self, total: int | None) -> Point:
        """Return the cursor of who was told everything there is."""
        seen, version = self._feed.log.last_version, self._feed.watched
        return Point(self._scope, self._access, seen, version, int(self._feed.now()), total)

    def _after(self, entry: Entry, total: int | None) -> Point:
        """Return the cursor of who was told everything up to an entry."""
        return Point(self._scope, self._access, entry.version, entry.version, int(entry.at), total)

    def _check_generation(self) -> None:
        if self._feed.generation != self._generation:
            raise ResetError(RESTORED)
