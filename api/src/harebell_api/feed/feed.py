"""Everything that the watch brings, in order, and the views of it."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from harebell_api.records import TaskRecord

from .log import Change, Entry, Log
from .selection import Selection, weight
from .view import View


def view_log() -> Log:
    """Return the log of a view. Who falls far behind comes back with a cursor, to the log of everything."""
    return Log(max_gone=1000, max_gone_bytes=1024 * 1024)


class Feed:
    """A :class:`harebell_api.cache.Mirror` of Tasks.

    It holds what the watch delivered, in that order, and nothing that came as the answer to a request before:
    only so "everything up to this version" means something.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.time,
        log: Callable[[], Log] = Log,
        view_log: Callable[[], Log] = view_log,
    ) -> None:
        self.now, self._new_log, self._view_log = now, log, view_log
        self.log = log()
        self.generation = 0
        """Another number means that nothing told before counts: the cluster was restored from a backup."""
        self.watched = 0
        """Everything up to this version was delivered."""
        self.filled = False
        """Whether the first list came."""
        self._views: dict[Selection, View] = {}
        self._numbers = itertools.count()
        self._place = 0
        self._progress = asyncio.Event()

    def put(self, record: TaskRecord) -> None:
        """Take a state the watch delivered."""
        if self._is_news(record):
            self._add(Change.UPDATE, record, record.version)
        self.heard(record.version)

    def remove(self, record: TaskRecord) -> None:
        """Take a deletion the watch delivered, with the last state."""
        known = self.log.get(record.uid)
        if known is not None and known.change is Change.UPDATE:
            self._add(Change.DELETED, record, record.version)
        self.heard(record.version)

    def replace(self, records: Iterable[TaskRecord], version: int, restored: bool) -> None:
        """Take a complete list, as of ``version``; ``restored``: of a cluster set back in time."""
        listed = {record.uid: record for record in records}
        if restored:
            self._begin_anew()
        changed = sorted((r for r in listed.values() if self._is_news(r)), key=lambda r: r.version)
        gone = [e.record for e in self.log if e.change is Change.UPDATE and e.record.uid not in listed]
        # When what is gone went is not known, nor what came and went meanwhile: before the last of these is
        # told, nothing is settled.
        news = [(Change.UPDATE, record, record.version) for record in changed]
        news += [(Change.DELETED, record, version) for record in gone]
        for number, (change, record, changed_at) in enumerate(news, start=1):
            self._add(change, record, changed_at, settled=number == len(news))
        if restored or not self.filled:
            self.log.blind_before(version)
            self.filled = True
        elif self.watched < version:
            self.log.blind_between(self.watched, version)
        self.heard(version)
        if restored:
            for view in self._views.values():
                view.begin(self.log)
                view.wake()

    def heard(self, version: int) -> None:
        """Note that everything up to ``version`` was delivered."""
        self.watched = max(self.watched, version)
        self._progress.set()
        self._progress = asyncio.Event()

    async def reached(self, version: int, seconds: float) -> bool:
        """Wait until there was a list, and everything up to ``version`` was delivered.

        Returns False when that has not come within the time.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self.filled or self.watched < version:
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def view(self, selection: Selection) -> Iterator[View]:
        """Follow a selection, together with all who follow the same."""
        view = self._views.get(selection)
        if view is None:
            view = View(next(self._numbers), selection, self._view_log, self.log)
            self._views[selection] = view
        view.readers += 1
        try:
            yield view
        finally:
            view.readers -= 1
            if not view.readers and self._views.get(selection) is view:
                del self._views[selection]

    def _is_news(self, record: TaskRecord) -> bool:
        known = self.log.get(record.uid)
        return known is None or (known.change is Change.UPDATE and known.record.version < record.version)

    def _add(self, change: Change, record: TaskRecord, version: int, settled: bool = True) -> None:
        known = self.log.get(record.uid)
        before = known.record if known is not None and known.change is Change.UPDATE else None
        self._place += 1
        entry = Entry(
            place=self._place,
            version=max(version, self.log.last_version),
            settled=settled,
            change=change,
            record=record,
            weight=known.weight if known is not None else weight(record.uid),
            at=self.now(),
        )
        self.log.add(entry)
        for view in self._views.values():
            view.take(before, entry)

    def _begin_anew(self) -> None:
        self.generation += 1
        self.watched = 0
        self.log = self._new_log()
        for view in self._views.values():
            view.begin(self.log)
