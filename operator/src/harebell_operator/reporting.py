"""What is said of an object, whatever its kind: Events, and a status written once for a burst of changes."""

import logging
from datetime import datetime, timedelta
from typing import Final, assert_never

from . import metrics
from .apiserver import KubeError
from .decide.observation import EventNote
from .kube import Kube
from .store import AgentEntry, AnnouncementEntry, PoolEntry, TaskEntry
from .workqueue import WorkQueue

logger = logging.getLogger(__name__)

COALESCE: Final = timedelta(seconds=1)
"""A status is written this long after it changed: acknowledgements and Pods come in bursts."""


async def record(
    kube: Kube, about: TaskEntry | AgentEntry | PoolEntry, note: EventNote, reporter: str
) -> None:
    """Record an Event. One that is refused, or that the API server cannot take now, is logged and gone."""
    try:
        await kube.record(about, note, reporter)
    except KubeError as error:
        logger.warning("Event %s of %s was not recorded: %s", note.reason, about.name, error)


async def write_when_due(
    kube: Kube, queue: WorkQueue[str], entry: AnnouncementEntry | PoolEntry, now: datetime
) -> None:
    """Write a status that has changed, see :data:`COALESCE`, or queue the object for when that is due.

    :raises KubeError: the API server did not take it.
    """
    if entry.status == entry.written:
        entry.dirty_since = None
        return
    entry.dirty_since = entry.dirty_since or now
    due = entry.dirty_since + COALESCE
    if now < due:
        queue.add_after(entry.uid, (due - now).total_seconds())
        return
    match entry:
        case AnnouncementEntry(status=announced):
            await kube.write_status("announcements", entry.name, entry.uid, announced.to_wire())
            metrics.STATUS_WRITES.labels("Announcement").inc()
            entry.written = announced
        case PoolEntry(status=pooled):
            await kube.write_status("agentpools", entry.name, entry.uid, pooled.to_wire())
            metrics.STATUS_WRITES.labels("AgentPool").inc()
            entry.written = pooled
        case _:
            assert_never(entry)
    entry.dirty_since = None
