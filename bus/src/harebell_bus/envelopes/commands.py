"""Operator to agents: what they are told besides work."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from .base import VERSION, Envelope, Moment, TaskRef


class Newest(Envelope):
    """Which message of a Task counts. Earlier ones, by attempt and then dispatch, are not to be begun."""

    uid: str
    """The Task's."""
    attempt: int
    dispatch: int


class Welcome(Envelope):
    """The agent is registered, and may take work from those queues of its type that are in use."""

    version: Literal[1] = VERSION
    kind: Literal["Welcome"] = "Welcome"
    instance: str
    work_queues: Annotated[tuple[str, ...], Field(min_length=1)]
    """In the order in which to look into them."""
    heartbeat_seconds: Annotated[float, Field(gt=0)]
    paused: bool = False
    """It is registered, but is to take no work until a Standing says otherwise."""
    superseded: tuple[Newest, ...] = ()
    """As in Superseded, for who was not there to be told."""
    operator: str | None = None
    """The operator's process that says so."""


class WorkQueues(Envelope):
    """Work of the type comes from these queues from now on; there is one more than before."""

    version: Literal[1] = VERSION
    kind: Literal["WorkQueues"] = "WorkQueues"
    work_queues: Annotated[tuple[str, ...], Field(min_length=1)]
    """In the order in which to look into them."""


class CancelMode(StrEnum):
    """How an attempt is to be stopped."""

    GRACEFUL = "Graceful"
    IMMEDIATE = "Immediate"


class CancelTask(Envelope):
    """Stop working on an attempt."""

    version: Literal[1] = VERSION
    kind: Literal["CancelTask"] = "CancelTask"
    task: TaskRef
    attempt: int
    mode: CancelMode
    reason: str


class Proceed(Envelope):
    """Begin an attempt that a Started asked about."""

    version: Literal[1] = VERSION
    kind: Literal["Proceed"] = "Proceed"
    task: TaskRef
    attempt: int


class SuspendTask(Envelope):
    """Stop working on an attempt, and hand it back. What the action has saved until then, and may save while
    it stops, is what a later attempt goes on from."""

    version: Literal[1] = VERSION
    kind: Literal["SuspendTask"] = "SuspendTask"
    task: TaskRef
    attempt: int
    reason: str


class Query(Envelope):
    """Send a heartbeat now."""

    version: Literal[1] = VERSION
    kind: Literal["Query"] = "Query"
    operator: str | None = None
    """The operator's process that asks."""


class Announcement(Envelope):
    """What an Announcement says."""

    uid: str
    name: str
    kind: str
    """Pause, Resume, Maintenance, QuotaAlert, Notice, or Drain: it is to go. Not an enumeration, so that
    one more kind does not keep an older agent from reading the rest."""
    message: str
    issued_at: Moment
    expires_at: Moment | None = None


class Standing(Envelope):
    """Everything announced that holds for the agent now. Replaces what was said before; answered by a
    heartbeat at once."""

    version: Literal[1] = VERSION
    kind: Literal["Standing"] = "Standing"
    instance: str
    paused: bool
    in_force: tuple[str, ...]
    """UIDs of all announcements in force for it."""
    announcements: tuple[Announcement, ...] = ()
    """Those of them that it has not acknowledged, or as many as fit."""


class Superseded(Envelope):
    """Earlier messages of some Tasks still wait in a queue, and are to be dropped by who meets them."""

    version: Literal[1] = VERSION
    kind: Literal["Superseded"] = "Superseded"
    newest: tuple[Newest, ...]


Command = Annotated[
    Welcome | WorkQueues | CancelTask | Proceed | SuspendTask | Query | Standing | Superseded,
    Field(discriminator="kind"),
]
