"""The stream of one Task: its state, then each change, until it has finished or is gone."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from harebell_api.permissions import Access
from harebell_api.problems import ProblemError, ProblemType
from harebell_api.records import TaskRecord
from harebell_api.tasks import is_uid

from .cursor import OneTask
from .log import Change
from .message import FINISHED, TRY_AGAIN, UNKNOWN_TASK, End, Idle, Item, Message, of_task, reset
from .reach import RESTORED, reach
from .sources import EndedError, ResetError, Sources

_DELETED = End(FINISHED, "the Task was deleted")


@dataclass(frozen=True)
class Named:
    """What a client asks for: a Task by name or UID, and what it was told of it."""

    task_id: str
    scope: str
    access: Access
    cursor: OneTask | None = None


async def follow_one(sources: Sources, wanted: Named) -> AsyncGenerator[Item, None]:
    """Yield what the client is to be told. The last item is an ``End``."""
    stream = _Stream(sources, wanted)
    cursor = wanted.cursor
    try:
        if cursor is not None:
            try:
                await reach(sources, cursor.version)
            except ResetError as error:
                yield reset(OneTask(wanted.scope, cursor.uid, 0), str(error))
                cursor = OneTask(wanted.scope, cursor.uid, 0)
        task = await stream.find(cursor)
        if task is not None:
            async for item in stream.follow(task, cursor.version if cursor is not None else None):
                yield item
        elif cursor is not None:
            async for item in stream.gone(cursor):
                yield item
        else:
            yield stream.unknown()
    except EndedError as error:
        yield error.end


class _Stream:
    def __init__(self, sources: Sources, wanted: Named) -> None:
        self._sources, self._wanted = sources, wanted
        self._tasks, self._feed = sources.tasks, sources.feed

    async def find(self, cursor: OneTask | None) -> TaskRecord | None:
        """Return the Task that is meant, or None: it is not there, or not for this client.

        :raises EndedError: nobody says whether it is.
        """
        if cursor is not None and cursor.over:
            return None
        name = self._wanted.task_id
        try:
            found = await self._tasks.find(name, self._wanted.access)
        except ProblemError as error:
            if error.problem.type is not ProblemType.NOT_FOUND:
                raise EndedError(End(TRY_AGAIN, error.problem.detail)) from error
            return None
        if cursor is not None and found.uid != cursor.uid:
            return None  # another Task has the name by now
        return found

    async def follow(self, shown: TaskRecord, told: int | None) -> AsyncGenerator[Message | Idle, None]:
        """Yield each state newer than ``told``; None: nothing was told yet.

        :raises EndedError: at the end.
        """
        cache, generation = self._tasks.cache, self._feed.generation
        with cache.subscribe(shown.name) as changes:
            current = cache.get(shown.name)
            if current is None or current.uid != shown.uid:  # deleted between the look-up and now
                if told is None:
                    raise EndedError(self.unknown())
                yield self._message("deleted", self._buried(shown.uid) or shown, over=True)
                raise EndedError(_DELETED)
            shown = current
            if told is None or shown.version > told:
                yield self._message("snapshot" if told is None else "update", shown)
                told = shown.version
            while not shown.finished or shown.version < told:
                try:
                    async with asyncio.timeout(self._sources.patience.idle):
                        change = await changes.next()
                except TimeoutError:
                    yield Idle()
                    continue
                if change.deleted or change.record.uid != shown.uid:
                    last = change.record if change.record.uid == shown.uid else shown
                    yield self._message("deleted", last, over=True)
                    raise EndedError(_DELETED)
                shown = change.record
                if self._feed.generation != generation:
                    generation, told = self._feed.generation, shown.version
                    yield reset(OneTask(self._wanted.scope, shown.uid, 0), RESTORED)
                    yield self._message("snapshot", shown)
                elif shown.version > told:
                    yield self._message("update", shown)
                    told = shown.version
        raise EndedError(End(FINISHED, f"the Task has finished: {shown.phase}"))

    async def gone(self, cursor: OneTask) -> AsyncGenerator[Message, None]:
        """Yield the last state of a Task that is not there any more. :raises EndedError: at the end."""
        if cursor.over:
            raise EndedError(_DELETED)
        document = await self._last_document(cursor.uid)
        if document is None or not self._wanted.access.sees(json.loads(document)["agentType"]):
            yield reset(cursor, "neither the cluster nor the archive knows the Task")
            raise EndedError(self.unknown())
        yield of_task("deleted", OneTask(cursor.scope, cursor.uid, cursor.version, over=True), document)
        raise EndedError(_DELETED)

    def unknown(self) -> End:
        """Return the end of a stream of a Task that there is not."""
        return End(UNKNOWN_TASK, f"there is no Task {self._wanted.task_id[:253]}")

    async def _last_document(self, uid: str) -> bytes | None:
        """Return a deleted Task's document, by the log or the archive, which may be some seconds behind.

        :raises EndedError: the archive cannot be read.
        """
        archive, patience = self._sources.archive, self._sources.patience
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience.archive
        while True:
            if (buried := self._buried(uid)) is not None:
                return buried.body
            if archive is None:
                return None
            try:
                found = await archive.find(self._tasks.namespace, uid, is_uid=True)
            except ProblemError as error:
                raise EndedError(End(TRY_AGAIN, error.problem.detail)) from error
            if found is not None or loop.time() >= deadline:
                return found
            await asyncio.sleep(patience.ask_again)

    def _buried(self, uid: str) -> TaskRecord | None:
        entry = self._feed.log.get(uid)
        return entry.record if entry is not None and entry.change is Change.DELETED else None

    def _message(self, kind: str, task: TaskRecord, over: bool = False) -> Message:
        cursor = OneTask(self._wanted.scope, task.uid, task.version, over)
        return of_task(kind, cursor, task.body)


def is_of(cursor: OneTask, task_id: str, scope: str) -> bool:
    """Whether the cursor is of the Task that is asked for, by name or by UID."""
    return cursor.scope == scope or (is_uid(task_id) and cursor.uid == task_id)
