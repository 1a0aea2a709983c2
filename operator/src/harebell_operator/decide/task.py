"""What to do about a Task: one pure function, :func:`decide`.

Rules it keeps:

* A terminal phase is final.
* A reply counts only if it is of the current attempt and from the agent that attempt belongs to. An agent
  that starts anything else is told to stop.
* Whichever message of an attempt is begun first has it; the others are void.
* What becomes of an attempt that was interrupted is its policy's to say: see :mod:`.interruption`.
* An attempt that fails or is lost counts as a failure; one its agent handed back does not. After
  ``maxRetries`` failures the next one dead-letters the Task.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from harebell_crds.task import (
    AttemptOutcome,
    CancelMode,
    TaskError,
    TaskPhase,
    TaskSpec,
    TaskStatus,
)

from .dependencies import give_up, hold_back, queue_clock, refuse_inputs
from .draft import Draft
from .duplicates import end_duplicate
from .hearing import hear
from .interruption import interrupted
from .lanes import newest_message
from .observation import (
    Sighting,
    StopOrder,
    Supply,
    TaskDecision,
    TaskObservation,
)
from .pending import BROKER_AWAY, in_queue
from .suspension import STOP_RESEND, halt, resume, suspend
from .transitions import attempt_ended, queued, waiting

DEADLINE_GRACE = timedelta(seconds=15)
"""The agent enforces ``activeDeadlineSeconds``; the operator steps in when it did not."""
REASON_REVIEW = timedelta(seconds=15)
"""How often the reason of a waiting Task is looked at again."""
LISTEN = timedelta(seconds=15)
"""What waits to be heard is looked at again so much later, though nobody says that it was."""
REPUBLISH_AFTER = timedelta(seconds=30)
"""A message that waits so long while an agent is idle and its lane is empty is lost: the broker lost its
disk, say, or somebody purged the queue. It is published again; should it turn up all the same, the second
start is fenced."""


def decide(obs: TaskObservation, now: datetime) -> TaskDecision:
    """Return what is to be done about the Task as observed."""
    draft = Draft(obs, now, obs.status)
    for reply in obs.replies:
        hear(draft, reply)
    if draft.phase.terminal:
        return _after_the_end(draft)
    end_duplicate(draft)
    _unsendable(draft)
    _cancel(draft)
    _lost_agent(draft)
    give_up(draft)
    resume(draft)
    _deadlines(draft)
    if draft.phase.terminal:
        return _conclude(draft)
    return _go_on(draft)


# ---- what the clock and the spec say -------------------------------------------------------------------


def _unsendable(draft: Draft) -> None:
    """Refuse what only a cluster without the admission policy lets through."""
    problem = draft.obs.payload_problem
    if problem is not None and draft.phase == TaskPhase.PENDING:
        error = TaskError(code="InvalidPayload", message=problem)
        draft.finish(TaskPhase.FAILED, error.code, error.message, error=error)


def _cancel(draft: Draft) -> None:
    mode = draft.obs.spec.cancel
    if mode is None or draft.phase.terminal:
        return
    if draft.phase != TaskPhase.RUNNING:
        draft.call_off(TaskPhase.CANCELLED, "Cancelled", "cancelled before it ran")
        return
    if mode == CancelMode.IMMEDIATE:
        _order_stop(draft, CancelMode.IMMEDIATE, "the Task was cancelled")
        draft.status = attempt_ended(draft.status, AttemptOutcome.CANCELLED, None, draft.now)
        draft.finish(TaskPhase.CANCELLED, "Cancelled", "cancelled at once while running")
        return
    if draft.lost():
        draft.status = attempt_ended(draft.status, AttemptOutcome.CANCELLED, None, draft.now)
        draft.finish(TaskPhase.CANCELLED, "Cancelled", "cancelled; its agent was gone")
        return
    sent = draft.obs.cancel_sent_at
    if sent is None or draft.now - sent >= STOP_RESEND:
        _order_stop(draft, CancelMode.GRACEFUL, "the Task was cancelled")


def _lost_agent(draft: Draft) -> None:
    if draft.phase != TaskPhase.RUNNING or draft.status.agent_name != draft.obs.status.agent_name:
        return
    if not draft.lost():
        return
    text = f"agent {draft.status.agent_name} is gone"
    if draft.obs.sighting is Sighting.FORGOT:
        text = f"agent {draft.status.agent_name} no longer works on it and sent no outcome"
        _order_stop(draft, CancelMode.IMMEDIATE, "the attempt was given up")
    interrupted(draft, AttemptOutcome.LOST, TaskError(code="AgentLost", message=text), draft.now)


def _deadlines(draft: Draft) -> None:
    spec, status = draft.obs.spec, draft.status
    if draft.phase.terminal:
        return
    if draft.phase == TaskPhase.RUNNING:
        limit = _active_deadline(draft)
        if limit is not None and draft.now >= limit and draft.heard(limit):
            _order_stop(draft, CancelMode.IMMEDIATE, "activeDeadlineSeconds is over")
            error = TaskError(
                code="DeadlineExceeded", message=f"still running after {spec.active_deadline_seconds} s"
            )
            draft.status = attempt_ended(status, AttemptOutcome.FAILED, error, draft.now)
            draft.finish(TaskPhase.FAILED, error.code, error.message, error=error)
        return
    limit = _queue_deadline(draft)
    if limit is None or draft.now < limit:
        return
    # Of one that waits to be published, nobody has anything to say.
    if draft.phase == TaskPhase.PENDING or draft.heard(limit):
        error = TaskError(
            code="QueueDeadlineExceeded",
            message=f"no agent started it within {spec.queue_deadline_seconds} s",
        )
        draft.call_off(TaskPhase.FAILED, error.code, error.message, error)


def _active_deadline(draft: Draft) -> datetime | None:
    seconds, begun = draft.obs.spec.active_deadline_seconds, draft.status.started_at
    return begun + timedelta(seconds=seconds) + DEADLINE_GRACE if seconds and begun else None


def _queue_deadline(draft: Draft) -> datetime | None:
    spec, status = draft.obs.spec, draft.status
    if not spec.queue_deadline_seconds or spec.suspend:
        return None
    ended = status.attempts[-1].completed_at if status.attempts else None
    held = queue_clock(draft)
    if held is None:
        return None
    begun = [m for m in (draft.obs.created_at, ended, status.resumed_at, *held) if m is not None]
    # Not while it waits for its next try: nobody could start it.
    begun += [m for m in (status.next_attempt_time, status.queued_at) if m is not None and status.failures]
    return max(begun) + timedelta(seconds=spec.queue_deadline_seconds)


def _order_stop(draft: Draft, mode: CancelMode, why: str) -> None:
    if draft.status.agent_name:
        draft.stop.append(StopOrder(draft.status.agent_name, draft.status.attempt, mode, why))


# ---- conclusions ---------------------------------------------------------------------------------------


def _go_on(draft: Draft) -> TaskDecision:
    """Publish what is due; say why the Task waits; say when to look again."""
    obs, now = draft.obs, draft.now
    if suspend(draft):
        return _conclude(draft)
    publish = False
    if draft.phase == TaskPhase.PENDING:
        due = draft.status.next_attempt_time
        if due is not None and now < due:
            return _conclude(draft, wake_at=_earliest(due, _queue_deadline(draft)))
        if hold_back(draft):
            return _conclude(draft, wake_at=_queue_deadline(draft))
        if obs.broker_error is not None:
            draft.status = waiting(draft.status, TaskPhase.PENDING, *BROKER_AWAY, now, obs.generation)
            return _conclude(draft, wake_at=_earliest(now + STOP_RESEND, _queue_deadline(draft)))
        refuse_inputs(draft)
        if draft.phase.terminal:
            return _conclude(draft)
        draft.status = queued(draft.status, now)
        publish = True
    if draft.phase == TaskPhase.QUEUED:
        if not publish and obs.queued_as != obs.spec.priority:
            publish = _move(draft)
        if not publish and is_lost(obs, now):
            publish = _again(draft)
        if publish and hold_back(draft):
            return _conclude(draft, wake_at=_queue_deadline(draft))
        cause = in_queue(obs.spec.agent_type, obs.supply, obs.broker_error)
        draft.status = waiting(draft.status, TaskPhase.QUEUED, *cause, now, obs.generation)
        wake = _earliest(now + REASON_REVIEW, _queue_deadline(draft))
    else:
        told_to_stop = halt(draft) or obs.spec.cancel is not None
        resend = now + STOP_RESEND if told_to_stop else None
        # No event tells when the time to hear of an agent is over, so look again.
        unheard = now + REASON_REVIEW if obs.sighting == Sighting.UNKNOWN else None
        wake = _earliest(resend, unheard, _active_deadline(draft))
    return replace(_conclude(draft, wake_at=wake), publish=publish)


def _move(draft: Draft) -> bool:
    """Have a message in the lane of the new priority take the place of the one that waits."""
    if draft.obs.broker_error is not None:
        draft.unsettled = True
        return False
    draft.status = draft.status.model_copy(update={"dispatch": draft.status.dispatch + 1})
    return True


def _again(draft: Draft) -> bool:
    """Publish a lost message again, from the second time on under a new number.

    An operator that ended before it wrote so may have told the agents to drop the number that it has; they
    would drop each one that follows.
    """
    published, queued_at = draft.obs.published_at, draft.status.queued_at
    if published is not None and queued_at is not None and published > queued_at:
        draft.status = draft.status.model_copy(update={"dispatch": draft.status.dispatch + 1})
    return True


def may_be_lost(status: TaskStatus, supply: Supply, published_at: datetime | None, now: datetime) -> bool:
    """Return whether it is worth asking the broker how many messages wait."""
    return (
        status.phase == TaskPhase.QUEUED
        and supply.idle > 0
        and published_at is not None
        and now - published_at >= REPUBLISH_AFTER
    )


def is_lost(obs: TaskObservation, now: datetime) -> bool:
    """Return whether the message of a Queued Task is gone, see :data:`REPUBLISH_AFTER`."""
    if obs.broker_error is not None:
        return False
    waited = may_be_lost(obs.status, obs.supply, obs.published_at, now)
    return obs.message_lost or (waited and obs.messages_waiting == 0)


def _after_the_end(draft: Draft) -> TaskDecision:
    """Nothing but the TTL, and the last words of replies, concern a finished Task."""
    expires = expires_at(draft.obs.spec, draft.status)
    if draft.status != draft.obs.status or expires is None:
        return _conclude(draft)
    if draft.now < expires:
        return _conclude(draft, wake_at=expires)
    # Whoever needs its result ends one day, and then it is looked at again.
    return replace(_conclude(draft), wake_at=None, delete=not draft.obs.needed)


def expires_at(spec: TaskSpec, status: TaskStatus) -> datetime | None:
    """Return when a finished Task is to be deleted, or None."""
    ended = status.completed_at
    return ended + timedelta(seconds=spec.ttl_seconds_after_finished) if ended else None


def _conclude(draft: Draft, wake_at: datetime | None = None) -> TaskDecision:
    status = draft.status
    number, known = newest_message(status), newest_message(draft.obs.status)
    if not draft.unsettled:
        status = _observed(status, draft.obs.generation)
    if wake_at is None and status.phase and status.phase.terminal:
        wake_at = expires_at(draft.obs.spec, status)
    return TaskDecision(
        status=status,
        dead_letter=draft.dead_letter,
        stop=tuple(draft.stop),
        events=tuple(draft.events),
        supersede=number if number != known else None,
        stale_replies=draft.stale,
        wake_at=_put_off(wake_at, draft.now) if draft.hear_out else wake_at,
        hear_out=draft.hear_out,
    )


def _put_off(wake_at: datetime | None, now: datetime) -> datetime:
    """Return when to look again at what is put off: not at once, though its time has come."""
    return wake_at if wake_at is not None and wake_at > now else now + LISTEN


def _observed(status: TaskStatus, generation: int) -> TaskStatus:
    """Return a status that is of this generation of the spec, with its conditions.

    Also where nothing else comes of a change, as after the end: ``kubectl wait`` takes no condition for true
    that is of an earlier generation than the object.
    """
    if status.observed_generation == generation:
        return status
    conditions = tuple(c.model_copy(update={"observed_generation": generation}) for c in status.conditions)
    return status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((m for m in moments if m is not None), default=None)
