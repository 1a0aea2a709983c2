"""What a reply changes about a Task. Replies that are not of the current attempt change nothing.

Agents say when something happened by their own clocks. What is taken from them lies between what the operator
knows to have happened before and now, so a clock that is wrong spoils no deadline by more than the wait.
"""

from datetime import datetime
from typing import assert_never

from harebell_bus.envelopes import (
    Cancelled,
    Checkpointed,
    Failed,
    Interrupted,
    Progressed,
    Reply,
    Started,
    Succeeded,
)
from harebell_crds.task import (
    MAX_CHECKPOINT_BYTES,
    MAX_RESULT_BYTES,
    AttemptOutcome,
    CancelMode,
    Progress,
    TaskError,
    TaskPhase,
)

from .draft import MAX_MESSAGE, Draft, attempt_failed
from .fencing import has_ended
from .interruption import begun, checkpointed, handed_back, interrupted
from .measure import json_bytes
from .observation import Report, StopOrder, Undelivered
from .transitions import attempt_ended, never_started, queued, started


def hear(draft: Draft, reply: Report) -> None:
    """Take in what was heard of an attempt."""
    if isinstance(reply, Undelivered):
        _undelivered(draft, reply)
        return
    if not _is_current(draft, reply):
        draft.stale += 1
        if isinstance(reply, Started) and not has_ended(draft.status, reply.attempt, reply.agent, reply.at):
            why = "the Task is finished" if draft.phase.terminal else "another attempt has taken its place"
            order = StopOrder(reply.agent.id, reply.attempt, CancelMode.IMMEDIATE, why, fences=True)
            draft.stop.append(order)
        return
    if draft.status.attempt < reply.attempt:
        # Published by an operator that was gone before it could write so.
        draft.status = queued(draft.status, draft.now)
    reply = reply.model_copy(update={"at": _plausible(draft, reply.at)})
    if draft.status.agent_name is None:
        draft.status = started(draft.status, reply.agent, reply.at, draft.now, draft.obs.generation)
    # The SDK keeps to these sizes too; an agent may be written without it.
    match reply:
        case Started():
            draft.status = begun(draft.status, draft.obs.spec.on_interruption, reply)
        case Progressed():
            progress = Progress(percent=reply.percent, message=(reply.message or "")[:1024] or None)
            draft.status = draft.status.model_copy(update={"progress": progress})
        case Checkpointed():
            if json_bytes(reply.data) <= MAX_CHECKPOINT_BYTES:
                draft.status = checkpointed(draft.status, reply)
        case Succeeded() if (size := json_bytes(reply.result)) > MAX_RESULT_BYTES:
            text = f"the result is {size} bytes as JSON; {MAX_RESULT_BYTES} are allowed"
            error = TaskError(code="ResultTooLarge", message=text)
            attempt_failed(draft, AttemptOutcome.FAILED, error, reply.at, retryable=False)
        case Succeeded():
            draft.status = attempt_ended(draft.status, AttemptOutcome.SUCCEEDED, None, reply.at)
            done = draft.status.progress and draft.status.progress.model_copy(update={"percent": 100})
            draft.status = draft.status.model_copy(
                update={"result": reply.result, "progress": done, "checkpoint": None}
            )
            message = f"attempt {reply.attempt} succeeded on agent {reply.agent.id}"
            draft.finish(TaskPhase.SUCCEEDED, "Succeeded", message, reply.at)
        case Failed():
            error = TaskError(code=reply.code[:128], message=reply.message[:MAX_MESSAGE])
            attempt_failed(draft, AttemptOutcome.FAILED, error, reply.at, retryable=reply.retryable)
        case Cancelled():
            _stopped(draft, reply)
        case Interrupted():
            handed_back(draft, reply)
        case _:
            assert_never(reply)


def _plausible(draft: Draft, at: datetime) -> datetime:
    """Return a time that an agent names, no earlier than what came before and no later than now."""
    status = draft.status
    before = status.started_at if status.agent_name else status.queued_at
    return min(max(at, before or draft.obs.created_at), draft.now)


def _is_current(draft: Draft, reply: Reply) -> bool:
    status = draft.status
    if draft.phase.terminal:
        return False
    if draft.phase == TaskPhase.PENDING:
        due = status.next_attempt_time
        return reply.attempt == status.attempt + 1 and (due is None or draft.now >= due)
    owner = (status.agent_name, status.agent_instance)
    return reply.attempt == status.attempt and owner in ((None, None), (reply.agent.id, reply.agent.instance))


def _undelivered(draft: Draft, report: Undelivered) -> None:
    """End a Task whose message the broker gave up. It had more tries than any Task has retries."""
    due = draft.status.attempt + (1 if draft.phase == TaskPhase.PENDING else 0)
    superseded = report.dispatch < draft.status.dispatch
    if draft.phase == TaskPhase.RUNNING or draft.phase.terminal or report.attempt != due or superseded:
        draft.stale += 1
        return
    if draft.phase == TaskPhase.PENDING:
        # Published by an operator that was gone before it could write so.
        draft.status = queued(draft.status, draft.now)
    error = TaskError(
        code="DeliveryLimit",
        message=f"attempt {due} was given up: each agent that took it was gone before it had started it",
    )
    draft.status = never_started(draft.status, error, draft.now)
    draft.dead_letter = True
    draft.finish(TaskPhase.DEAD_LETTERED, error.code, error.message, error=error)


def _stopped(draft: Draft, reply: Cancelled) -> None:
    """Take the agent's word that it stopped: cancelled if that was asked for, otherwise a lost attempt."""
    if draft.obs.spec.cancel is None:
        error = TaskError(code="Stopped", message="the agent stopped the attempt though nobody asked for it")
        interrupted(draft, AttemptOutcome.LOST, error, reply.at)
        return
    draft.status = attempt_ended(draft.status, AttemptOutcome.CANCELLED, None, reply.at)
    draft.finish(TaskPhase.CANCELLED, "Cancelled", f"cancelled while running on {reply.agent.id}", reply.at)
