"""What the archive says was deleted, as far as a client's cursor proves it; see :mod:`.deletions`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from harebell_api.history import Deletion
from harebell_api.problems import ProblemError

from .cursor import Point
from .deletions import Known, explain
from .log import Change, Entry, Log
from .selection import WEIGHTS, Selection, weight
from .sources import ResetError, Sources

T = TypeVar("T")

MARGIN = timedelta(minutes=10)
"""A deletion may have been recorded so long before the client's last word and happened after it."""
SKEW = timedelta(minutes=1)
"""Between the clocks of the API server and of this process, and from a change until the watch tells it."""
MAX_AGE = timedelta(days=7)
"""Of a cursor. Finished Tasks are kept so long by default; later, a snapshot costs less than the search."""
_NOT_KNOWN = "what was deleted since the cursor is not known any more"


@dataclass(frozen=True)
class Proof:
    """Which of the Tasks that a client knows were deleted, up to a place of the log."""

    place: int
    deleted: frozenset[str]
    archived: Sequence[str]
    """Those of which the log knows nothing, in order."""

    def allows(self, change: Change, entry: Entry) -> bool:
        """Whether the client is to be told of a change."""
        return change is Change.UPDATE or entry.place > self.place or entry.record.uid in self.deleted


async def prove(sources: Sources, selection: Selection, cursor: Point) -> Proof:
    """Return which Tasks that the client knows were deleted. :raises ResetError: nobody can tell."""
    archive, patience, feed = sources.archive, sources.patience, sources.feed
    # Which Tasks were in some phase then is not to be found out from how they ended.
    if archive is None or cursor.total is None or selection.phases:
        raise ResetError(_NOT_KNOWN)
    now = feed.now()
    # Whoever made up a cursor could have put any number there.
    if not now - MAX_AGE.total_seconds() <= cursor.at <= now + SKEW.total_seconds():
        raise ResetError(f"{_NOT_KNOWN}: the cursor is too old")
    since = datetime.fromtimestamp(cursor.at, UTC) - MARGIN
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience.archive
    while True:
        removed = await _answer(archive.removed_since(sources.tasks.namespace, since))
        if removed is None:
            raise ResetError(f"{_NOT_KNOWN}: too many Tasks were")
        proof = _proof(feed.log, selection, cursor, cursor.total, removed)
        if proof is not None:
            return proof
        if loop.time() >= deadline:
            raise ResetError(_NOT_KNOWN)
        await asyncio.sleep(patience.ask_again)  # the archive is some seconds behind


async def documents(sources: Sources, proof: Proof) -> AsyncGenerator[bytes, None]:
    """Yield the Tasks of which the log knows nothing, as JSON.

    :raises ResetError: the archive does not tell.
    """
    archive = sources.archive
    assert archive is not None  # it was asked for the proof
    for uid in proof.archived:
        document = await _answer(archive.find(sources.tasks.namespace, uid, is_uid=True))
        if document is None:
            raise ResetError(_NOT_KNOWN)
        yield document


async def _answer(asked: Awaitable[T]) -> T:
    """Return what the archive answers. :raises ResetError: it cannot be read."""
    try:
        return await asked
    except ProblemError as error:
        raise ResetError(f"{_NOT_KNOWN}: {error.problem.detail}") from error


def _proof(
    log: Log, wanted: Selection, cursor: Point, known: int, removed: Sequence[Deletion]
) -> Proof | None:
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
        if log.get(task.uid) is None and wanted.would_match(task.agent_type, task.labels)
    }
    told = datetime.fromtimestamp(cursor.at, UTC)
    around = _second(told - SKEW), _second(told + SKEW)
    found = explain((known - unchanged) % WEIGHTS, changed, [*archived.values(), *gone], around)
    if found is None:
        return None
    return Proof(log.last, frozenset(found), [uid for uid in found if uid in archived])


def _second(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
