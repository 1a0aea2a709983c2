"""Which Task depends on which, by name; tells those concerned when something changes.

Every answer costs what the Task itself names. Cycles are looked for only when a Task appears that others
name already, for only that can close one, and then in what can be reached from it.
"""

from collections.abc import Callable
from datetime import datetime

from harebell_crds.task import Dependency, TaskPhase

from .decide.cycles import find_cycles
from .decide.dependencies import CYCLE
from .decide.prerequisite import Prerequisite
from .decide.task import expires_at
from .store import TaskEntry


class Graph:
    """The Tasks of one namespace. ``wake`` is told the UIDs of Tasks to look at again.

    A Task has finished when its status is written: before, a crash of the operator could undo it.
    """

    def __init__(self, wake: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._wake = wake
        self._clock = clock
        self._named: dict[str, TaskEntry] = {}
        self._dependents: dict[str, dict[str, TaskEntry]] = {}
        """Those that wait, by the name they wait for and their UID."""
        self._kept: dict[str, dict[str, Prerequisite]] = {}
        """Of finished Tasks that were deleted: what a dependent saw, by its UID and their name."""
        self._unchecked: list[str] = []
        """Names that may have closed a cycle."""
        self._cycles: dict[str, tuple[str, ...]] = {}

    def add(self, entry: TaskEntry) -> None:
        """Take in a Task that was not known."""
        known = self._named.get(entry.name)
        if known is not None:
            if known.created_at > entry.created_at:
                return  # An old list; the name belongs to its successor.
            self.drop(known)
        self._named[entry.name] = entry
        if _waits(entry):
            for dependency in entry.spec.depends_on:
                self._dependents.setdefault(dependency.name, {})[entry.uid] = entry
            if entry.spec.depends_on and entry.name in self._dependents:
                self._unchecked.append(entry.name)
        self._wake_dependents(entry.name)

    def finished(self, entry: TaskEntry) -> None:
        """Take in that a Task's final status is written."""
        if not _waits(entry):
            self._unlink(entry)
            self._kept.pop(entry.uid, None)
        self._wake_dependents(entry.name)
        self._release(entry)

    def drop(self, entry: TaskEntry) -> None:
        """Forget a Task; those that saw it finished go on as if it were there."""
        self._unlink(entry)
        self._kept.pop(entry.uid, None)
        self._cycles.pop(entry.uid, None)
        if self._named.get(entry.name) is entry:
            del self._named[entry.name]
            if _finished(entry):
                for uid, dependent in self._dependents.pop(entry.name, {}).items():
                    needed = next(d for d in dependent.spec.depends_on if d.name == entry.name)
                    self._kept.setdefault(uid, {})[entry.name] = _seen(needed, entry)
            self._wake_dependents(entry.name)
        self._release(entry)

    def prerequisites(self, entry: TaskEntry) -> tuple[Prerequisite, ...]:
        """Return what the Task depends on, as it is now."""
        kept = self._kept.get(entry.uid, {})
        return tuple(kept.get(d.name) or _seen(d, self._named.get(d.name)) for d in entry.spec.depends_on)

    def needed(self, entry: TaskEntry) -> bool:
        """Return whether an unfinished Task depends on this one."""
        return any(not _finished(d) for d in self._dependents.get(entry.name, {}).values())

    def cycle(self, entry: TaskEntry) -> tuple[str, ...]:
        """Return Tasks that wait for one another if this one is among them, the first repeated at the end."""
        if self._unchecked:
            starts, self._unchecked = self._unchecked, []
            for name, cycle in find_cycles(starts, self._waits_for).items():
                # Nobody has to be woken: the end of each member does that to those that wait for it.
                self._cycles.setdefault(self._named[name].uid, cycle)
        return self._cycles.get(entry.uid, ())

    def _waits_for(self, name: str) -> list[str]:
        entry = self._named.get(name)
        if entry is None or not _waits(entry):
            return []
        kept = self._kept.get(entry.uid, {})
        return [d.name for d in entry.spec.depends_on if d.name not in kept]

    def _wake_dependents(self, name: str) -> None:
        for uid, dependent in self._dependents.get(name, {}).items():
            if not _finished(dependent):
                self._wake(uid)

    def _unlink(self, entry: TaskEntry) -> None:
        for dependency in entry.spec.depends_on:
            dependents = self._dependents.get(dependency.name, {})
            dependents.pop(entry.uid, None)
            if not dependents:
                self._dependents.pop(dependency.name, None)

    def _release(self, entry: TaskEntry) -> None:
        """Have those deleted that were kept only for this Task."""
        for dependency in entry.spec.depends_on:
            other = self._named.get(dependency.name)
            expires = expires_at(other.spec, other.written) if other else None
            if other is not None and expires is not None and expires <= self._clock():
                self._wake(other.uid)


def _finished(entry: TaskEntry) -> bool:
    return entry.written.phase is not None and entry.written.phase.terminal


def _waits(entry: TaskEntry) -> bool:
    """Return whether the Task may wait for others; one that ended for a cycle still closes it."""
    return not _finished(entry) or entry.written.reason == CYCLE


def _seen(dependency: Dependency, entry: TaskEntry | None) -> Prerequisite:
    if entry is None:
        return Prerequisite(dependency.name, dependency.condition, phase=None)
    status = entry.written
    return Prerequisite(
        name=dependency.name,
        needs=dependency.condition,
        phase=status.phase or TaskPhase.PENDING,
        reason=status.reason,
        completed_at=status.completed_at,
        result=status.result,
    )
