"""Keeps a suspended Task out of the queue, and puts one back that was resumed.

As with a suspended Job of Kubernetes, the clock of ``queueDeadlineSeconds`` stands still meanwhile and begins
anew. As there, what already runs is stopped, but only where it can go on later: an attempt whose policy on
interruption is Resume is told to hand the Task back. Any other goes on.
"""

from datetime import timedelta

from harebell_crds.task import CancelMode, OnInterruption, TaskPhase

from .draft import Draft
from .observation import EventNote, EventType, StopOrder
from .transitions import running, waiting, withdrawn

SUSPENDED = "Suspended"
SUSPENDING = "Suspending"
NOT_RESUMABLE = "NotResumable"
STOP_RESEND = timedelta(seconds=5)
"""A stop order is repeated until it is answered: the agent may have been away."""


def resume(draft: Draft) -> None:
    """Take in that the Task is suspended no longer; a time to wait for the next attempt still counts."""
    if draft.phase != TaskPhase.PENDING or draft.obs.spec.suspend or draft.status.reason != SUSPENDED:
        return
    text = "resumed; it is published as soon as it is due"
    draft.status = waiting(
        draft.status, TaskPhase.PENDING, "Resumed", text, draft.now, draft.obs.generation
    ).model_copy(update={"resumed_at": draft.now})


def suspend(draft: Draft) -> bool:
    """Withdraw the message of a suspended Task; return whether the Task is to wait.

    Not while the broker is away: agents that still reach it could not be told.
    """
    if not draft.obs.spec.suspend or draft.phase not in (TaskPhase.PENDING, TaskPhase.QUEUED):
        return False
    if draft.phase == TaskPhase.QUEUED:
        if draft.obs.broker_error is not None:
            draft.unsettled = True
            return False
        draft.status = withdrawn(draft.status)
    draft.status = waiting(
        draft.status, TaskPhase.PENDING, SUSPENDED, "spec.suspend is set", draft.now, draft.obs.generation
    )
    return True


def halt(draft: Draft) -> bool:
    """Have a suspended Task that runs handed back if it can be resumed; say so if it cannot.

    Returns whether an answer is waited for.
    """
    status, obs = draft.status, draft.obs
    if not obs.spec.suspend or obs.spec.cancel is not None or status.agent_name is None:
        _say(draft, None, "")
        return False
    if status.on_interruption != OnInterruption.RESUME:
        _say(draft, NOT_RESUMABLE, "; it cannot be resumed, so it goes on although spec.suspend is set")
        return False
    _say(draft, SUSPENDING, "; it is told to hand the Task back, because spec.suspend is set")
    if obs.cancel_sent_at is None or draft.now - obs.cancel_sent_at >= STOP_RESEND:
        why = "the Task was suspended"
        order = StopOrder(status.agent_name, status.attempt, CancelMode.GRACEFUL, why, hand_back=True)
        draft.stop.append(order)
    return True


def _say(draft: Draft, reason: str | None, remark: str) -> None:
    """Say in the status what becomes of a Task that runs, and in an Event that it is not suspended."""
    if draft.status.reason == reason:
        return
    draft.status = running(draft.status, reason, remark, draft.now, draft.obs.generation)
    if reason == NOT_RESUMABLE:
        message = f"attempt {draft.status.attempt}{remark}"
        draft.events.append(EventNote(EventType.NORMAL, reason, message))
