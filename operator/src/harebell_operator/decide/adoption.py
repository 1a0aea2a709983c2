"""What became of the work that ran while no operator looked, as a report on the first round of answers."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from harebell_crds.task import AttemptOutcome, TaskStatus

from .observation import EventNote, EventType


class Fate(Enum):
    """What became of an attempt that was under way."""

    OPEN = auto()
    """Its agent has not been heard of, nor given up."""
    ADOPTED = auto()
    """Its agent still works on it, or has said how it ended."""
    LOST = auto()
    """Its agent is gone, or knows nothing of it. It runs again, unless its retries are exhausted."""
    VOID = auto()
    """Nobody wanted it any longer: its Task was deleted or cancelled."""


@dataclass(frozen=True)
class Found:
    """A Task that was Running when this operator began to work."""

    attempt: int
    """Which one ran."""
    status: TaskStatus | None
    """As it is now; None: the Task was deleted."""
    confirmed: bool
    """Whether its agent says that it works on it."""


@dataclass(frozen=True)
class Round:
    """What has come of asking every agent."""

    fates: tuple[Fate, ...]
    """Of the Tasks that were Running."""
    silent: int
    """Agents that should be there, and have neither been heard of nor called offline."""
    fenced: int
    """Attempts that agents were told to stop because they are not the current ones."""


@dataclass(frozen=True)
class Takeover:
    """The figures of the report."""

    adopted: int
    lost: int
    fenced: int


def fate(found: Found) -> Fate:
    """Return what became of an attempt."""
    if found.status is None:
        return Fate.VOID
    outcome = next((a.outcome for a in found.status.attempts if a.attempt == found.attempt), None)
    match outcome:
        case AttemptOutcome.SUCCEEDED | AttemptOutcome.FAILED | AttemptOutcome.INTERRUPTED:
            return Fate.ADOPTED
        case AttemptOutcome.LOST:
            return Fate.LOST
        case AttemptOutcome.CANCELLED:
            return Fate.VOID
        case None:
            return Fate.ADOPTED if found.confirmed else Fate.OPEN
        case _:
            assert_never(outcome)


def report(seen: Round) -> Takeover | None:
    """Return the figures, or None while some are still to come."""
    if seen.silent or Fate.OPEN in seen.fates:
        return None
    return Takeover(seen.fates.count(Fate.ADOPTED), seen.fates.count(Fate.LOST), seen.fenced)


def note(takeover: Takeover) -> EventNote:
    """Return the Event that says it."""
    return EventNote(
        EventType.WARNING if takeover.lost else EventType.NORMAL,
        "TookOver",
        f"Tasks found running: {takeover.adopted} adopted, {takeover.lost} lost; "
        f"attempts fenced: {takeover.fenced}",
    )
