"""The changes a Task's status can go through, each a pure function from status to status."""

from datetime import datetime

from harebell_bus.envelopes import AgentRef
from harebell_crds.conditions import ConditionStatus, set_condition
from harebell_crds.task import (
    MAX_ATTEMPTS_KEPT,
    TRANSITIONS,
    Attempt,
    AttemptOutcome,
    TaskCondition,
    TaskError,
    TaskPhase,
    TaskStatus,
)


class IllegalTransitionError(AssertionError):
    """A decision tried a change of phase that the state machine does not allow: a bug."""


def move(status: TaskStatus, phase: TaskPhase, reason: str | None) -> TaskStatus:
    """Change the phase. :raises IllegalTransitionError: the state machine does not allow it."""
    current = status.phase or TaskPhase.PENDING
    if phase != current and phase not in TRANSITIONS[current]:
        raise IllegalTransitionError(f"{current} -> {phase}")
    return status.model_copy(update={"phase": phase, "reason": reason})


def waiting(
    status: TaskStatus, phase: TaskPhase, reason: str, message: str, now: datetime, generation: int
) -> TaskStatus:
    """Return a status that says why the Task waits."""
    return move(status, phase, reason).model_copy(
        update={
            "conditions": set_condition(
                status.conditions,
                TaskCondition.STARTED,
                ConditionStatus.FALSE,
                reason,
                message,
                now=now,
                generation=generation,
            )
        }
    )


def queued(status: TaskStatus, now: datetime) -> TaskStatus:
    """Begin the next attempt: its message goes to the broker."""
    return move(status, TaskPhase.QUEUED, None).model_copy(
        update={
            "attempt": status.attempt + 1,
            "queued_at": now,
            "agent_name": None,
            "agent_instance": None,
            "started_at": None,
            "next_attempt_time": None,
            "progress": None,
            "on_interruption": None,
        }
    )


def withdrawn(status: TaskStatus) -> TaskStatus:
    """Take back a message that no agent is known to have begun: the attempt is still to come.

    What is published next has a later number, so the message that may still wait can be told from it.
    """
    return move(status, TaskPhase.PENDING, None).model_copy(
        update={"attempt": status.attempt - 1, "dispatch": status.dispatch + 1, "queued_at": None}
    )


def started(status: TaskStatus, agent: AgentRef, at: datetime, now: datetime, generation: int) -> TaskStatus:
    """An agent began the current attempt."""
    attempt = Attempt(attempt=status.attempt, agent_name=agent.id, started_at=at)
    begun = move(status, TaskPhase.RUNNING, None).model_copy(
        update={
            "agent_name": agent.id,
            "agent_instance": agent.instance,
            "started_at": at,
            "attempts": (*status.attempts, attempt)[-MAX_ATTEMPTS_KEPT:],
        }
    )
    return running(begun, None, "", now, generation)


def running(
    status: TaskStatus, reason: str | None, remark: str, now: datetime, generation: int
) -> TaskStatus:
    """Return a status that says that the Task runs, and what more there is to say of that."""
    return move(status, TaskPhase.RUNNING, reason).model_copy(
        update={
            "conditions": set_condition(
                status.conditions,
                TaskCondition.STARTED,
                ConditionStatus.TRUE,
                reason or "Started",
                f"attempt {status.attempt} runs on agent {status.agent_name}{remark}",
                now=now,
                generation=generation,
            ),
        }
    )


def never_started(status: TaskStatus, error: TaskError, at: datetime) -> TaskStatus:
    """Record the current attempt as one that ended without any agent having started it."""
    attempt = Attempt(attempt=status.attempt, completed_at=at, outcome=AttemptOutcome.LOST, error=error)
    return status.model_copy(
        update={
            "attempts": (*status.attempts, attempt)[-MAX_ATTEMPTS_KEPT:],
            "failures": status.failures + 1,
            "error": error,
        }
    )


def attempt_ended(
    status: TaskStatus, outcome: AttemptOutcome, error: TaskError | None, at: datetime
) -> TaskStatus:
    """Close the record of the current attempt, if it had begun."""
    if not status.attempts or status.attempts[-1].attempt != status.attempt:
        return status
    closed = status.attempts[-1].model_copy(update={"outcome": outcome, "error": error, "completed_at": at})
    return status.model_copy(update={"attempts": (*status.attempts[:-1], closed)})


def finished(
    status: TaskStatus,
    phase: TaskPhase,
    reason: str,
    message: str,
    at: datetime,
    now: datetime,
    generation: int,
    error: TaskError | None = None,
) -> TaskStatus:
    """Return a terminal status, with the condition people wait for."""
    complete = phase == TaskPhase.SUCCEEDED
    done = set_condition(
        status.conditions,
        TaskCondition.COMPLETE if complete else TaskCondition.FAILED,
        ConditionStatus.TRUE,
        reason,
        message,
        now=now,
        generation=generation,
    )
    if complete:
        error = None
    elif error is None:
        error = status.error
    return move(status, phase, reason).model_copy(
        update={"conditions": done, "completed_at": at, "next_attempt_time": None, "error": error}
    )
