"""Tables over attempts that are interrupted, their checkpoints, and the suspension of what runs."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harebell_bus.envelopes import (
    AgentRef,
    Cancelled,
    Checkpointed,
    Failed,
    Interrupted,
    InterruptionCause,
    Started,
    Succeeded,
)
from harebell_crds.conditions import find_condition
from harebell_crds.task import (
    AttemptOutcome,
    CancelMode,
    OnInterruption,
    TaskPhase,
    TaskStatus,
)
from harebell_operator.decide.interruption import resolve
from harebell_operator.decide.observation import (
    Report,
    Sighting,
    StopOrder,
    TaskDecision,
)
from harebell_operator.decide.suspension import STOP_RESEND
from harebell_operator.decide.task import decide

from .tables import ANNA, BERT, REF, T0, at, observed, said

DECLARED: dict[str, dict[str, Any]] = {
    "Resume": {"resumable": True, "idempotent": False},
    "Requeue": {"resumable": False, "idempotent": True},
    "Fail": {"resumable": False, "idempotent": False},
}
SUSPENDED: dict[str, Any] = {"cause": InterruptionCause.SUSPENDED, "message": "the Task was suspended"}


def running(policy: str, saved: Any = None, **spec: Any) -> TaskStatus:
    """Attempt 1 on ANNA, of an action that declares what leads to the policy."""
    status = decide(observed(**spec), at(0)).status
    replies = [said(Started, **DECLARED[policy])]
    if saved is not None:
        replies.append(said(Checkpointed, data=saved))
    return decide(observed(status, *replies, **spec), at(1)).status


def next_attempt(decision: TaskDecision, **spec: Any) -> TaskDecision:
    due = decision.status.next_attempt_time
    assert due is not None
    return decide(observed(decision.status, **spec), due)


class TestPolicy:
    @pytest.mark.parametrize(
        ("wanted", "resumable", "idempotent", "policy"),
        [
            ("Auto", True, True, "Resume"),
            ("Auto", True, False, "Resume"),
            ("Auto", False, True, "Requeue"),
            ("Auto", False, False, "Fail"),
            ("Resume", False, False, "Resume"),
            ("Requeue", True, False, "Requeue"),
            ("Fail", True, True, "Fail"),
        ],
    )
    def test_what_the_task_wants_and_the_action_declares(
        self, wanted: str, resumable: bool, idempotent: bool, policy: str
    ) -> None:
        started = Started(task=REF, attempt=1, agent=ANNA, at=T0, resumable=resumable, idempotent=idempotent)
        assert resolve(OnInterruption(wanted), started) == policy
        status = decide(observed(), at(0)).status
        status = decide(observed(status, started, on_interruption=OnInterruption(wanted)), at(1)).status
        assert (status.phase, status.on_interruption) == (TaskPhase.RUNNING, policy)

    def test_an_agent_of_an_older_version_is_idempotent(self) -> None:
        old = Started.model_validate_json(
            said(Started).model_dump_json(by_alias=True, exclude={"begun", "resumable", "idempotent"})
        )
        assert resolve(OnInterruption.AUTO, old) == OnInterruption.REQUEUE

    def test_it_is_settled_by_the_action_that_begins_and_anew_for_each_attempt(self) -> None:
        status = decide(observed(), at(0)).status
        announced = decide(observed(status, said(Started, begun=False)), at(1)).status
        assert (announced.phase, announced.on_interruption) == (TaskPhase.RUNNING, None)
        begun = decide(observed(announced, said(Started, **DECLARED["Fail"])), at(2)).status
        assert begun.on_interruption == OnInterruption.FAIL
        # The announcement, delivered again, takes nothing back.
        again = decide(observed(begun, said(Started, begun=False)), at(3)).status
        assert again.on_interruption == OnInterruption.FAIL
        failed = decide(observed(again, said(Failed, code="Boom", message="no")), at(4))
        assert next_attempt(failed).status.on_interruption is None


class TestLoss:
    @pytest.mark.parametrize("sighting", [Sighting.GONE, Sighting.FORGOT])
    @pytest.mark.parametrize(("policy", "kept"), [("Resume", {"page": 3}), ("Requeue", None)])
    def test_the_next_attempt_has_the_checkpoint_or_not(
        self, policy: str, kept: Any, sighting: Sighting
    ) -> None:
        lost = decide(observed(running(policy, {"page": 3}), sighting=sighting), at(2))
        assert (lost.status.phase, lost.status.failures) == (TaskPhase.PENDING, 1)
        again = next_attempt(lost)
        assert (again.publish, again.status.attempt) == (True, 2)
        assert (again.status.checkpoint.data if again.status.checkpoint else None) == kept

    @pytest.mark.parametrize("sighting", [Sighting.GONE, Sighting.FORGOT])
    def test_what_must_not_be_done_twice_fails_and_says_what_to_do(self, sighting: Sighting) -> None:
        decision = decide(observed(running("Fail"), sighting=sighting), at(2))
        status = decision.status
        assert (status.phase, status.reason, status.failures) == (TaskPhase.FAILED, "Interrupted", 1)
        assert not decision.dead_letter
        assert status.error
        assert status.error.code == "Interrupted"
        assert "replay" in status.error.message
        (attempt,) = status.attempts
        assert attempt.error
        assert (attempt.outcome, attempt.error.code) == (AttemptOutcome.LOST, "AgentLost")
        assert [e.reason for e in decision.events] == ["Interrupted"]

    def test_so_it_does_when_the_agent_stopped_it_unasked(self) -> None:
        decision = decide(observed(running("Fail"), said(Cancelled)), at(2))
        assert (decision.status.phase, decision.status.reason) == (TaskPhase.FAILED, "Interrupted")

    @pytest.mark.parametrize("wanted", [OnInterruption.AUTO, OnInterruption.FAIL])
    def test_what_killed_its_reader_before_it_began_is_tried_again(self, wanted: OnInterruption) -> None:
        status = decide(observed(), at(0)).status
        announced = decide(observed(status, said(Started, begun=False), on_interruption=wanted), at(1)).status
        lost = decide(observed(announced, sighting=Sighting.GONE, on_interruption=wanted), at(2))
        assert (lost.status.phase, lost.status.failures) == (TaskPhase.PENDING, 1)

    def test_retries_are_counted_also_with_checkpoints(self) -> None:
        spec: dict[str, Any] = {"retry_policy": {"maxRetries": 0}}
        decision = decide(observed(running("Resume", 1, **spec), sighting=Sighting.GONE, **spec), at(2))
        assert (decision.status.phase, decision.dead_letter) == (TaskPhase.DEAD_LETTERED, True)
        assert decision.status.checkpoint is not None

    def test_one_that_is_to_be_cancelled_is(self) -> None:
        spec: dict[str, Any] = {"cancel": CancelMode.GRACEFUL}
        for how in (observed(running("Fail"), sighting=Sighting.GONE, **spec),
                    observed(running("Fail"), said(Interrupted), **spec)):  # fmt: skip
            assert decide(how, at(2)).status.phase == TaskPhase.CANCELLED

    def test_an_agent_that_was_only_away_goes_on(self) -> None:
        status = running("Fail")
        assert decide(observed(status, sighting=Sighting.UNKNOWN), at(2)).status == status
        done = decide(observed(status, said(Succeeded, result=1)), at(3)).status
        assert (done.phase, done.attempt) == (TaskPhase.SUCCEEDED, 1)


class TestHandBack:
    @pytest.mark.parametrize(
        ("policy", "begun", "phase", "checkpoint"),
        [
            ("Resume", True, TaskPhase.QUEUED, True),
            ("Requeue", True, TaskPhase.QUEUED, False),
            ("Fail", True, TaskPhase.FAILED, True),
            ("Resume", False, TaskPhase.QUEUED, True),
            ("Fail", False, TaskPhase.QUEUED, False),
        ],
    )
    def test_it_does_not_count(self, policy: str, begun: bool, phase: TaskPhase, checkpoint: bool) -> None:
        decision = decide(observed(running(policy, 1), said(Interrupted, begun=begun)), at(2))
        status = decision.status
        assert (status.phase, status.failures, status.checkpoint is not None) == (phase, 0, checkpoint)
        assert status.attempts[-1].outcome == AttemptOutcome.INTERRUPTED
        if phase == TaskPhase.FAILED:
            assert status.reason == "Interrupted"
        else:
            assert (decision.publish, status.attempt) == (True, 2)

    def test_what_another_may_have_begun_is_done_under_another_number_or_by_the_other(self) -> None:
        back: dict[str, Any] = {"begun": False, "cause": InterruptionCause.REDELIVERED}
        queued = decide(observed(), at(0)).status
        mine = (said(Started, BERT, begun=False), said(Interrupted, BERT, **back))
        alone = decide(observed(queued, *mine), at(1))
        assert (alone.publish, alone.status.attempt, alone.status.failures) == (True, 2, 0)
        both = decide(observed(running("Fail"), *mine), at(2))
        assert (both.status, both.stale_replies) == (running("Fail"), 2)
        assert [o.agent_id for o in both.stop] == ["bert"]


class TestCheckpoints:
    def test_the_newest_is_kept_however_they_come(self) -> None:
        older, newer = (said(Checkpointed, seconds=n, data=n) for n in (2, 3))
        for order in ((older, newer), (newer, older), (newer, newer, older)):
            status = decide(observed(running("Resume"), *order), at(4)).status
            assert status.checkpoint
            assert (status.checkpoint.data, status.checkpoint.attempt, status.checkpoint.saved_at) == (
                3,
                1,
                at(3),
            )

    def test_a_later_attempt_replaces_it_whatever_its_clock_says(self) -> None:
        lost = decide(observed(running("Resume", "first"), sighting=Sighting.GONE), at(2))
        replies = (
            said(Started, BERT, 2, 0, **DECLARED["Resume"]),
            said(Checkpointed, BERT, 2, 0, data="second"),
        )
        status = decide(observed(next_attempt(lost).status, *replies), at(10)).status
        assert status.checkpoint
        assert (status.checkpoint.data, status.checkpoint.attempt) == ("second", 2)

    @pytest.mark.parametrize(("agent", "attempt"), [(BERT, 1), (ANNA, 2)])
    def test_that_of_another_is_not_heard(self, agent: AgentRef, attempt: int) -> None:
        status = running("Resume", "mine")
        decision = decide(observed(status, said(Checkpointed, agent, attempt, 5, data="other")), at(6))
        assert (decision.status, decision.stale_replies) == (status, 1)

    def test_it_goes_when_the_task_succeeded(self) -> None:
        status = decide(observed(running("Resume", 1), said(Succeeded, result=1)), at(2)).status
        assert (status.phase, status.checkpoint) == (TaskPhase.SUCCEEDED, None)

    @pytest.mark.parametrize(("policy", "kept"), [("Resume", True), ("Requeue", False), ("Fail", False)])
    def test_a_retry_after_a_failure_goes_on_if_an_interruption_would(self, policy: str, kept: bool) -> None:
        failed = decide(observed(running(policy, 1), said(Failed, code="Boom", message="no")), at(2))
        again = next_attempt(failed)
        assert (again.status.attempt, again.status.checkpoint is not None) == (2, kept)

    def test_an_attempt_that_ends_before_it_begins_does_not_cost_it(self) -> None:
        lost = decide(observed(running("Resume", 1), sighting=Sighting.GONE), at(2))
        announced = decide(observed(next_attempt(lost).status, said(Started, BERT, 2, begun=False)), at(60))
        again = decide(observed(announced.status, sighting=Sighting.GONE), at(61))
        assert again.status.checkpoint is not None


class TestSuspension:
    def test_one_that_can_be_resumed_is_told_to_hand_it_back_until_it_does(self) -> None:
        first = decide(observed(running("Resume"), suspend=True), at(10))
        order = StopOrder("anna", 1, CancelMode.GRACEFUL, "the Task was suspended", hand_back=True)
        assert first.stop == (order,)
        assert (first.status.phase, first.status.reason) == (TaskPhase.RUNNING, "Suspending")
        assert first.wake_at == at(10) + STOP_RESEND
        soon = decide(observed(first.status, suspend=True, cancel_sent_at=at(10)), at(11))
        assert (soon.stop, soon.status, soon.events) == ((), first.status, ())
        later = decide(observed(first.status, suspend=True, cancel_sent_at=at(10)), at(10) + STOP_RESEND)
        assert later.stop == (order,)

    def test_handed_back_it_waits_and_goes_on_when_resumed(self) -> None:
        told = decide(observed(running("Resume", 1), suspend=True), at(10)).status
        back = decide(observed(told, said(Checkpointed, seconds=11, data=2),
                               said(Interrupted, seconds=11, **SUSPENDED), suspend=True), at(11))  # fmt: skip
        status = back.status
        assert (status.phase, status.reason, status.failures) == (TaskPhase.PENDING, "Suspended", 0)
        assert (back.publish, status.error, status.attempts[-1].outcome) == (
            False,
            None,
            AttemptOutcome.INTERRUPTED,
        )
        resumed = decide(observed(status), at(100))
        assert (resumed.publish, resumed.status.attempt) == (True, 2)
        assert resumed.status.checkpoint
        assert resumed.status.checkpoint.data == 2

    @pytest.mark.parametrize("policy", ["Requeue", "Fail"])
    def test_any_other_goes_on_and_says_so_once(self, policy: str) -> None:
        first = decide(observed(running(policy), suspend=True), at(10))
        assert (first.stop, first.status.phase, first.status.reason) == (
            (),
            TaskPhase.RUNNING,
            "NotResumable",
        )
        started = find_condition(first.status.conditions, "Started")
        assert started
        assert "goes on" in started.message
        assert [e.reason for e in first.events] == ["NotResumable"]
        again = decide(observed(first.status, suspend=True), at(20))
        assert (again.status, again.events) == (first.status, ())
        back = decide(observed(first.status), at(30)).status
        assert (back.reason, find_condition(back.conditions, "Started")) == (
            None,
            find_condition(running(policy).conditions, "Started"),
        )

    def test_an_outcome_in_the_meantime_counts(self) -> None:
        told = decide(observed(running("Resume"), suspend=True), at(10)).status
        done = decide(observed(told, said(Succeeded, result=1), suspend=True), at(11)).status
        assert (done.phase, done.result) == (TaskPhase.SUCCEEDED, 1)

    def test_taken_back_in_the_meantime_it_goes_on_at_once(self) -> None:
        told = decide(observed(running("Resume", 1), suspend=True), at(10)).status
        back = decide(observed(told, said(Interrupted, seconds=11, **SUSPENDED)), at(12))
        assert (back.publish, back.status.attempt, back.status.phase) == (True, 2, TaskPhase.QUEUED)

    def test_a_loss_in_the_meantime_counts_and_it_is_suspended(self) -> None:
        told = decide(observed(running("Resume", 1), suspend=True), at(10)).status
        lost = decide(observed(told, sighting=Sighting.GONE, suspend=True), at(11)).status
        assert (lost.phase, lost.reason, lost.failures) == (TaskPhase.PENDING, "Suspended", 1)

    def test_cancelled_as_well_it_is_cancelled(self) -> None:
        told = decide(observed(running("Resume"), suspend=True), at(10)).status
        both: dict[str, Any] = {"suspend": True, "cancel": CancelMode.GRACEFUL}
        decision = decide(observed(told, **both), at(11))
        assert [(o.mode, o.hand_back) for o in decision.stop] == [(CancelMode.GRACEFUL, False)]
        back = decide(observed(decision.status, said(Interrupted, **SUSPENDED), **both), at(12)).status
        assert back.phase == TaskPhase.CANCELLED


REPLIES = st.lists(
    st.builds(
        lambda kind, agent, attempt, seconds, more: said(kind, agent, attempt, seconds, **more),
        st.just(Started),
        st.sampled_from([ANNA, BERT]),
        st.integers(1, 3),
        st.integers(0, 50),
        st.fixed_dictionaries(
            {"begun": st.booleans(), "resumable": st.booleans(), "idempotent": st.booleans()}
        ),
    )
    | st.builds(
        lambda agent, attempt, seconds: said(Checkpointed, agent, attempt, seconds, data=[attempt, seconds]),
        st.sampled_from([ANNA, BERT]),
        st.integers(1, 3),
        st.integers(0, 50),
    )
    | st.builds(
        lambda agent, attempt, begun: said(Interrupted, agent, attempt, begun=begun),
        st.sampled_from([ANNA, BERT]),
        st.integers(1, 3),
        st.booleans(),
    ),
    max_size=4,
)
STEPS = st.lists(
    st.tuples(REPLIES, st.sampled_from([Sighting.WORKING, Sighting.WORKING, Sighting.GONE]), st.booleans()),
    max_size=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS, st.sampled_from(list(OnInterruption)))
def test_whatever_happens_a_checkpoint_is_used_only_where_it_may_be(
    steps: list[tuple[list[Report], Sighting, bool]], wanted: OnInterruption
) -> None:
    """Fail is followed by no attempt that an interruption caused, and Requeue by none with a checkpoint."""
    status = TaskStatus()
    for n, (replies, sighting, suspend) in enumerate(steps):
        for reply in (*replies, None):
            before = status
            heard = () if reply is None else (reply,)
            obs = observed(before, *heard, sighting=sighting, suspend=suspend, on_interruption=wanted)
            decision = decide(obs, at(1000 * n))
            status = decision.status
            ended = before.phase == TaskPhase.RUNNING and status.phase != TaskPhase.RUNNING
            policy = before.on_interruption
            if ended and policy == OnInterruption.FAIL and not isinstance(reply, Interrupted):
                assert status.phase == TaskPhase.FAILED
            if ended and policy == OnInterruption.REQUEUE:
                assert status.checkpoint is None
            if ended and policy == OnInterruption.RESUME and before.checkpoint:
                assert status.checkpoint
            if any(order.hand_back for order in decision.stop):
                assert (suspend, status.on_interruption) == (True, OnInterruption.RESUME)
            if status.checkpoint and before.checkpoint:
                newest = (before.checkpoint.attempt, before.checkpoint.saved_at)
                assert (status.checkpoint.attempt, status.checkpoint.saved_at) >= newest
