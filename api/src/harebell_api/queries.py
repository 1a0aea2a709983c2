"""Which records a list shows, in which order, and the cursor that names the place between two pages.

A cursor holds the place of the last one shown, not a number of them: what is created or deleted meanwhile
neither repeats nor skips any other.
"""

import base64
import binascii
import heapq
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from .models.parameters import EARLIEST, LATEST
from .records import AgentRecord, AnnouncementRecord, TaskRecord
from .selector import Selector

Dated = TypeVar("Dated", TaskRecord, AnnouncementRecord)
DatedIn = TypeVar("DatedIn", TaskRecord, AnnouncementRecord, contravariant=True)

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


@dataclass(frozen=True)
class AnnouncementFilter:
    """What a list of Announcements is to show; an empty collection lets everything through."""

    kinds: Collection[str] = ()
    phases: Collection[str] = ()

    def matches(self, announcement: AnnouncementRecord) -> bool:
        """Whether the Announcement is to be shown."""
        return (not self.kinds or announcement.kind in self.kinds) and (
            not self.phases or announcement.phase in self.phases
        )


class Filter(Protocol[DatedIn]):
    """Says what a list is to show."""

    def matches(self, record: DatedIn, /) -> bool:
        """Whether the record is to be shown."""
        ...


def newest(
    records: Iterable[Dated], wanted: Filter[Dated], limit: int, after: Place | None
) -> tuple[list[Dated], Place | None]:
    """Return the ``limit`` newest records older than ``after``, and the place to go on from, if any do."""
    found = heapq.nlargest(
        limit + 1,
        (r for r in records if (after is None or place_of(r) < after) and wanted.matches(r)),
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


def place_of(record: TaskRecord | AnnouncementRecord) -> Place:
    """Return where the record stands among all of its kind."""
    return record.created, record.uid


def encode_cursor(place: Place) -> str:
    """Return the place as text for a URL."""
    return _encoded(place)


def decode_cursor(text: str) -> Place:
    """Return the place that a cursor names. :raises CursorError: it is not a cursor."""
    match _decoded(text):
        case [str(created), str(uid)]:
            return created, uid
        case _:
            raise CursorError("not a cursor")


def encode_spot(time: datetime, epoch: int, offset: int) -> str:
    """Return the place of an archived message as text for a URL."""
    return _encoded((time.isoformat(), epoch, offset))


def decode_spot(text: str) -> tuple[datetime, int, int]:
    """Return the place of an archived message that a cursor names. :raises CursorError: it is not one."""
    match _decoded(text):
        case [str(time), int(epoch), int(offset)] if 0 <= epoch < 2**31 and 0 <= offset < 2**63:
            try:
                found = datetime.fromisoformat(time)
            except ValueError as error:
                raise CursorError("not a cursor") from error
            if found.tzinfo is not None and EARLIEST <= found <= LATEST:
                return found, epoch, offset
    raise CursorError("not a cursor")


def _encoded(place: tuple[str | int, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _decoded(text: str) -> Any:
    try:
        return json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise CursorError("not a cursor") from error
