"""Which lane a Task's message goes to, which of its messages counts, and whether a lane lost messages."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from harebell_bus.lanes import Lane, Tier, lane_of
from harebell_crds.task import DEFAULT_PERSISTENCE, TaskPhase, TaskSpec, TaskStatus

SETTLES = timedelta(seconds=5)
"""A message on its way from the lane to a start that the operator has heard of is here or there after it."""


def lane_for(spec: TaskSpec) -> Lane:
    """Return the lane of a Task's message, by its priority and where it is to be kept."""
    persistence = spec.persistence or DEFAULT_PERSISTENCE[spec.priority]
    return lane_of(spec.priority, Tier(persistence.value))


class MessageNumber(NamedTuple):
    """Which message of a Task; a later one takes the place of an earlier one."""

    attempt: int
    dispatch: int


def newest_message(status: TaskStatus) -> MessageNumber | None:
    """Return the first number of a message that may be begun, or None where there are no earlier ones.

    Once an attempt began, or ended without that, all its other messages are void, and so are those of a Task
    that was called off. One that was withdrawn is still to come, and only a later message of it counts.
    """
    if not status.dispatch:
        return None
    waits = status.phase == TaskPhase.QUEUED
    return MessageNumber(status.attempt if waits else status.attempt + 1, status.dispatch)


@dataclass(frozen=True)
class Look:
    """What a Memory lane held, and should have held, at a moment."""

    at: datetime
    ready: int | None
    """Messages that waited in it; None: it could not be reached."""
    owed: frozenset[tuple[str, MessageNumber]]
    """Messages of Queued Tasks, by the Task's UID, that had been published into it before."""


def lost_messages(before: Look, after: Look) -> frozenset[str]:
    """Return the UIDs of the Tasks whose messages are to be published again, after two looks at a lane.

    Fewer messages than Queued Tasks, twice, of the same Tasks: the node that keeps the lane restarted, and
    lost what was in its memory. Which messages are left cannot be told, so it is all of them. Messages that
    nobody waits for, as of cancelled Tasks, can hide a loss; it shows when an agent finds the lane empty.
    """
    if after.at - before.at < SETTLES:
        return frozenset()
    owed = before.owed & after.owed
    short = all(look.ready is None or look.ready < len(owed) for look in (before, after))
    return frozenset(uid for uid, _ in owed) if short else frozenset()
