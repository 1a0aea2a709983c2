"""Whether what an agent says it does is still wanted."""

from datetime import datetime, timedelta

from harebell_bus.envelopes import AgentRef
from harebell_crds.task import AttemptOutcome, TaskPhase, TaskStatus

_TOLD = frozenset({AttemptOutcome.SUCCEEDED, AttemptOutcome.FAILED, AttemptOutcome.INTERRUPTED})
"""What an attempt comes to by its agent's own word."""
CONFIRMED_WITHIN = timedelta(seconds=5)
"""An agent lists an attempt until the broker has confirmed its outcome."""


def is_stale(status: TaskStatus | None, attempt: int, agent: AgentRef, at: datetime) -> str | None:
    """Return why an agent should stop an attempt it lists, or None if it should go on.

    An attempt newer than the Task's status is no reason: the status may simply not have been written by the
    operator that published it. What was listed ``at`` a time before the agent itself ended it, or just after
    that, is none either.
    """
    if status is None:
        return "the Task was deleted"
    if has_ended(status, attempt, agent, at - CONFIRMED_WITHIN):
        return None
    if status.phase is not None and status.phase.terminal:
        return "the Task is finished"
    if status.phase == TaskPhase.PENDING and attempt <= status.attempt:
        return "the attempt was given up"
    if attempt < status.attempt:
        return "another attempt has taken its place"
    owner = (status.agent_name, status.agent_instance)
    if attempt == status.attempt and status.agent_name is not None and owner != (agent.id, agent.instance):
        return "another agent has this attempt"
    return None


def has_ended(status: TaskStatus, attempt: int, agent: AgentRef, at: datetime) -> bool:
    """Return whether what the agent said of an attempt ``at`` a time, by its own clock, has been overtaken by
    its word that the attempt ended: the same is told again after a restart of the operator."""
    return any(
        record.attempt == attempt
        and record.agent_name == agent.id
        and record.outcome in _TOLD
        and record.completed_at is not None
        and at <= record.completed_at
        for record in status.attempts
    )
