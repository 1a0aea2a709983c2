"""Tables over the decision about a Task: what was observed, what follows."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import (
    AgentRef,
    Cancelled,
    Failed,
    Interrupted,
    Progressed,
    Started,
    Succeeded,
)
from harebell_crds.conditions import Condition, ConditionStatus, find_condition
from harebell_crds.task import AttemptOutcome, CancelMode, Priority, TaskPhase, TaskStatus
from harebell_operator.decide.lanes import MessageNumber
from harebell_operator.decide.observation import (
    Report,
    Sighting,
    Supply,
    TaskDecision,
    TaskObservation,
    Undelivered,
)
from harebell_operator.decide.pending import BROKER_AWAY
from harebell_operator.decide.task import DEADLINE_GRACE, decide

from .tables import ANNA, BERT, REF, at, said
from .tables import observed as any_observed


def observed(
    status: TaskStatus | None = None, replies: tuple[Report, ...] = (), **given: Any
) -> TaskObservation:
    return any_observed(status, *replies, queued_as=Priority(given.get("priority", "normal")), **given)


def queued_status(**spec: Any) -> TaskStatus:
    return decide(observed(**spec), at(0)).status


def running_status(agent: AgentRef = ANNA, **spec: Any) -> TaskStatus:
    return decide(observed(queued_status(**spec), (said(Started, agent),), **spec), at(1)).status


def failed_status(times: int, **spec: Any) -> TaskDecision:
    """The decision after ``times`` failed attempts in a row, each retried when due."""
    decision = decide(observed(**spec), at(0))
    for n in range(1, times + 1):
        failure = said(Failed, attempt=n, seconds=1000 * n, code="Boom", message="no")
        decision = decide(observed(decision.status, (failure,), **spec), at(1000 * n))
        if n < times:
            decision = decide(observed(decision.status, **spec), at(1000 * n + 900))
            assert decision.publish
    return decision


class TestPublishing:
    def test_a_new_task_is_published_as_attempt_1(self) -> None:
        decision = decide(observed(), at(0))
        assert (decision.publish, decision.status.phase, decision.status.attempt) == (
            True,
            TaskPhase.QUEUED,
            1,
        )

    def test_it_waits_while_the_broker_is_down_and_says_so(self) -> None:
        decision = decide(observed(broker_error="refused"), at(0))
        assert not decision.publish
        assert decision.status.phase == TaskPhase.PENDING
        assert decision.status.reason == "BrokerUnreachable"
        started = find_condition(decision.status.conditions, "Started")
        assert started
        assert (started.status, started.message) == (ConditionStatus.FALSE, BROKER_AWAY.message)
        assert decide(observed(decision.status), at(60)).publish

    @pytest.mark.parametrize(
        ("supply", "reason"),
        [
            (Supply(online=0, idle=0), "NoAgent"),
            (Supply(online=3, idle=0), "AgentsBusy"),
            (Supply(online=3, idle=1), "WaitingForAgent"),
            (Supply(online=3, idle=0, paused=2), "AgentsBusy"),
            (Supply(online=3, idle=0, paused=3), "AgentsPaused"),
            (Supply(online=3, idle=1, deaf=2), "WaitingForAgent"),
            (Supply(online=3, idle=0, deaf=2), "AgentsBusy"),
            (Supply(online=3, idle=0, deaf=3), "AgentsNotConsuming"),
            (Supply(online=3, idle=0, paused=1, deaf=2), "AgentsNotConsuming"),
        ],
    )
    def test_a_queued_task_says_why_it_waits(self, supply: Supply, reason: str) -> None:
        assert decide(observed(queued_status(), supply=supply), at(5)).status.reason == reason

    @pytest.mark.parametrize(
        ("idle", "waiting", "seconds", "again"),
        [(1, 0, 30, True), (0, 0, 30, False), (1, 1, 30, False), (1, None, 30, False), (1, 0, 29, False)],
    )
    def test_a_lost_message_is_published_again(
        self, idle: int, waiting: int | None, seconds: int, again: bool
    ) -> None:
        obs = replace(
            observed(queued_status(), supply=Supply(1, idle)), published_at=at(0), messages_waiting=waiting
        )
        decision = decide(obs, at(seconds))
        assert decision.publish == again
        assert decision.status.attempt == 1

    @pytest.mark.parametrize(("error", "again"), [(None, True), ("refused", False)])
    def test_a_message_its_lane_lost_is_published_again(self, error: str | None, again: bool) -> None:
        obs = observed(queued_status(), supply=Supply(0, 0), broker_error=error)
        decision = decide(replace(obs, published_at=at(0), message_lost=True), at(5))
        assert (decision.publish, decision.status.attempt, decision.status.dispatch) == (again, 1, 0)

    @pytest.mark.parametrize(("published", "dispatch"), [(0, 0), (40, 1)])
    def test_what_is_lost_again_gets_a_new_number(self, published: int, dispatch: int) -> None:
        """A crash may have had the agents told to drop the one that the status holds."""
        status = queued_status().model_copy(update={"queued_at": at(0)})
        obs = replace(observed(status), published_at=at(published), messages_waiting=0)
        decision = decide(obs, at(published + 30))
        assert (decision.publish, decision.status.attempt) == (True, 1)
        assert decision.status.dispatch == dispatch
        assert decision.supersede == (MessageNumber(1, 1) if dispatch else None)

    def test_a_payload_that_cannot_be_sent_fails_the_task(self) -> None:
        decision = decide(observed(payload_problem="spec.payload is too large"), at(0))
        assert not decision.publish
        assert (decision.status.phase, decision.status.reason) == (TaskPhase.FAILED, "InvalidPayload")

    def test_a_queued_task_is_not_published_again(self) -> None:
        assert not decide(observed(queued_status()), at(5)).publish


class TestPriority:
    """A message with another number takes the place of the one that waits."""

    def moved(self, **more: Any) -> TaskDecision:
        obs = observed(queued_status(), priority="critical", **more)
        return decide(replace(obs, queued_as=Priority.BACKGROUND, generation=2), at(5))

    def test_a_change_while_it_waits_publishes_it_anew(self) -> None:
        decision = self.moved()
        status = decision.status
        assert (status.phase, status.attempt, status.dispatch) == (TaskPhase.QUEUED, 1, 1)
        assert (decision.publish, decision.supersede) == (True, MessageNumber(1, 1))
        assert status.observed_generation == 2
        settled = decide(observed(status, priority="critical"), at(6))
        assert (settled.publish, settled.supersede) == (False, None)

    def test_what_was_published_last_may_be_unknown(self) -> None:
        assert decide(replace(observed(queued_status()), queued_as=None), at(5)).publish

    def test_while_the_broker_is_down_the_change_is_still_to_be_observed(self) -> None:
        decision = self.moved(broker_error="refused", supply=Supply(0, 0))
        assert decision.status != queued_status()
        assert (decision.publish, decision.supersede, decision.status.dispatch) == (False, None, 0)
        assert decision.status.observed_generation == 1

    def test_a_change_of_one_that_runs_or_is_to_be_published_moves_nothing(self) -> None:
        for status in (TaskStatus(), running_status()):
            obs = replace(observed(status, priority="high"), queued_as=Priority.LOW)
            assert decide(obs, at(5)).status.dispatch == 0

    @pytest.mark.parametrize("kind", [Started, Succeeded])
    def test_whichever_message_is_begun_has_the_attempt_and_voids_the_others(self, kind: type[Any]) -> None:
        waiting = self.moved().status
        decision = decide(observed(waiting, (said(kind),), priority="critical"), at(6))
        assert decision.status.agent_name == "anna"
        assert decision.supersede == MessageNumber(2, 1)
        assert not decision.stop

    def test_a_later_attempt_is_later_than_all_messages_of_the_one_before(self) -> None:
        running = decide(observed(self.moved().status, (said(Started),), priority="critical"), at(6))
        again = decide(observed(running.status, (said(Interrupted),), priority="critical"), at(7))
        # The agents were told when the attempt began.
        assert (running.supersede, again.publish, again.supersede) == (MessageNumber(2, 1), True, None)
        assert (again.status.attempt, again.status.dispatch) == (2, 1)


class TestReplies:
    def test_started_then_progress_then_success(self) -> None:
        status = running_status()
        assert (status.phase, status.agent_name, status.agent_instance) == (TaskPhase.RUNNING, "anna", "a1")
        status = decide(observed(status, (said(Progressed, percent=40, message="half"),)), at(2)).status
        assert status.progress
        assert status.progress.percent == 40
        decision = decide(observed(status, (said(Succeeded, result={"n": 1}),)), at(3))
        assert decision.status.phase == TaskPhase.SUCCEEDED
        assert decision.status.result == {"n": 1}
        assert decision.status.attempts[0].outcome == AttemptOutcome.SUCCEEDED
        complete = find_condition(decision.status.conditions, "Complete")
        assert complete
        assert complete.status == ConditionStatus.TRUE

    def test_all_replies_at_once_give_one_final_status(self) -> None:
        replies = (said(Started), said(Progressed, percent=5), said(Succeeded, result=1))
        assert decide(observed(queued_status(), replies), at(2)).status.phase == TaskPhase.SUCCEEDED

    def test_a_success_without_its_start_counts(self) -> None:
        status = decide(observed(queued_status(), (said(Succeeded, result=1),)), at(2)).status
        assert (status.phase, status.agent_name) == (TaskPhase.SUCCEEDED, "anna")

    def test_a_second_agent_with_the_same_attempt_is_told_to_stop(self) -> None:
        status = running_status()
        decision = decide(observed(status, (said(Started, BERT),)), at(2))
        assert decision.status == status
        assert [(o.agent_id, o.attempt) for o in decision.stop] == [("bert", 1)]
        assert decide(observed(status, (said(Succeeded, BERT, result=0),)), at(3)).status == status

    def test_words_of_an_earlier_attempt_change_nothing(self) -> None:
        retried = decide(observed(failed_status(1).status), at(5000)).status
        assert retried.attempt == 2
        late = said(Succeeded, attempt=1, result="late")
        decision = decide(observed(retried, (late,)), at(5001))
        assert decision.status.phase == TaskPhase.QUEUED
        assert decision.stale_replies == 1

    @pytest.mark.parametrize("kind", [Started, Succeeded, Interrupted, Cancelled])
    def test_a_terminal_task_stays_as_it_is(self, kind: type[Any]) -> None:
        done = decide(observed(running_status(), (said(Succeeded, result=1),)), at(3)).status
        decision = decide(observed(done, (said(kind, BERT, attempt=2),)), at(4))
        assert decision.status == done
        assert bool(decision.stop) == (kind is Started)

    def test_a_start_that_a_dead_operator_published_is_adopted(self) -> None:
        status = decide(observed(None, (said(Started),)), at(2)).status
        assert (status.phase, status.attempt) == (TaskPhase.RUNNING, 1)


class TestRetries:
    def test_dead_lettered_after_one_and_n_attempts(self) -> None:
        third = failed_status(3, retry_policy={"maxRetries": 3})
        assert third.status.phase == TaskPhase.PENDING
        fourth = failed_status(4, retry_policy={"maxRetries": 3})
        assert fourth.status.phase == TaskPhase.DEAD_LETTERED
        assert fourth.dead_letter
        assert [a.attempt for a in fourth.status.attempts] == [1, 2, 3, 4]

    def test_the_wait_doubles(self) -> None:
        waits = []
        for n in (1, 2, 3):
            decision = failed_status(n)
            due = decision.status.next_attempt_time
            assert due
            waits.append((due - at(1000 * n)).total_seconds())
            assert decision.wake_at == due
        assert 0.75 <= waits[0] <= 1
        assert 1.5 <= waits[1] <= 2
        assert 3 <= waits[2] <= 4

    def test_not_retryable_fails_at_once(self) -> None:
        failure = said(Failed, code="InvalidPayload", message="text is missing", retryable=False)
        status = decide(observed(running_status(), (failure,)), at(2)).status
        assert (status.phase, status.reason) == (TaskPhase.FAILED, "InvalidPayload")

    def test_handed_back_work_runs_again_at_once_and_does_not_count(self) -> None:
        decision = decide(
            observed(running_status(), (said(Interrupted),), retry_policy={"maxRetries": 0}), at(2)
        )
        assert decision.publish
        assert (decision.status.attempt, decision.status.failures) == (2, 0)
        assert decision.status.attempts[0].outcome == AttemptOutcome.INTERRUPTED

    @pytest.mark.parametrize(
        ("sighting", "lost"),
        [
            (Sighting.UNKNOWN, False),
            (Sighting.WORKING, False),
            (Sighting.GONE, True),
            (Sighting.FORGOT, True),
        ],
    )
    def test_a_lost_agent_ends_the_attempt(self, sighting: Sighting, lost: bool) -> None:
        decision = decide(observed(running_status(), sighting=sighting), at(9))
        assert (decision.status.phase == TaskPhase.PENDING) == lost
        if lost:
            assert decision.status.attempts[0].outcome == AttemptOutcome.LOST
            again = decide(observed(decision.status, sighting=sighting), at(60))
            assert (again.publish, again.status.attempt) == (True, 2)

    def test_an_outcome_that_arrived_in_time_beats_the_loss(self) -> None:
        obs = observed(running_status(), (said(Succeeded, result=1),), sighting=Sighting.GONE)
        assert decide(obs, at(9)).status.phase == TaskPhase.SUCCEEDED


class TestUndelivered:
    """The broker gave a message up: each agent that took it was gone before it had said Started."""

    @pytest.mark.parametrize("status", [None, queued_status()], ids=["written by nobody", "queued"])
    def test_it_ends_the_task_however_many_retries_are_left(self, status: TaskStatus | None) -> None:
        decision = decide(observed(status, (Undelivered(REF, 1),)), at(5))
        ended = decision.status
        assert (ended.phase, ended.reason) == (TaskPhase.DEAD_LETTERED, "DeliveryLimit")
        assert (decision.publish, decision.dead_letter) == (False, True)
        assert [n.reason for n in decision.events] == ["DeliveryLimit"]
        (attempt,) = ended.attempts
        assert (attempt.attempt, attempt.agent_name, attempt.outcome) == (1, None, AttemptOutcome.LOST)
        assert ended.error == attempt.error
        assert ended.failures == 1

    @pytest.mark.parametrize(
        ("status", "attempt"),
        [
            pytest.param(running_status(), 1, id="an agent did start it"),
            pytest.param(queued_status(), 2, id="another attempt"),
            pytest.param(failed_status(1).status, 1, id="the attempt has failed otherwise"),
            pytest.param(
                decide(observed(running_status(), (said(Succeeded),)), at(3)).status, 1, id="finished"
            ),
        ],
    )
    def test_it_changes_nothing_that_has_gone_on(self, status: TaskStatus, attempt: int) -> None:
        decision = decide(observed(status, (Undelivered(REF, attempt),)), at(4))
        assert (decision.status, decision.dead_letter, decision.stale_replies) == (status, False, 1)


class TestCancel:
    @pytest.mark.parametrize("mode", list(CancelMode))
    def test_waiting_work_is_cancelled_at_once(self, mode: CancelMode) -> None:
        for status in (TaskStatus(), queued_status(), failed_status(1).status):
            decision = decide(observed(status, cancel=mode), at(2000))
            assert decision.status.phase == TaskPhase.CANCELLED
            assert not decision.publish

    def test_the_message_of_waiting_work_is_void(self) -> None:
        decision = decide(observed(queued_status(), cancel="Graceful"), at(5))
        assert decision.supersede == MessageNumber(2, 1)
        assert decide(observed(decision.status, cancel="Graceful"), at(6)).supersede is None
        # Of others none waits.
        for status in (TaskStatus(), failed_status(1).status, running_status()):
            assert decide(observed(status, cancel="Immediate"), at(2000)).supersede is None

    def test_graceful_waits_for_the_agent(self) -> None:
        status = running_status()
        decision = decide(observed(status, cancel="Graceful"), at(2))
        assert decision.status.phase == TaskPhase.RUNNING
        assert [o.mode for o in decision.stop] == [CancelMode.GRACEFUL]
        repeated = replace(observed(status, cancel="Graceful"), cancel_sent_at=at(2))
        assert not decide(repeated, at(3)).stop
        assert decide(repeated, at(8)).stop
        ended = decide(observed(status, (said(Cancelled),), cancel="Graceful"), at(4)).status
        assert (ended.phase, ended.attempts[0].outcome) == (TaskPhase.CANCELLED, AttemptOutcome.CANCELLED)

    def test_graceful_holds_when_the_agent_is_gone(self) -> None:
        decision = decide(observed(running_status(), sighting=Sighting.GONE, cancel="Graceful"), at(9))
        assert decision.status.phase == TaskPhase.CANCELLED

    def test_immediate_does_not_wait(self) -> None:
        decision = decide(observed(running_status(), cancel="Immediate"), at(2))
        assert decision.status.phase == TaskPhase.CANCELLED
        assert [o.mode for o in decision.stop] == [CancelMode.IMMEDIATE]

    def test_success_that_came_first_wins(self) -> None:
        obs = observed(running_status(), (said(Succeeded, result=1),), cancel="Immediate")
        assert decide(obs, at(3)).status.phase == TaskPhase.SUCCEEDED


class TestClock:
    def test_queue_deadline(self) -> None:
        obs = observed(queued_status(), queue_deadline_seconds=30)
        assert decide(obs, at(29)).status.phase == TaskPhase.QUEUED
        decision = decide(obs, at(30))
        late = decision.status
        assert (late.phase, late.reason) == (TaskPhase.FAILED, "QueueDeadlineExceeded")
        assert decision.supersede == MessageNumber(2, 1)

    def test_active_deadline_backs_up_the_agent(self) -> None:
        obs = observed(running_status(), active_deadline_seconds=10)
        limit = at(1) + timedelta(seconds=10) + DEADLINE_GRACE
        early = decide(obs, limit - timedelta(seconds=1))
        assert early.status.phase == TaskPhase.RUNNING
        assert early.wake_at == limit
        late = decide(obs, limit)
        assert late.status.reason == "DeadlineExceeded"
        assert [o.agent_id for o in late.stop] == ["anna"]

    def test_ttl(self) -> None:
        done = decide(observed(running_status(), (said(Succeeded, result=1),)), at(3)).status
        obs = observed(done, ttl_seconds_after_finished=100)
        assert decide(obs, at(50)).wake_at == at(101)
        assert decide(obs, at(101)).delete


class TestGeneration:
    """``kubectl wait`` takes a condition for true only once it is of the newest generation."""

    def finished_status(self, outcome: type[Any]) -> TaskStatus:
        failure: dict[str, Any] = {"code": "Boom", "message": "no", "retryable": False}
        more = failure if outcome is Failed else {}
        asked = CancelMode.GRACEFUL if outcome is Cancelled else None
        return decide(observed(running_status(), (said(outcome, **more),), cancel=asked), at(2)).status

    @pytest.mark.parametrize("outcome", [Succeeded, Failed, Cancelled])
    def test_a_change_after_the_end_is_observed_once_and_changes_nothing_else(
        self, outcome: type[Any]
    ) -> None:
        done = self.finished_status(outcome)
        given: dict[str, Any] = {"generation": 2, "ttl_seconds_after_finished": 100}
        decision = decide(observed(done, cancel=CancelMode.GRACEFUL, **given), at(50))
        assert decision.status != done
        assert decision.status.observed_generation == 2
        assert [replace_generation(c, 1) for c in decision.status.conditions] == list(done.conditions)
        assert {c.observed_generation for c in decision.status.conditions} == {2}
        assert (
            decision.status.model_copy(update={"observed_generation": 1, "conditions": done.conditions})
            == done
        )
        assert (decision.wake_at, decision.stop, decision.events) == (at(101), (), ())
        again = decide(observed(decision.status, **given), at(51))
        assert again.status == decision.status

    def test_a_change_while_it_runs_is_observed_though_nothing_comes_of_it(self) -> None:
        status = running_status()
        change: dict[str, Any] = {"generation": 2, "ttl_seconds_after_finished": 100}
        seen = decide(observed(status, **change), at(5)).status
        assert (seen.phase, seen.observed_generation) == (TaskPhase.RUNNING, 2)
        (started,) = seen.conditions
        assert (started.observed_generation, started.last_transition_time) == (2, at(1))
        assert decide(observed(seen, **change), at(6)).status == seen

    def test_a_cancellation_is_observed_while_its_agent_ends_it(self) -> None:
        obs = observed(running_status(), cancel=CancelMode.GRACEFUL, generation=2)
        assert decide(obs, at(5)).status.observed_generation == 2

    def test_one_that_expires_with_the_change_is_deleted(self) -> None:
        done = self.finished_status(Succeeded)
        assert decide(observed(done, generation=2, ttl_seconds_after_finished=0), at(50)).delete


def replace_generation(condition: Condition, generation: int) -> Condition:
    return condition.model_copy(update={"observed_generation": generation})
