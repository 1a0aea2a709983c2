"""Keeps a suspended Task out of the queue, and puts one back that was resumed.

As with a suspended Job of Kubernetes, the clock of ``queueDeadlineSeconds`` stands still meanwhile and begins
anew. Unlike there, what already runs goes on.
"""

from harebell_crds.task import TaskPhase

from .draft import Draft
from .transitions import waiting, withdrawn

SUSPENDED = "Suspended"


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
