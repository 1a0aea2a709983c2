"""What changed about a Task that somebody follows, in lines for people."""

from harebell_crds.task import AttemptOutcome

from .durations import spell
from .exits import DONE, FAILED
from .tasks import Attempt, Task
from .text import indented

_INDENT = "  "


def news(before: Task | None, after: Task) -> list[str]:
    """Return what is worth saying of a change, oldest first; nothing where nobody would care."""
    lines = []
    known = {attempt.number: attempt for attempt in before.attempts} if before else {}
    for attempt in after.attempts:
        lines += _of_attempt(known.get(attempt.number), attempt, after.error if after.finished else None)
    if after.finished:
        if before is None or not before.finished:
            lines.append(ending(after))
    elif (waits := _waits(after)) is not None and (before is None or _waits(before) != waits):
        lines.append(indented(waits, _INDENT))
    if after.progress and not after.finished and (before is None or before.progress != after.progress):
        lines.append(f"{_INDENT}{indented(after.progress, _INDENT * 2)}")
    return lines


def ending(task: Task) -> str:
    """Return how a Task ended, and of what."""
    last = task.attempts[-1] if task.attempts else None
    took = f" after {spell(last.took)}" if task.succeeded and last and last.took else ""
    times = f" at attempt {last.number}" if last and last.number > 1 else ""
    why = None if task.succeeded else task.error or task.status.get("reason")
    of_what = f": {why}" if why not in (None, task.phase) else ""
    return indented(f"{task.phase}{took}{times}{of_what}", _INDENT)


def exit_status(task: Task) -> int:
    """Return the exit status that says how a finished Task ended."""
    return DONE if task.succeeded else FAILED


def _of_attempt(before: Attempt | None, after: Attempt, end: str | None) -> list[str]:
    """Return what is new of an attempt; ``end``: what the Task has failed of, which is said elsewhere."""
    who = f"attempt {after.number}" + (f" on {after.agent}" if after.agent else "")
    if after.outcome and (before is None or not before.outcome):
        if after.outcome == AttemptOutcome.SUCCEEDED or (end is not None and after.error == end):
            return []
        took = f" after {spell(after.took)}" if after.took else ""
        why = f": {after.error}" if after.error else ""
        return [indented(f"{who}: {after.outcome}{took}{why}", _INDENT)]
    return [f"Running: {who}"] if before is None and not after.outcome else []


def _waits(task: Task) -> str | None:
    """Return where a Task waits and why. None: it does not wait, as far as one knows."""
    if task.phase not in ("Pending", "Queued"):
        return None
    reason, message = task.cause or (None, "")
    if reason is None:
        return task.phase
    return f"{task.phase}: {reason}" + (f", {message}" if message else "")
