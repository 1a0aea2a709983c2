"""Which Tasks were deleted since a client's last word, when no log of deletions reaches back that far.

The archive has a record of nearly every deletion: not of those while no operator worked, and not yet of
the newest. Nor can it say whether a client was told of one already. So nothing is believed that is not
proved: the client's cursor holds a sum that stands for the Tasks it knows. What is still there of them and
what was deleted must add up to it. Only times near that of the cursor leave a choice, made by trying.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .selection import WEIGHTS, total


@dataclass(frozen=True, slots=True)
class Known:
    """A Task that the client may know. ``created``: as in its metadata, RFC 3339 in UTC, whole seconds."""

    uid: str
    created: str
    weight: int


def explain(
    missing: int, changed: Sequence[Known], deleted: Sequence[Known], around: tuple[str, str]
) -> list[str] | None:
    """Return the UIDs of the deleted Tasks that the client knows, in order; None: that cannot be told.

    ``missing`` is the client's sum less that of the Tasks unchanged since. ``changed`` are those that changed
    since or are new, ``deleted`` all that may have been deleted since, in order. The client knows those that
    were made until some second, which lies between the two of ``around``; of the deleted ones without the
    first so many, of which it was told.
    """
    earliest, latest = around
    cuts = sorted({t.created for t in (*changed, *deleted) if earliest < t.created <= latest})
    for made_until in [earliest, *cuts]:
        rest = (missing - total(t.weight for t in changed if t.created <= made_until)) % WEIGHTS
        candidates = [t for t in deleted if t.created <= made_until]
        found = _suffix(candidates, rest)
        if found is not None:
            return [task.uid for task in found]
    return None


def _suffix(tasks: Sequence[Known], wanted: int) -> Sequence[Known] | None:
    """Return the last so many whose weights add up to ``wanted``."""
    added = 0
    for index in range(len(tasks), -1, -1):
        if index < len(tasks):
            added = (added + tasks[index].weight) % WEIGHTS
        if added == wanted:
            return tasks[index:]
    return None
