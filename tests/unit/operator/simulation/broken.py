"""Decisions with one fault each. An interleaving that breaks a rule must be found for every one of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from harebell_bus.envelopes import AgentRef, Started
from harebell_crds.task import CancelMode, TaskPhase, TaskStatus
from harebell_operator.decide.observation import Sighting, TaskDecision, TaskObservation, Undelivered

from .world import Decide

Fault = Callable[[Decide, TaskObservation, datetime], TaskDecision]


def broken(fault: Fault, decide: Decide) -> Decide:
    """Return the decision with the fault."""
    return lambda obs, now: fault(decide, obs, now)


def a_terminal_phase_is_not_final(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    if obs.replies and obs.status.phase and obs.status.phase.terminal:
        obs = _with(obs, phase=TaskPhase.RUNNING)
    return decide(obs, now)


def a_stale_attempt_is_accepted(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    current = max(obs.status.attempt, 1)
    replies = tuple(
        r if isinstance(r, Undelivered) else r.model_copy(update={"attempt": current}) for r in obs.replies
    )
    return decide(replace(obs, replies=replies), now)


def another_agents_word_is_accepted(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    status = obs.status
    if status.agent_name and status.agent_instance:
        owner = AgentRef(id=status.agent_name, instance=status.agent_instance)
        replies = tuple(
            r if isinstance(r, Undelivered | Started) else r.model_copy(update={"agent": owner})
            for r in obs.replies
        )
        obs = replace(obs, replies=replies)
    return decide(obs, now)


def a_lost_agent_is_not_noticed(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(replace(obs, sighting=Sighting.WORKING), now)


def failures_are_not_counted(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(_with(obs, failures=0), now)


def one_retry_too_many(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    policy = obs.spec.retry_policy
    return decide(
        _asking(obs, retry_policy=policy.model_copy(update={"max_retries": policy.max_retries + 1})), now
    )


def what_was_handed_back_counts(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    decision = decide(obs, now)
    done = decision.status.attempts[-1:]
    if decision.status.phase == TaskPhase.PENDING and done and done[0].outcome == "Interrupted":
        return _saying(decision, failures=decision.status.failures + 1)
    return decision


def retries_do_not_wait(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    decision = decide(obs, now)
    due = decision.status.next_attempt_time
    return _saying(decision, next_attempt_time=now) if due else decision


def a_backoff_has_no_bound(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    backoff = obs.spec.retry_policy.backoff.model_copy(update={"max_seconds": 86400, "factor": 10})
    policy = obs.spec.retry_policy.model_copy(update={"backoff": backoff})
    return decide(_asking(obs, retry_policy=policy), now)


def cancel_is_ignored_while_it_waits(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    waits = obs.status.phase in (None, TaskPhase.PENDING, TaskPhase.QUEUED)
    return decide(_asking(obs, cancel=None) if waits else obs, now)


def immediate_is_taken_for_graceful(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(_asking(obs, cancel=CancelMode.GRACEFUL) if obs.spec.cancel else obs, now)


def a_stop_order_is_never_repeated(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    sent = obs.cancel_sent_at
    return decide(replace(obs, cancel_sent_at=now) if sent else obs, now)


def nobody_is_told_to_stop(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return replace(decide(obs, now), stop=())


def agents_are_not_told_what_is_void(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return replace(decide(obs, now), supersede=None)


def the_message_of_one_called_off_stays_good(
    decide: Decide, obs: TaskObservation, now: datetime
) -> TaskDecision:
    decision = decide(obs, now)
    if obs.status.phase == TaskPhase.QUEUED and decision.status.phase == TaskPhase.CANCELLED:
        return replace(_saying(decision, dispatch=obs.status.dispatch), supersede=None)
    return decision


def a_number_is_used_again(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    decision = decide(obs, now)
    if decision.publish and obs.status.attempt and decision.status.attempt > obs.status.attempt:
        return _saying(decision, attempt=obs.status.attempt)
    return decision


def suspension_is_ignored(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(_asking(obs, suspend=False), now)


def a_new_priority_is_ignored(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(replace(obs, queued_as=obs.spec.priority), now)


def a_change_after_the_end_is_not_observed(
    decide: Decide, obs: TaskObservation, now: datetime
) -> TaskDecision:
    decision = decide(obs, now)
    ended = obs.status.phase is not None and obs.status.phase.terminal
    return replace(decision, status=obs.status) if ended else decision


def a_change_is_observed_with_the_next_one_of_the_status(
    decide: Decide, obs: TaskObservation, now: datetime
) -> TaskDecision:
    decision = decide(obs, now)
    before = _generations(obs.status, None)
    unchanged = _generations(decision.status, None) == before
    return replace(decision, status=obs.status) if unchanged else decision


def deadlines_are_ignored(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(_asking(obs, active_deadline_seconds=None, queue_deadline_seconds=None), now)


def a_lost_message_is_not_noticed(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(replace(obs, message_lost=False, messages_waiting=None), now)


def a_lost_message_keeps_its_number(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(replace(obs, published_at=obs.status.queued_at), now)


def what_is_on_its_way_is_passed_over(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(replace(obs, heard_until=now), now)


def the_dead_are_not_buried(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return replace(decide(obs, now), dead_letter=False)


def nobody_looks_again(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return replace(decide(obs, now), wake_at=None)


def it_is_deleted_too_early(decide: Decide, obs: TaskObservation, now: datetime) -> TaskDecision:
    return decide(_asking(obs, ttl_seconds_after_finished=0), now)


FAULTS: tuple[Fault, ...] = (
    a_terminal_phase_is_not_final,
    a_stale_attempt_is_accepted,
    another_agents_word_is_accepted,
    a_lost_agent_is_not_noticed,
    failures_are_not_counted,
    one_retry_too_many,
    what_was_handed_back_counts,
    retries_do_not_wait,
    a_backoff_has_no_bound,
    cancel_is_ignored_while_it_waits,
    immediate_is_taken_for_graceful,
    a_stop_order_is_never_repeated,
    nobody_is_told_to_stop,
    agents_are_not_told_what_is_void,
    the_message_of_one_called_off_stays_good,
    a_number_is_used_again,
    suspension_is_ignored,
    a_new_priority_is_ignored,
    a_change_after_the_end_is_not_observed,
    a_change_is_observed_with_the_next_one_of_the_status,
    deadlines_are_ignored,
    a_lost_message_is_not_noticed,
    a_lost_message_keeps_its_number,
    what_is_on_its_way_is_passed_over,
    the_dead_are_not_buried,
    nobody_looks_again,
    it_is_deleted_too_early,
)


def _with(obs: TaskObservation, **status: Any) -> TaskObservation:
    changed: TaskStatus = obs.status.model_copy(update=status)
    return replace(obs, status=changed)


def _generations(status: TaskStatus, generation: int | None) -> TaskStatus:
    conditions = tuple(c.model_copy(update={"observed_generation": generation}) for c in status.conditions)
    return status.model_copy(update={"observed_generation": generation, "conditions": conditions})


def _asking(obs: TaskObservation, **spec: Any) -> TaskObservation:
    return replace(obs, spec=obs.spec.model_copy(update=spec))


def _saying(decision: TaskDecision, **status: Any) -> TaskDecision:
    return replace(decision, status=decision.status.model_copy(update=status))
