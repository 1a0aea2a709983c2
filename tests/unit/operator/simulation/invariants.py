"""What holds of every decision about a Task and of every status written, whatever happened before."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from harebell_bus.envelopes import Failed, Reply, Started, Succeeded
from harebell_crds.task import (
    TRANSITIONS,
    AttemptOutcome,
    CancelMode,
    TaskPhase,
    TaskSpec,
    TaskStatus,
)
from harebell_operator.decide.lanes import MessageNumber, newest_message
from harebell_operator.decide.observation import Sighting, TaskDecision, TaskObservation
from harebell_operator.decide.suspension import STOP_RESEND
from harebell_operator.decide.task import DEADLINE_GRACE

WAITING = (TaskPhase.PENDING, TaskPhase.QUEUED)
ENDS = ("Succeeded", "Failed", "Cancelled", "Interrupted")


def _closure() -> dict[TaskPhase, frozenset[TaskPhase]]:
    """Return what can be reached from each phase; a decision may take several steps at once."""
    reached = {phase: {phase} for phase in TaskPhase}
    for _ in TaskPhase:
        for phase in TaskPhase:
            for between in tuple(reached[phase]):
                reached[phase] |= TRANSITIONS[between]
    return {phase: frozenset(found) for phase, found in reached.items()}


REACHABLE = _closure()


class Rules:
    """Every method raises AssertionError where something does not hold."""

    def __init__(self) -> None:
        self._final: TaskStatus | None = None

    def begun(self, written: TaskStatus) -> None:
        """An operator starts from what was written, and takes that for final which is."""
        assert self._final is None or _content(written) == self._final, "a final status was lost"

    def wrote(self, before: TaskStatus, after: TaskStatus) -> None:
        """Compare what is written with what was there."""
        if _phase(before).terminal:
            assert _content(after) == _content(before), f"changed after the end: {_phase(after)}"
            assert after.observed_generation != before.observed_generation, "written for nothing"
        history_goes_on(before, after)
        if _phase(after).terminal:
            self._final = _content(TaskStatus.model_validate(after.to_wire()))

    def decided(
        self, obs: TaskObservation, decision: TaskDecision, now: datetime, own: Sequence[MessageNumber]
    ) -> None:
        """Judge a decision. ``own``: messages that wait, of the operator that decides."""
        before, after = obs.status, decision.status
        if _phase(before).terminal:
            assert _content(after) == _content(before), "a finished Task changed"
            assert not decision.publish, "a finished Task was published"
            assert not decision.dead_letter, "a finished Task was dead-lettered"
        assert _phase(after) in REACHABLE[_phase(before)], f"{_phase(before)} -> {_phase(after)}"
        history_goes_on(before, after)
        attempts_count_up(obs, decision)
        one_owner_per_attempt(before, after)
        outcome_is_the_owners(obs, after)
        failures_are_counted(obs.spec, after)
        retries_wait(obs, after, now)
        published_when_wanted(obs, decision, now)
        void_messages_are_named(obs, decision, own)
        the_spec_is_heeded(obs, after, now)
        those_to_stop_are_told(obs, decision, now)
        died_means_buried(before, decision)
        the_generation_is_observed(obs, after)
        if decision.delete:
            ended = after.completed_at
            kept = timedelta(seconds=obs.spec.ttl_seconds_after_finished)
            assert ended is not None, "deleted though it has not finished"
            assert now >= ended + kept, "deleted before its time"

    def heard_out(self, obs: TaskObservation, decision: TaskDecision, waiting: Sequence[Reply]) -> None:
        """Judge a decision by what waits to be heard, and came when it was said."""
        before, after = obs.status, decision.status
        code = after.error.code if after.error and after.error != before.error else None
        mine = [r for r in waiting if r.attempt == before.attempt]
        ends = [r for r in mine if r.kind in ENDS and r.agent.instance == before.agent_instance]
        if code == "AgentLost" and obs.unseen_since is not None and _phase(before) == TaskPhase.RUNNING:
            assert not [r for r in ends if r.at < obs.unseen_since], "called lost, and its outcome waits"
        if code == "DeadlineExceeded" and before.started_at is not None:
            limit = before.started_at + timedelta(seconds=obs.spec.active_deadline_seconds or 0)
            assert not [r for r in ends if r.at < limit + DEADLINE_GRACE], "ended, and its outcome waits"
        unheard = all(r.attempt != before.attempt for r in obs.replies)
        if code == "QueueDeadlineExceeded" and _phase(before) == TaskPhase.QUEUED and unheard:
            begun = [r for r in mine if isinstance(r, Started) and r.at < queue_limit(obs, before)]
            assert not begun, "said not to have been started, and its start waits"


def _phase(status: TaskStatus) -> TaskPhase:
    return status.phase or TaskPhase.PENDING


def _content(status: TaskStatus) -> TaskStatus:
    """Return what a status says, whatever generation it says that of."""
    conditions = tuple(c.model_copy(update={"observed_generation": None}) for c in status.conditions)
    return status.model_copy(update={"observed_generation": None, "conditions": conditions})


def history_goes_on(before: TaskStatus, after: TaskStatus) -> None:
    """Attempts are added and closed; what was said of one is not changed."""
    old = {a.attempt: a for a in before.attempts}
    numbers = [a.attempt for a in after.attempts]
    assert numbers == sorted(set(numbers)), "attempts are out of order"
    for attempt in after.attempts:
        was = old.get(attempt.attempt)
        if was is None:
            assert not old or attempt.attempt > max(old), "an attempt was added to the past"
        elif was.outcome is not None:
            assert attempt == was, "the record of an attempt that has ended changed"
        else:
            assert (attempt.agent_name, attempt.started_at) == (was.agent_name, was.started_at)
    still_open = [a.attempt for a in after.attempts if a.outcome is None]
    running = [after.attempt] if _phase(after) == TaskPhase.RUNNING else []
    assert still_open == running, f"attempts {still_open} are open in phase {_phase(after)}"
    succeeded = [a.attempt for a in after.attempts if a.outcome == AttemptOutcome.SUCCEEDED]
    assert succeeded == ([after.attempt] if _phase(after) == TaskPhase.SUCCEEDED else [])


def attempts_count_up(obs: TaskObservation, decision: TaskDecision) -> None:
    """Numbers go up by one for each attempt; only one that is withdrawn before it began is used again."""
    before, after = obs.status, decision.status
    if after.attempt >= before.attempt:
        assert after.dispatch >= before.dispatch, "a dispatch number was used again"
        if decision.publish and after.attempt == before.attempt:
            assert _phase(before) == TaskPhase.QUEUED, "the number of an attempt that has ended is used again"
        return
    assert obs.spec.suspend, "an attempt was taken back"
    assert _phase(before) == TaskPhase.QUEUED, "an attempt that did not wait was taken back"
    assert after.attempt == before.attempt - 1
    assert after.dispatch > before.dispatch, "what was withdrawn cannot be told from what comes after"


def one_owner_per_attempt(before: TaskStatus, after: TaskStatus) -> None:
    """Whoever has an attempt keeps it."""
    if after.attempt == before.attempt and before.agent_instance is not None:
        assert after.agent_instance == before.agent_instance, "an attempt went to another agent"


def outcome_is_the_owners(obs: TaskObservation, after: TaskStatus) -> None:
    """The result, and a failure, are what the owner of the current attempt said of it."""
    if _phase(obs.status).terminal:
        return
    mark = f"{after.attempt}/{after.agent_instance}"
    if _phase(after) == TaskPhase.SUCCEEDED:
        assert any(isinstance(r, Succeeded) for r in obs.replies), "nobody said that it succeeded"
        assert after.result == mark, f"the result {after.result!r} is not of {mark}"
    last = after.attempts[-1] if after.attempts else None
    said = {r.message for r in obs.replies if isinstance(r, Failed)}
    if last and last.error and last.error.code == "Boom" and last.error.message in said:
        owner = last.error.message.partition("/")[2]
        assert last.error.message.startswith(f"{last.attempt}/"), "a failure of another attempt was taken"
        assert owner.partition(".")[0] == last.agent_name, "the failure of another agent was taken"


def failures_are_counted(spec: TaskSpec, after: TaskStatus) -> None:
    """Failed attempts count, lost ones may, and one more than the retries is the end."""
    allowed = spec.retry_policy.max_retries
    assert after.failures <= allowed + 1, "tried more often than was asked"
    if not _phase(after).terminal:
        assert after.failures <= allowed, "tried again though the retries are exhausted"
        outcomes = [a.outcome for a in after.attempts]
        failed = outcomes.count(AttemptOutcome.FAILED)
        assert after.failures >= failed, "a failure was not counted"
        assert after.failures <= failed + outcomes.count(AttemptOutcome.LOST), "counted what did not fail"


def retries_wait(obs: TaskObservation, after: TaskStatus, now: datetime) -> None:
    """After a failure the next attempt waits as the policy says, less at most a quarter."""
    if after.failures <= obs.status.failures or _phase(after) not in WAITING or after.reason == "Suspended":
        return
    backoff = obs.spec.retry_policy.backoff
    most = min(
        float(backoff.max_seconds), backoff.initial_seconds * float(backoff.factor) ** (after.failures - 1)
    )
    due = after.next_attempt_time or now
    wait = (due - now).total_seconds()
    assert most * 0.74 <= wait <= most, f"the retry waits {wait} s; the policy says {most} s"


def published_when_wanted(obs: TaskObservation, decision: TaskDecision, now: datetime) -> None:
    """Nothing is published that is not to be begun now; what waits can be begun and is where it belongs."""
    after = decision.status
    if decision.publish:
        assert _phase(after) == TaskPhase.QUEUED
        assert not obs.spec.suspend, "a suspended Task was published"
        assert obs.broker_error is None, "published to a broker that cannot be reached"
        due = obs.status.next_attempt_time
        if after.attempt == obs.status.attempt + 1 and due is not None:
            assert now >= due, "published before its time"
    if _phase(after) == TaskPhase.QUEUED:
        number = MessageNumber(after.attempt, after.dispatch)
        assert (newest_message(after) or number) <= number, "what waits is void"
        if obs.broker_error is None:
            assert decision.publish or obs.queued_as == obs.spec.priority, "it waits at another priority"
            assert not obs.spec.suspend, "a suspended Task waits in the queue"


def void_messages_are_named(
    obs: TaskObservation, decision: TaskDecision, own: Sequence[MessageNumber]
) -> None:
    """Of a message that is withdrawn or replaced, or whose Task is called off, the agents are told."""
    if decision.status.dispatch == obs.status.dispatch:
        ended = _phase(decision.status) in (TaskPhase.CANCELLED, TaskPhase.FAILED)
        called_off = ended and _phase(obs.status) == TaskPhase.QUEUED and decision.status.agent_name is None
        assert not called_off, "its message waits, and can still be begun"
        return
    told = decision.supersede
    assert told is not None, "agents were not told which messages are void"
    assert all(number < told for number in own), f"{own} can be begun, though only {told} may"


def the_spec_is_heeded(obs: TaskObservation, after: TaskStatus, now: datetime) -> None:
    """What was asked to end has ended, and what was to end by itself has."""
    phase = _phase(after)
    if phase.terminal:
        return
    if obs.spec.cancel is not None:
        assert phase == TaskPhase.RUNNING, "cancelled, and waits still"
        assert obs.spec.cancel != CancelMode.IMMEDIATE, "cancelled at once, and runs still"
    if phase == TaskPhase.RUNNING:
        limit = obs.spec.active_deadline_seconds
        if limit is not None and after.started_at is not None:
            due = after.started_at + timedelta(seconds=limit) + DEADLINE_GRACE
            assert now < due or not _heard(obs, due), "past its deadline"
        if after.agent_instance == obs.status.agent_instance and _heard(obs, obs.unseen_since):
            assert obs.sighting not in (Sighting.GONE, Sighting.FORGOT), "runs on an agent that is gone"
        return
    if obs.spec.queue_deadline_seconds is not None and not obs.spec.suspend:
        due = queue_limit(obs, after)
        waits = phase == TaskPhase.QUEUED and not _heard(obs, due)
        assert now < due or waits, "past the deadline of its queue"


def queue_limit(obs: TaskObservation, status: TaskStatus) -> datetime:
    """When the deadline of the queue is over; it does not count while a retry waits for its time."""
    ended = status.attempts[-1].completed_at if status.attempts else None
    again = (status.next_attempt_time, status.queued_at) if status.failures else ()
    moments = (obs.created_at, ended, status.resumed_at, *again)
    since: datetime = max(m for m in moments if m is not None)
    return since + timedelta(seconds=obs.spec.queue_deadline_seconds or 0)


def _heard(obs: TaskObservation, moment: datetime | None) -> bool:
    return moment is not None and obs.heard_until is not None and obs.heard_until >= moment


def those_to_stop_are_told(obs: TaskObservation, decision: TaskDecision, now: datetime) -> None:
    """Whoever begins what is not his is told to stop, and so is the owner of what is cancelled."""
    after = decision.status
    has = {(a.attempt, a.agent_name) for a in after.attempts}
    told = {(order.attempt, order.agent_id) for order in decision.stop}
    for reply in obs.replies:
        if isinstance(reply, Started):
            begun = (reply.attempt, reply.agent.id)
            assert begun in has or begun in told, f"{begun} goes on for nothing"
    if obs.spec.cancel is not None and _phase(after) == TaskPhase.RUNNING:
        sent = obs.cancel_sent_at
        if sent is None or now - sent >= STOP_RESEND:
            assert (after.attempt, after.agent_name) in told, "its agent does not know of the cancellation"


def died_means_buried(before: TaskStatus, decision: TaskDecision) -> None:
    """What is dead-lettered is in the dead letters, and nothing else is."""
    died = decision.status.phase == TaskPhase.DEAD_LETTERED and before.phase != TaskPhase.DEAD_LETTERED
    assert decision.dead_letter == died, "the dead letters do not agree with the phase"


def the_generation_is_observed(obs: TaskObservation, after: TaskStatus) -> None:
    """Who waits for a condition waits for one of the newest spec, and for nothing that will not come.

    A message that waits stays where it is while agents cannot be told of another.
    """
    if obs.broker_error is not None and _phase(after) == TaskPhase.QUEUED:
        return
    found = {after.observed_generation, *(c.observed_generation for c in after.conditions)}
    assert found == {obs.generation}, f"generations {found} are observed, and not {obs.generation}"
