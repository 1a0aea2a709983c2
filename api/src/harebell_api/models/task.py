"""Tasks, as they are shown."""

from typing import Annotated, Any, Literal

from pydantic import Field

from harebell_crds.conditions import Condition
from harebell_crds.model import MicroTime, Time
from harebell_crds.task import (
    Attempt,
    Dependency,
    OnInterruption,
    Priority,
    Progress,
    ReplayOf,
    RetryPolicy,
    TaskError,
)

from .document import Document


class CheckpointDocument(Document):
    """What is known of a checkpoint. What the action saved in it is for its next attempt alone."""

    attempt: Annotated[int, Field(description="Attempt that saved it.")]
    saved_at: Annotated[MicroTime, Field(description="When.")]
    bytes: Annotated[
        int | None, Field(description="Size of what was saved, as JSON; null: the archive does not say.")
    ]


class TaskDocument(Document):
    """A Task: what was asked for, without its payload, and what became of it."""

    task_id: Annotated[str, Field(description="The Task's name; every path takes its uid as well.")]
    name: Annotated[str, Field(description="Name of the Task.")]
    namespace: Annotated[str, Field(description="Its namespace.")]
    uid: Annotated[str, Field(description="Its UID.")]
    source: Annotated[
        Literal["cluster", "archive"],
        Field(description="archive: the Task was deleted; this is how it was, from the archived messages."),
    ]
    resource_version: Annotated[
        str | None,
        Field(description="Changes with every change of the Task; null: it is no resource any more."),
    ]
    labels: Annotated[dict[str, str], Field(description="Its labels.")]
    agent_type: Annotated[str, Field(description="Type of agent to do the work.")]
    action: Annotated[str, Field(description="Action the agent is to perform.")]
    priority: Annotated[str, Field(description=f"One of {', '.join(Priority)}.")]
    persistence: Annotated[
        str | None, Field(description="Disk or Memory: where its message is kept until an agent starts it.")
    ]
    depends_on: Annotated[
        list[Dependency], Field(description="Tasks that must finish before this one starts.")
    ]
    replay_of: Annotated[ReplayOf | None, Field(description="The Task this one does again, if any.")]
    duplicate_of: Annotated[
        ReplayOf | None,
        Field(description="The Task with the same idempotency key that is done in its place, if any."),
    ]
    retry_policy: Annotated[
        RetryPolicy | None,
        Field(description="How often a failed attempt is repeated; null: the archive does not say."),
    ]
    on_interruption: Annotated[
        str | None,
        Field(
            description=f"One of {', '.join(OnInterruption)}: what becomes of it when its agent is lost, or"
            " hands it back. Null: the archive does not say."
        ),
    ]
    interruption_leads_to: Annotated[
        str | None,
        Field(description="What that comes to for the current attempt: Resume, Requeue or Fail."),
    ]
    queue_deadline_seconds: Annotated[
        int | None, Field(description="It fails if no agent started it within this time, if any.")
    ]
    active_deadline_seconds: Annotated[
        int | None, Field(description="It fails if an attempt runs longer than this, if at all.")
    ]
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(description="It is deleted this long after it finished; null: the archive does not say."),
    ]
    suspend: Annotated[bool, Field(description="Whether it is suspended: no agent starts it.")]
    cancel: Annotated[str | None, Field(description="Graceful or Immediate once it is to be cancelled.")]
    phase: Annotated[
        str,
        Field(
            description="Pending, Queued, Running, or one of the final Succeeded, Failed, Cancelled,"
            " DeadLettered. Unknown: from the archive, which does not say how it ended."
        ),
    ]
    reason: Annotated[str | None, Field(description="Why it is in this phase, as one CamelCase word.")]
    attempt: Annotated[int, Field(description="Number of the current or last attempt; 0: none yet.")]
    failures: Annotated[int, Field(description="Attempts that failed or were lost.")]
    attempts: Annotated[list[Attempt], Field(description="The newest attempts.")]
    agent_name: Annotated[str | None, Field(description="Agent of the current or last attempt.")]
    progress: Annotated[Progress | None, Field(description="How far the running attempt has come.")]
    result: Annotated[Any, Field(description="What the action returned.")]
    error: Annotated[TaskError | None, Field(description="Why the Task, or its last attempt, failed.")]
    checkpoint: Annotated[
        CheckpointDocument | None,
        Field(description="The last one that the action saved, without its content."),
    ]
    conditions: Annotated[list[Condition], Field(description="Started, Complete, Failed.")]
    created_at: Annotated[Time, Field(description="When the Task was made.")]
    queued_at: Annotated[MicroTime | None, Field(description="When the broker confirmed the message.")]
    resumed_at: Annotated[MicroTime | None, Field(description="When it was last taken out of suspension.")]
    started_at: Annotated[MicroTime | None, Field(description="When the current attempt started.")]
    completed_at: Annotated[MicroTime | None, Field(description="When the Task finished.")]
    next_attempt_time: Annotated[MicroTime | None, Field(description="When the next attempt is due.")]


class QueuePlace(Document):
    """Where a Queued Task stands among those of its type."""

    position: Annotated[int, Field(description="1: the next to be taken.")]
    ahead: Annotated[int, Field(description="Tasks that are taken before it, as things are.")]
    estimated_start_seconds: Annotated[
        int | None,
        Field(
            description="In about how many seconds an agent starts it, by the mean run times of late. Null"
            " where nobody can say: no agent takes work, or an action ahead has never succeeded."
        ),
    ]


class TaskStatusDocument(TaskDocument):
    """A Task, and where it stands while it waits."""

    queue: Annotated[QueuePlace | None, Field(description="Its place; null unless it is Queued.")]


class TaskPage(Document):
    """Some Tasks, newest first."""

    items: Annotated[list[TaskDocument], Field(description="The Tasks.")]
    next_cursor: Annotated[str | None, Field(description="Value of cursor for what follows; null: nothing.")]


class ReplayResult(Document):
    """What became of one Task that was to be done again: the new Task, or why there is none."""

    task_id: Annotated[str, Field(description="The dead-lettered Task.")]
    replayed_as: Annotated[str | None, Field(description="The Task that does it again.")]
    problem: Annotated[str | None, Field(description="Why there is none.")]


class ReplayList(Document):
    """What became of each Task that was to be done again."""

    items: Annotated[list[ReplayResult], Field(description="One entry per dead-lettered Task.")]
    next_cursor: Annotated[
        str | None, Field(description="Value of cursor for those that limit left out; null: none.")
    ]
