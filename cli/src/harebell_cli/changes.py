"""What a command changes about one object, if it can: decisions, without a word to the API server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .tasks import Task

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A change of the spec, and what is said when it is made: ``will be cancelled``."""

    spec: Mapping[str, Any]
    done: str


@dataclass(frozen=True)
class Needless:
    """It is so already; what is said then."""

    words: str


@dataclass(frozen=True)
class Impossible:
    """It cannot be any more, and why."""

    words: str


Verdict = Change | Needless | Impossible
Decide = Callable[[Object], Verdict]
"""Says what is to be done to an object, as it is."""


def cancelling(raw: Object, *, immediate: bool) -> Verdict:
    """Return how a Task is cancelled."""
    task = Task(raw)
    wanted, now = ("Immediate" if immediate else "Graceful"), task.spec.get("cancel")
    if task.finished:
        return _finished(task)
    if now in (wanted, "Immediate"):  # it cannot go back, and needs not
        return Needless("is being cancelled already")
    how = "at once" if immediate else "when its action has cleaned up"
    return Change({"cancel": wanted}, f"will be cancelled, {how}" if _runs(task) else "will be cancelled")


def suspending(raw: Object, *, wanted: bool) -> Verdict:
    """Return how a Task is suspended, or resumed."""
    task = Task(raw)
    if task.finished:
        return _finished(task)
    if bool(task.spec.get("suspend")) == wanted:
        return Needless("is suspended already" if wanted else "is not suspended")
    if not wanted:
        return Change({"suspend": False}, "may start")
    goes_on = "suspended; it runs, and is handed back only if it can go on later"
    return Change({"suspend": True}, goes_on if _runs(task) else "suspended")


def prioritizing(raw: Object, *, level: str) -> Verdict:
    """Return how the priority of a Task is changed."""
    task = Task(raw)
    if task.finished:
        return _finished(task)
    if task.spec.get("priority", "normal") == level:
        return Needless(f"has priority {level} already")
    if _runs(task):
        return Impossible("runs, so its priority does not matter any more")
    return Change({"priority": level}, f"has priority {level}")


def ordering(raw: Object, *, member: str, wanted: bool, done: str) -> Verdict:
    """Return how an Agent is paused or drained (``member`` of its spec), or the opposite."""
    if bool((raw.get("spec") or {}).get(member, False)) == wanted:
        return Needless(f"is {done} already")
    return Change({member: wanted}, done)


def _runs(task: Task) -> bool:
    return task.phase == "Running"


def _finished(task: Task) -> Impossible:
    return Impossible(f"has finished: it is {task.phase}")
