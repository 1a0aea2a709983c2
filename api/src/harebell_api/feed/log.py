"""The newest change of each Task, in order: what every reader reads, from a place of its own."""

from array import array
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from harebell_api.records import TaskRecord

MAX_GONE = 10_000
"""Tasks that are gone and still told of."""
MAX_GONE_BYTES = 32 * 1024 * 1024
"""Of their documents; but a few are kept however large they are."""
_FEW = 16
MAX_GAPS = 16
"""Times when nothing was watched that are remembered one by one."""
_WORTH_COMPACTING = 1024


class Change(StrEnum):
    """What a change means to who follows."""

    UPDATE = "update"
    """There is such a Task, in this state."""
    LEFT = "left"
    """The Task is not one of those asked for any more."""
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change."""

    place: int
    """Grows with every change this process sees; means nothing to another."""
    version: int
    """Resource version of the change; of a deletion that only a list told, that of the list."""
    settled: bool
    """Whether who was told everything up to this entry knows all that happened up to its version."""
    change: Change
    record: TaskRecord
    """The new state, or the last."""
    weight: int
    """See :func:`.selection.weight`."""
    at: float
    """When it came, in seconds since 1970."""


class Log:
    """Entries by place. A new one of a Task takes the place of the one before.

    So there are as many as there are Tasks, and a bounded number of Tasks that are gone. The oldest of those
    are forgotten first: a reader whose place is before ``floor`` may have missed some.
    """

    def __init__(self, max_gone: int = MAX_GONE, max_gone_bytes: int = MAX_GONE_BYTES) -> None:
        self._max_gone, self._max_gone_bytes = max_gone, max_gone_bytes
        self._places, self._versions = array("q"), array("q")
        self._entries: list[Entry | None] = []
        """None: overtaken, or forgotten."""
        self._by_uid: dict[str, Entry] = {}
        self._gone: OrderedDict[int, Entry] = OrderedDict()
        self._gone_bytes = 0
        self.floor = 0
        self._complete_from = 0
        """The version after which every deletion is here, but for the gaps."""
        self._gaps: deque[tuple[int, int]] = deque()
        self.last = 0
        """Place of the newest entry."""
        self.last_version = 0
        """Version of the newest entry."""

    def __len__(self) -> int:
        return len(self._by_uid)

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entry in self._entries if entry is not None)

    def get(self, uid: str) -> Entry | None:
        """Return the newest change of a Task."""
        return self._by_uid.get(uid)

    def add(self, entry: Entry) -> None:
        """Take the newest change of all. Its version is no lower than that of the last one."""
        assert entry.place > self.last
        assert entry.version >= self.last_version
        overtaken = self._by_uid.get(entry.record.uid)
        if overtaken is not None:
            self._drop(overtaken)
        self._places.append(entry.place)
        self._versions.append(entry.version)
        self._entries.append(entry)
        self._by_uid[entry.record.uid] = entry
        self.last, self.last_version = entry.place, entry.version
        if entry.change is not Change.UPDATE:
            self._gone[entry.place] = entry
            self._gone_bytes += len(entry.record.body)
            self._forget_the_oldest()
        if len(self._entries) > max(_WORTH_COMPACTING, 2 * len(self._by_uid)):
            self._compact()

    def after(self, place: int) -> Entry | None:
        """Return the first entry after a place."""
        for index in range(bisect_right(self._places, place), len(self._entries)):
            if (entry := self._entries[index]) is not None:
                return entry
        return None

    def knows_since(self, version: int) -> bool:
        """Whether every deletion of a Task that there was at a version, of those deleted since, is here."""
        return version >= self._complete_from and not any(a < version < b for a, b in self._gaps)

    def blind_before(self, version: int) -> None:
        """Note that nothing is known of deletions up to a version."""
        self._complete_from = max(self._complete_from, version)

    def blind_between(self, after: int, before: int) -> None:
        """Note that a list came instead of changes: what was made after the one may be gone by the other."""
        self._gaps.append((after, before))
        if len(self._gaps) > MAX_GAPS:
            self.blind_before(self._gaps.popleft()[1])

    def place_of(self, version: int) -> int:
        """Return the place after which everything is newer than ``version``."""
        index = bisect_right(self._versions, version)
        return self._places[index - 1] if index else 0

    def _forget_the_oldest(self) -> None:
        while len(self._gone) > self._max_gone or (
            self._gone_bytes > self._max_gone_bytes and len(self._gone) > _FEW
        ):
            oldest = next(iter(self._gone.values()))
            self._drop(oldest)
            self.floor = oldest.place
            self.blind_before(oldest.version)

    def _drop(self, entry: Entry) -> None:
        index = bisect_right(self._places, entry.place) - 1
        self._entries[index] = None
        del self._by_uid[entry.record.uid]
        if self._gone.pop(entry.place, None) is not None:
            self._gone_bytes -= len(entry.record.body)

    def _compact(self) -> None:
        kept = [entry for entry in self._entries if entry is not None]
        self._places = array("q", (entry.place for entry in kept))
        self._versions = array("q", (entry.version for entry in kept))
        self._entries = list(kept)
