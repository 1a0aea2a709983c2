"""The messages, as JSON objects with a ``version`` and a ``kind``.

A reader ignores fields it does not know, so a field may be added within a version; removing one or changing
its meaning takes a new version. Times are RFC 3339 with microseconds, UTC.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

VERSION: Final = 1


class Envelope(BaseModel):
    """What every message and every part of one shares."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,  # the AsyncAPI document shows them
    )


class TaskRef(Envelope):
    """Which Task a message is about."""

    namespace: str
    name: str
    uid: str


class AgentRef(Envelope):
    """Which process of which agent speaks. ``instance`` is new at every start of the process."""

    id: str
    instance: str


# ---- operator to agents of a type --------------------------------------------------------------------


class Work(Envelope):
    """One attempt at a Task, for any agent of the type."""

    version: Literal[1] = VERSION
    kind: Literal["Work"] = "Work"
    task: TaskRef
    attempt: Annotated[int, Field(ge=1)]
    dispatch: Annotated[int, Field(ge=0)] = 0
    """Counts the messages of a Task that took the place of an earlier one, as when its priority changed."""
    agent_type: str
    action: str
    payload: dict[str, Any]
    inputs: dict[str, Any] = Field(default_factory=dict)
    """Results of the Tasks that this one depends on, by name; null for one that did not succeed."""
    priority: str
    active_deadline_seconds: int | None = None
    checkpoint: Any = None
    """What an earlier attempt saved, to go on from. Null: from the beginning."""
    published_at: AwareDatetime


# ---- agent to operator: replies ------------------------------------------------------------------------


class _Reply(Envelope):
    """What an agent says of one attempt."""

    version: Literal[1] = VERSION
    task: TaskRef
    attempt: Annotated[int, Field(ge=1)]
    agent: AgentRef
    at: AwareDatetime


class Started(_Reply):
    """The agent has begun; sent, and confirmed, before the work message is acknowledged."""

    kind: Literal["Started"] = "Started"
    begun: bool = True
    """False of a message that came back, while nothing has looked into it. Another Started, with what the
    action declares, is confirmed before the action is begun."""
    resumable: bool = False
    """Whether the action declares that it goes on from a checkpoint."""
    idempotent: bool = True
    """Whether it declares that it may be done again from the beginning."""


class Progressed(_Reply):
    """How far the action has come."""

    kind: Literal["Progressed"] = "Progressed"
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    message: str | None = None


class Checkpointed(_Reply):
    """What the action saved in order to go on from there; of an attempt the newest counts. Sent before the
    outcome."""

    kind: Literal["Checkpointed"] = "Checkpointed"
    data: Any = None


class Succeeded(_Reply):
    """The action returned."""

    kind: Literal["Succeeded"] = "Succeeded"
    result: Any = None


class Failed(_Reply):
    """The action raised, or could not be begun."""

    kind: Literal["Failed"] = "Failed"
    code: str
    message: str
    retryable: bool = True


class Cancelled(_Reply):
    """The action was stopped because the operator said so."""

    kind: Literal["Cancelled"] = "Cancelled"


class InterruptionCause(StrEnum):
    """Why an agent hands work back."""

    SHUTDOWN = "Shutdown"
    """It is being shut down."""
    SUSPENDED = "Suspended"
    """The operator said SuspendTask."""
    REDELIVERED = "Redelivered"
    """The message came back, so another agent may have begun what must not be done twice."""


class Interrupted(_Reply):
    """The agent hands the work back."""

    kind: Literal["Interrupted"] = "Interrupted"
    cause: InterruptionCause = InterruptionCause.SHUTDOWN
    begun: bool = True
    """Whether the action had begun. False: it has done nothing."""
    message: str = ""


Reply = Annotated[
    Started | Progressed | Checkpointed | Succeeded | Failed | Cancelled | Interrupted,
    Field(discriminator="kind"),
]

# ---- operator to the history ---------------------------------------------------------------------------


class Removed(Envelope):
    """A Task as it was when it was deleted. For the history: with its messages, it says what became of it."""

    version: Literal[1] = VERSION
    kind: Literal["Removed"] = "Removed"
    task: TaskRef
    at: AwareDatetime
    agent_type: str
    attempt: Annotated[int, Field(ge=0)]
    created_at: AwareDatetime
    labels: dict[str, str]
    spec: dict[str, Any]
    """As in the resource, without the payload: that is in the Task's Work."""
    status: dict[str, Any]
    """As in the resource."""


# ---- agent to operator: heartbeats ---------------------------------------------------------------------


class HeartbeatReason(StrEnum):
    """Why a heartbeat was sent."""

    REGISTERED = "Registered"
    """The agent just connected, and waits for a Welcome."""
    INTERVAL = "Interval"
    QUERIED = "Queried"
    """The operator asked, or told the agent something that it answers for."""
    LEAVING = "Leaving"
    """The agent is shutting down; no more will come."""


class CurrentTask(Envelope):
    """An attempt the agent works on."""

    task: TaskRef
    attempt: int


class Cpu(Envelope):
    """Processors; a figure that could not be read is null."""

    cores: int | None = None
    utilization_percent: int | None = None


class Memory(Envelope):
    """Memory in bytes; a figure that could not be read is null."""

    total_bytes: int | None = None
    used_bytes: int | None = None


class Gpu(Envelope):
    """One GPU; a figure that could not be read is null, never 0."""

    index: int
    uuid: str | None = None
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    utilization_percent: int | None = None
    mig: bool | None = None


class Resources(Envelope):
    """What the agent's machine or container has and uses."""

    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    gpus: tuple[Gpu, ...] | None = None
    """Empty: there is none. Null: could not be read, and ``gpus_reason`` says why."""
    gpus_reason: str | None = None


class PodRef(Envelope):
    """The Pod an agent runs in."""

    namespace: str
    name: str
    uid: str
    node_name: str | None = None


class Heartbeat(Envelope):
    """Everything the operator needs to know of an agent; each one stands alone, the newest wins."""

    version: Literal[1] = VERSION
    kind: Literal["Heartbeat"] = "Heartbeat"
    reason: HeartbeatReason
    agent: AgentRef
    agent_type: str
    software_version: str
    started_at: AwareDatetime
    at: AwareDatetime
    capacity: Annotated[int, Field(ge=1)] = 1
    actions: tuple[str, ...] = ()
    resumable: tuple[str, ...] = ()
    """Those of its actions that go on from a checkpoint."""
    idempotent: tuple[str, ...] = ()
    """Those that may be done again from the beginning."""
    current_tasks: tuple[CurrentTask, ...] = ()
    resources: Resources = Resources()
    pod: PodRef | None = None
    paused: bool = False
    """Whether it takes no new work because it was told so."""
    acknowledged: tuple[str, ...] = ()
    """UIDs of the announcements in force that it was told of, and keeps to."""
    consuming: bool | None = None
    """Whether within the last minute the broker answered one of its loops that look for work, or gave it
    some. False is as it should be while it is paused or has as many Tasks as it can take. Null: it does not
    say, as while it shuts down."""
    last_delivery_at: AwareDatetime | None = None
    """When this process last received a message with work."""


# ---- archiver to operator ----------------------------------------------------------------------------------


class ArchiverState(StrEnum):
    """What the archiver does."""

    STARTING = "Starting"
    ARCHIVING = "Archiving"
    STANDBY = "Standby"
    """Another archiver archives."""
    STREAM_UNREACHABLE = "StreamUnreachable"
    POSTGRESQL_UNREACHABLE = "PostgreSQLUnreachable"


class ArchiveReport(Envelope):
    """How the archive does; each one stands alone, the newest wins. What is not known is null."""

    version: Literal[1] = VERSION
    kind: Literal["ArchiveReport"] = "ArchiveReport"
    archiver: AgentRef
    at: AwareDatetime
    state: ArchiverState
    message: str = ""
    lag_messages: Annotated[int, Field(ge=0)] | None = None
    """Messages of the stream that are not archived yet."""
    archived_messages: Annotated[int, Field(ge=0)] | None = None
    gap_messages: Annotated[int, Field(ge=0)] | None = None
    """Messages that never will be, at most."""
    last_gap_at: AwareDatetime | None = None
    last_archived_time: AwareDatetime | None = None
    """When the broker took the newest message that is archived."""


# ---- operator to agents --------------------------------------------------------------------


class Newest(Envelope):
    """Which message of a Task counts. Earlier ones, by attempt and then dispatch, are not to be begun."""

    uid: str
    """The Task's."""
    attempt: int
    dispatch: int


class Welcome(Envelope):
    """The agent is registered: its type's queues exist, and it may take work from them."""

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


class Announcement(Envelope):
    """What an Announcement says."""

    uid: str
    name: str
    kind: str
    """Pause, Resume, Maintenance, QuotaAlert, Notice, or Drain: it is to go. Not an enumeration, so that
    one more kind does not keep an older agent from reading the rest."""
    message: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime | None = None


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
    Welcome | CancelTask | SuspendTask | Query | Standing | Superseded, Field(discriminator="kind")
]

Message = (
    Work
    | Started
    | Progressed
    | Checkpointed
    | Succeeded
    | Failed
    | Cancelled
    | Interrupted
    | Removed
    | Heartbeat
    | ArchiveReport
    | Welcome
    | (CancelTask | SuspendTask | Query)
    | Standing
    | Superseded
)
"""Any message as a whole."""
