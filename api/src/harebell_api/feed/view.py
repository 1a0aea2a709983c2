"""The changes of one selection, shared by all streams that ask for the same."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from harebell_api.records import TaskRecord

from .log import Change, Entry, Log
from .selection import WEIGHTS, Selection


class View:
    """What changed among the Tasks of a selection since the view was made.

    That a Task left is known exactly here, by its states before and after each change.
    """

    def __init__(self, number: int, selection: Selection, log: Callable[[], Log], everything: Log) -> None:
        """Begin with the Tasks that are there now, in ``everything``. No two views have the same number."""
        self.number, self.selection, self._new_log = number, selection, log
        self.readers = 0
        self.begin(everything)
        self._changed = asyncio.Event()

    def begin(self, everything: Log) -> None:
        """Begin anew, when nothing known before counts any more."""
        self.log = self._new_log()
        self.total = 0
        """Stands for the Tasks that are in the selection now."""
        for entry in everything:
            if entry.change is Change.UPDATE and self.selection.matches(entry.record):
                self.total = (self.total + entry.weight) % WEIGHTS

    def take(self, before: TaskRecord | None, entry: Entry) -> None:
        """Take a change. ``before``: the Task's state until then; None: it is new."""
        was = before is not None and self.selection.matches(before)
        if entry.change is Change.UPDATE and self.selection.matches(entry.record):
            if not was:
                self.total = (self.total + entry.weight) % WEIGHTS
            self.log.add(entry)
        elif was:
            self.total = (self.total - entry.weight) % WEIGHTS
            gone = entry if entry.change is Change.DELETED else replace(entry, change=Change.LEFT)
            self.log.add(gone)
        else:
            return
        self.wake()

    def wake(self) -> None:
        """Have the readers look."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changes(self, place: int, seconds: float) -> bool:
        """Wait until there may be something after a place; return False when the time is over."""
        if self.log.last > place:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
