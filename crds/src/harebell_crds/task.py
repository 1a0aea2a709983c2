"""Task: one piece of work for an agent of some type."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from .conditions import Condition
from .model import Json, MicroTime, Model, NullIsEmpty
from .schema import list_map, preserve_unknown_fields, rule

MAX_PAYLOAD_BYTES = 256 * 1024
MAX_RESULT_BYTES = 64 * 1024
MAX_CHECKPOINT_BYTES = 32 * 1024
MAX_INPUTS_BYTES = 256 * 1024
MAX_DEPENDENCIES = 50
MAX_ATTEMPTS_KEPT = 10
"""``status.attempts`` keeps the newest; the object stays small whatever ``maxRetries`` is."""

AGENT_TYPE_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
ACTION_PATTERN = r"^[a-zA-Z]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$"


class Priority(StrEnum):
    """How urgent a Task is, most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    BACKGROUND = "background"


class Persistence(StrEnum):
    """Where the broker keeps a Task's message until an agent starts it."""

    DISK = "Disk"
    """Replicated and on disk: it survives the loss of a node of the broker."""
    MEMORY = "Memory"
    """In one node's memory: cheaper; published again from the Task when the broker lost it."""


DEFAULT_PERSISTENCE: dict[Priority, Persistence] = {
    Priority.CRITICAL: Persistence.DISK,
    Priority.HIGH: Persistence.DISK,
    Priority.NORMAL: Persistence.MEMORY,
    Priority.LOW: Persistence.MEMORY,
    Priority.BACKGROUND: Persistence.MEMORY,
}


class CancelMode(StrEnum):
    """How a Task is to be cancelled."""

    GRACEFUL = "Graceful"
    """The handler is told and may clean up."""
    IMMEDIATE = "Immediate"
    """The handler is stopped at once and its outcome is not waited for."""


class OnInterruption(StrEnum):
    """What becomes of a Task whose agent is lost, or hands it back, while it runs."""

    AUTO = "Auto"
    """Resume what the agent declared resumable, Requeue what it declared idempotent, else Fail."""
    RESUME = "Resume"
    """Run again, from the last checkpoint if there is one."""
    REQUEUE = "Requeue"
    """Run again from the beginning."""
    FAIL = "Fail"
    """Do not run again."""


class DependencyOutcome(StrEnum):
    """What a Task waits for in another one."""

    SUCCEEDED = "Succeeded"
    FINISHED = "Finished"
    """However it ended."""


class TaskPhase(StrEnum):
    """Where a Task is in its life. See :data:`TRANSITIONS`."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    DEAD_LETTERED = "DeadLettered"

    @property
    def terminal(self) -> bool:
        """Whether the phase is final."""
        return not TRANSITIONS[self]


_FINAL = frozenset({TaskPhase.SUCCEEDED, TaskPhase.FAILED, TaskPhase.CANCELLED, TaskPhase.DEAD_LETTERED})

TRANSITIONS: dict[TaskPhase, frozenset[TaskPhase]] = {
    TaskPhase.PENDING: frozenset({TaskPhase.QUEUED, TaskPhase.RUNNING}) | _FINAL,
    TaskPhase.QUEUED: frozenset({TaskPhase.PENDING, TaskPhase.RUNNING}) | _FINAL,
    TaskPhase.RUNNING: frozenset({TaskPhase.PENDING, TaskPhase.QUEUED}) | _FINAL,
    TaskPhase.SUCCEEDED: frozenset(),
    TaskPhase.FAILED: frozenset(),
    TaskPhase.CANCELLED: frozenset(),
    TaskPhase.DEAD_LETTERED: frozenset(),
}
"""Allowed changes of phase; a phase may always stay as it is, and a terminal one always does."""


class AttemptOutcome(StrEnum):
    """How one attempt at a Task ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    LOST = "Lost"
    """The agent died or forgot the Task."""
    INTERRUPTED = "Interrupted"
    """The agent handed the Task back, being shut down."""
    CANCELLED = "Cancelled"


class Backoff(Model):
    """How long to wait before a retry: ``initial * factor ** (failures - 1)``, capped, then jittered."""

    initial_seconds: Annotated[int, Field(ge=0, le=86400, description="Wait before the first retry.")] = 1
    factor: Annotated[int, Field(ge=1, le=10, description="How much longer each wait is than the last.")] = 2
    max_seconds: Annotated[int, Field(ge=0, le=86400, description="No wait is longer.")] = 300


class RetryPolicy(Model):
    """How often a failed Task is tried again."""

    max_retries: Annotated[
        int,
        Field(ge=0, le=100, description="Retries after the first attempt, before the Task is dead-lettered."),
    ] = 3
    backoff: Annotated[Backoff, Field(description="Wait between attempts.")] = Backoff()


class ReplayOf(Model):
    """The finished Task that a Task does again."""

    name: Annotated[str, Field(max_length=253, description="Its name.")]
    uid: Annotated[str, Field(max_length=36, description="Its UID.")]


class Dependency(Model):
    """Another Task of the namespace that must finish first."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Its name.")]
    condition: Annotated[
        DependencyOutcome,
        Field(
            description="Succeeded, or Finished: however it ended. "
            "A Task that waits for Succeeded fails when that cannot be any more."
        ),
    ] = DependencyOutcome.SUCCEEDED


class TaskSpec(Model):
    """What is asked for. Only cancel, suspend, the deadlines, the TTL and, until it runs, the priority may
    change."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.replayOf) == has(oldSelf.replayOf)",
                    "message": "spec.replayOf is immutable",
                },
                {
                    "rule": "has(self.persistence) == has(oldSelf.persistence)",
                    "message": "spec.persistence is immutable",
                },
                {
                    "rule": "has(self.idempotencyKey) == has(oldSelf.idempotencyKey)",
                    "message": "spec.idempotencyKey is immutable",
                },
                {
                    "rule": "!has(oldSelf.cancel) || has(self.cancel)",
                    "message": "spec.cancel cannot be taken back",
                },
                {
                    "rule": "!(has(oldSelf.cancel) && oldSelf.cancel == 'Immediate')"
                    " || (has(self.cancel) && self.cancel == 'Immediate')",
                    "message": "spec.cancel cannot go from Immediate back to Graceful",
                },
            ]
        }
    )

    agent_type: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=AGENT_TYPE_PATTERN,
            description="Type of agent to do the work.",
        ),
        rule("self == oldSelf", "spec.agentType is immutable"),
    ]
    action: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=ACTION_PATTERN,
            description="Action the agent is to perform.",
        ),
        rule("self == oldSelf", "spec.action is immutable"),
    ]
    payload: Annotated[
        dict[str, Any],
        Field(description="Input of the action, at most 256 KiB as JSON. Immutable."),
        preserve_unknown_fields(),
    ] = Field(default_factory=dict)
    priority: Annotated[
        Priority,
        Field(
            description="Of the waiting Tasks, an agent takes the most urgent first. "
            "May change until the Task runs."
        ),
    ] = Priority.NORMAL
    persistence: Annotated[
        Persistence | None,
        Field(
            description="Where the message is kept until an agent starts it: Disk, replicated, or Memory. "
            "Absent: Disk for critical and high, Memory for the rest."
        ),
        rule("self == oldSelf", "spec.persistence is immutable"),
    ] = None
    retry_policy: Annotated[
        RetryPolicy,
        Field(description="How often a failed Task is tried again."),
        rule("self == oldSelf", "spec.retryPolicy is immutable"),
    ] = RetryPolicy()
    depends_on: Annotated[
        tuple[Dependency, ...],
        Field(
            max_length=MAX_DEPENDENCIES,
            description="Tasks of this namespace that must finish before this one starts. "
            "Their results are given to the action as inputs, by name: at most 256 KiB as JSON in all, "
            "null for one that did not succeed. One that does not exist is waited for.",
        ),
        NullIsEmpty,
        rule("self == oldSelf", "spec.dependsOn is immutable"),
        list_map("name"),
    ] = ()
    on_interruption: Annotated[
        OnInterruption,
        Field(
            description="What to do when the agent is lost, or hands the Task back, while it runs. "
            "Auto goes by what the action declares."
        ),
        rule("self == oldSelf", "spec.onInterruption is immutable"),
    ] = OnInterruption.AUTO
    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            description="Of the Tasks of this namespace with the same key, only the first is done.",
        ),
        rule("self == oldSelf", "spec.idempotencyKey is immutable"),
    ] = None
    queue_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=2**31 - 1,
            description="The Task fails if no agent started it within this time. It counts from when it "
            "could be queued: not while Tasks of dependsOn are under way, but while one does not exist.",
        ),
    ] = None
    active_deadline_seconds: Annotated[
        int | None,
        Field(ge=1, le=2**31 - 1, description="An attempt fails the Task if it runs longer than this."),
    ] = None
    ttl_seconds_after_finished: Annotated[
        int,
        Field(
            ge=0,
            le=2**31 - 1,
            description="The Task is deleted this long after it finished, or later: not while an unfinished "
            "Task depends on it. 7 days by default.",
        ),
    ] = 7 * 86400
    replay_of: Annotated[
        ReplayOf | None,
        Field(description="The Task this one does again, if any."),
        rule("self == oldSelf", "spec.replayOf is immutable"),
    ] = None
    suspend: Annotated[
        bool,
        Field(
            description="While set, no agent starts it: it is taken out of the queue, and waits in Pending. "
            "An attempt that runs is told to hand the Task back if an interruption of it leads to Resume; "
            "any other goes on. queueDeadlineSeconds begins anew when it is taken back."
        ),
    ] = False
    cancel: Annotated[
        CancelMode | None,
        Field(description="Set to cancel the Task. Graceful lets the action clean up; Immediate does not."),
    ] = None


class Progress(Model):
    """How far a running attempt has come, in the action's own words."""

    percent: Annotated[int | None, Field(ge=0, le=100, description="Part done, in percent.")] = None
    message: Annotated[str | None, Field(max_length=1024, description="What is being done.")] = None


class TaskError(Model):
    """Why a Task did not succeed."""

    code: Annotated[str, Field(max_length=128, description="CamelCase word for programs.")]
    message: Annotated[str, Field(max_length=8192, description="Explanation for people.")]


class Attempt(Model):
    """One attempt at a Task."""

    attempt: Annotated[int, Field(ge=1, description="Number of the attempt, from 1.")]
    agent_name: Annotated[str | None, Field(description="Agent that made it.")] = None
    started_at: Annotated[MicroTime | None, Field(description="When the agent started.")] = None
    completed_at: Annotated[MicroTime | None, Field(description="When it ended.")] = None
    outcome: Annotated[AttemptOutcome | None, Field(description="How it ended; absent while it runs.")] = None
    error: Annotated[TaskError | None, Field(description="Why it did not succeed.")] = None


class Checkpoint(Model):
    """What an action saved in order to go on from there."""

    attempt: Annotated[int, Field(ge=1, description="Attempt that saved it.")]
    saved_at: Annotated[MicroTime, Field(description="When.")]
    data: Annotated[
        Json, Field(description="What it saved, at most 32 KiB as JSON."), preserve_unknown_fields()
    ] = None


class TaskStatus(Model):
    """What became of it. Written by the operator alone."""

    observed_generation: Annotated[int | None, Field(description="metadata.generation last acted on.")] = None
    phase: Annotated[TaskPhase | None, Field(description="Where the Task is in its life.")] = None
    reason: Annotated[str | None, Field(description="Why it is in this phase, as one CamelCase word.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        NullIsEmpty,
        Field(description="Started, Complete, Failed. Complete and Failed appear when the Task finished."),
    ] = ()
    attempt: Annotated[int, Field(ge=0, description="Number of the current or last attempt.")] = 0
    dispatch: Annotated[
        int,
        Field(ge=0, description="How often a message that waited was replaced or withdrawn."),
    ] = 0
    failures: Annotated[int, Field(ge=0, description="Attempts that failed or were lost.")] = 0
    attempts: Annotated[
        tuple[Attempt, ...], NullIsEmpty, Field(description=f"The newest {MAX_ATTEMPTS_KEPT} attempts.")
    ] = ()
    agent_name: Annotated[str | None, Field(description="Agent of the current or last attempt.")] = None
    agent_instance: Annotated[
        str | None, Field(description="Start of that agent's process, by its own id.")
    ] = None
    progress: Annotated[Progress | None, Field(description="How far the running attempt has come.")] = None
    result: Annotated[
        Json | None, Field(description="What the action returned, at most 64 KiB."), preserve_unknown_fields()
    ] = None
    error: Annotated[TaskError | None, Field(description="Why the Task, or its last attempt, failed.")] = None
    checkpoint: Annotated[Checkpoint | None, Field(description="The last one that the action saved.")] = None
    on_interruption: Annotated[
        OnInterruption | None,
        Field(description="What an interruption of the current attempt leads to: Resume, Requeue or Fail."),
    ] = None
    duplicate_of: Annotated[
        ReplayOf | None,
        Field(description="The earlier Task with the same idempotencyKey, which is the one done."),
    ] = None
    next_attempt_time: Annotated[MicroTime | None, Field(description="When the next attempt is due.")] = None
    queued_at: Annotated[MicroTime | None, Field(description="When the broker confirmed the message.")] = None
    resumed_at: Annotated[
        MicroTime | None, Field(description="When it was last taken out of suspension.")
    ] = None
    started_at: Annotated[MicroTime | None, Field(description="When the current attempt started.")] = None
    completed_at: Annotated[MicroTime | None, Field(description="When the Task finished.")] = None


class TaskCondition(StrEnum):
    """Types of a Task's conditions."""

    STARTED = "Started"
    """False says why the Task waits."""
    COMPLETE = "Complete"
    """True: succeeded. For ``kubectl wait --for=condition=Complete``."""
    FAILED = "Failed"
    """True: finished without success; the reason says how."""
