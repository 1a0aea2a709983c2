"""Which records a list shows, in which order, and the cursor that names the place between two pages.

A cursor holds the place of the last Task shown, not a number of Tasks: what is created or deleted meanwhile
neither repeats nor skips any other.
"""

import base64
import binascii
import heapq
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .records import AgentRecord, TaskRecord
from .selector import Selector

Place = tuple[str, str]
"""Time of creation and UID: a total order that never changes."""


_ANY_LABELS = Selector()


class CursorError(ValueError):
    """The text is not a cursor of ours."""


@dataclass(frozen=True)
class TaskFilter:
    """What a list of Tasks is to show; an empty collection lets everything through."""

    phases: Collection[str] = ()
    agent_types: Collection[str] = ()
    priorities: Collection[str] = ()
    labels: Selector = _ANY_LABELS
    seen: Collection[str] | None = None
    """Agent types that exist for who asks; None: all."""

    def matches(self, task: TaskRecord) -> bool:
        """Whether the Task is to be shown."""
        return (
            (self.seen is None or task.agent_type in self.seen)
            and (not self.phases or task.phase in self.phases)
            and (not self.agent_types or task.agent_type in self.agent_types)
            and (not self.priorities or task.priority in self.priorities)
            and self.labels.matches(task.labels)
        )


def newest(
    tasks: Iterable[TaskRecord], wanted: TaskFilter, limit: int, after: Place | None
) -> tuple[list[TaskRecord], Place | None]:
    """Return the ``limit`` newest Tasks older than ``after``, and the place to go on from, if any follow."""
    found = heapq.nlargest(
        limit + 1,
        (t for t in tasks if (after is None or place_of(t) < after) and wanted.matches(t)),
        key=place_of,
    )
    more = len(found) > limit
    return found[:limit], place_of(found[limit - 1]) if more else None


def agents_by_name(
    agents: Iterable[AgentRecord], types: Collection[str], statuses: Collection[str]
) -> list[AgentRecord]:
    """Return the agents of any of the types and in any of the statuses, whatever the statuses' case."""
    wanted = {status.lower() for status in statuses}
    found = (
        a
        for a in agents
        if (not types or a.agent_type in types) and (not wanted or a.status.lower() in wanted)
    )
    return sorted(found, key=lambda a: a.name)


def place_of(task: TaskRecord) -> Place:
    """Return where the Task stands among all."""
    return task.created, task.uid


def encode_cursor(place: Place) -> str:
    """Return the place as text for a URL."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Place:
    """Return the place that a cursor names. :raises CursorError: it is not a cursor."""
    try:
        place = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise CursorError("not a cursor") from error
    match place:
        case [str(created), str(uid)]:
            return created, uid
        case _:
            raise CursorError("not a cursor")
