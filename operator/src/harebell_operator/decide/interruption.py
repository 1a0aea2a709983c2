"""What follows when an attempt is interrupted: its agent is lost, or hands it back, with the action begun.

The rule is ``spec.onInterruption``, which Auto leaves to what the action declares. It is resolved when the
action begins, because another agent of the type may declare something else. Until then nothing was begun,
and the Task is simply tried again: so with a message that killed its reader. An agent of a version that
declares nothing counts as before there were declarations, as idempotent.
"""

from datetime import datetime
from typing import assert_never

from harebell_bus.envelopes import Checkpointed, Interrupted, InterruptionCause, Started
from harebell_crds.task import AttemptOutcome, Checkpoint, OnInterruption, TaskError, TaskPhase, TaskStatus

from .draft import MAX_MESSAGE, Draft, attempt_failed
from .transitions import attempt_ended

INTERRUPTED = "Interrupted"
ADVICE = "What it had begun is not done again. See what it did, then replay the Task if that is right."


def resolve(wanted: OnInterruption, started: Started) -> OnInterruption:
    """Return what an interruption of the attempt leads to: Resume, Requeue or Fail."""
    if wanted != OnInterruption.AUTO:
        return wanted
    if started.resumable:
        return OnInterruption.RESUME
    return OnInterruption.REQUEUE if started.idempotent else OnInterruption.FAIL


def begun(status: TaskStatus, wanted: OnInterruption, started: Started) -> TaskStatus:
    """Take in what the action declares, once it begins."""
    if not started.begun or status.on_interruption is not None:
        return status
    return status.model_copy(update={"on_interruption": resolve(wanted, started)})


def checkpointed(status: TaskStatus, reply: Checkpointed) -> TaskStatus:
    """Keep what the attempt saved, unless it is older than what is kept."""
    kept = status.checkpoint
    if kept is not None and kept.attempt == reply.attempt and reply.at < kept.saved_at:
        return status
    saved = Checkpoint(attempt=reply.attempt, saved_at=reply.at, data=reply.data)
    return status.model_copy(update={"checkpoint": saved})


def interrupted(
    draft: Draft, outcome: AttemptOutcome, error: TaskError, at: datetime, *, counts: bool = True
) -> None:
    """End an attempt whose action may have been under way, as its policy says.

    A Task that is to be cancelled has no next attempt, whatever the policy.
    """
    if draft.status.on_interruption != OnInterruption.FAIL or draft.obs.spec.cancel is not None:
        attempt_failed(draft, outcome, error, at, counts=counts)
        return
    failures = draft.status.failures + (1 if counts else 0)
    draft.status = attempt_ended(draft.status, outcome, error, at).model_copy(update={"failures": failures})
    message = f"attempt {draft.status.attempt}: {error.message}"[: MAX_MESSAGE - len(ADVICE) - 2]
    final = TaskError(code=INTERRUPTED, message=f"{message}. {ADVICE}")
    draft.finish(TaskPhase.FAILED, INTERRUPTED, final.message, at, final)


def handed_back(draft: Draft, reply: Interrupted) -> None:
    """Take an attempt back from its agent. It does not count as a failure."""
    before = draft.status.error
    match reply.cause:
        case InterruptionCause.SHUTDOWN:
            error = TaskError(code="AgentShutdown", message=reply.message or "the agent was shut down")
        case InterruptionCause.SUSPENDED:
            error = TaskError(code="Suspended", message=reply.message or "the Task was suspended")
        case InterruptionCause.REDELIVERED:
            error = TaskError(code="Redelivered", message=reply.message or "the message came back")
        case _:
            assert_never(reply.cause)
    if reply.begun:
        interrupted(draft, AttemptOutcome.INTERRUPTED, error, reply.at, counts=False)
    else:
        attempt_failed(draft, AttemptOutcome.INTERRUPTED, error, reply.at, counts=False)
    if reply.cause == InterruptionCause.SUSPENDED and not draft.phase.terminal:
        # Done as asked; nothing failed.
        draft.status = draft.status.model_copy(update={"error": before})
