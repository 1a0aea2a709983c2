"""Tables over Tasks that depend on others."""

from datetime import timedelta
from typing import Any

import pytest

from harebell_crds.conditions import find_condition
from harebell_crds.task import (
    MAX_INPUTS_BYTES,
    Attempt,
    CancelMode,
    TaskPhase,
    TaskSpec,
    TaskStatus,
)
from harebell_operator.decide.dependencies import REWORD, only_rewords
from harebell_operator.decide.lanes import MessageNumber
from harebell_operator.decide.observation import TaskObservation
from harebell_operator.decide.prerequisite import Prerequisite, Prospect, inputs_of
from harebell_operator.decide.task import decide

from .tables import at
from .tables import observed as any_observed


def other(
    name: str = "a", phase: str | None = "Succeeded", needs: str = "Succeeded", **more: Any
) -> Prerequisite:
    ended = at(0) if phase and TaskPhase(phase).terminal else None
    return Prerequisite(
        name=name,
        needs=TaskSpec.model_validate(
            {"agentType": "t", "action": "a", "dependsOn": [{"name": name, "condition": needs}]}
        )
        .depends_on[0]
        .condition,
        phase=TaskPhase(phase) if phase else None,
        **{"completed_at": ended, **more},
    )


def observed(*prerequisites: Prerequisite, status: TaskStatus | None = None, **given: Any) -> TaskObservation:
    return any_observed(status, prerequisites=prerequisites, **given)


@pytest.mark.parametrize(
    ("phase", "needs", "expected"),
    [
        (None, "Succeeded", Prospect.MISSING),
        (None, "Finished", Prospect.MISSING),
        *[(p, n, Prospect.OPEN) for p in ("Pending", "Queued", "Running") for n in ("Succeeded", "Finished")],
        ("Succeeded", "Succeeded", Prospect.MET),
        *[(p, "Succeeded", Prospect.LOST) for p in ("Failed", "Cancelled", "DeadLettered")],
        *[(p, "Finished", Prospect.MET) for p in ("Succeeded", "Failed", "Cancelled", "DeadLettered")],
    ],
)
def test_what_can_be_expected_of_another_task(phase: str | None, needs: str, expected: Prospect) -> None:
    assert other("a", phase, needs).prospect is expected


@pytest.mark.parametrize(
    ("prerequisites", "phase", "reason", "words"),
    [
        ([], TaskPhase.QUEUED, "WaitingForAgent", "will take it"),
        ([other()], TaskPhase.QUEUED, "WaitingForAgent", "will take it"),
        ([other(phase="Failed", needs="Finished")], TaskPhase.QUEUED, "WaitingForAgent", "will take it"),
        (
            [other(), other("b", "Running")],
            TaskPhase.PENDING,
            "WaitingForDependencies",
            "waits for b to finish",
        ),
        ([other("b", "Running"), other("c", None)], TaskPhase.PENDING, "DependencyMissing", "no Task c;"),
        (
            [other(f"b{n}", "Queued") for n in range(8)],
            TaskPhase.PENDING,
            "WaitingForDependencies",
            "waits for b0, b1, b2, b3, b4 and 3 more to finish",
        ),
    ],
)
def test_a_task_is_queued_when_all_it_depends_on_holds(
    prerequisites: list[Prerequisite], phase: TaskPhase, reason: str, words: str
) -> None:
    decision = decide(observed(*prerequisites), at(1))
    assert (decision.status.phase, decision.status.reason) == (phase, reason)
    assert decision.publish == (phase is TaskPhase.QUEUED)
    assert decision.status.attempt == (1 if decision.publish else 0)
    condition = find_condition(decision.status.conditions, "Started")
    assert condition
    assert words in condition.message


@pytest.mark.parametrize("suspend", [False, True])
def test_what_cannot_come_any_more_fails_the_task(suspend: bool) -> None:
    lost = other("b", "Failed", reason="DependencyFailed")
    decision = decide(observed(other("a", "Running"), lost, other("c", "Cancelled"), suspend=suspend), at(1))
    assert (decision.status.phase, decision.status.reason) == (TaskPhase.FAILED, "DependencyFailed")
    assert decision.status.error
    assert decision.status.error.message == (
        "Task b had to succeed, and is Failed (DependencyFailed), and 1 more did not succeed"
    )
    assert [e.reason for e in decision.events] == ["DependencyFailed"]
    assert not decision.publish
    assert not decision.dead_letter


def test_a_cycle_fails_the_task_and_is_named() -> None:
    decision = decide(observed(other("b", "Pending"), cycle=("a", "b", "a")), at(1))
    assert (decision.status.phase, decision.status.reason) == (TaskPhase.FAILED, "DependencyCycle")
    assert decision.status.error
    assert decision.status.error.message.endswith("a -> b -> a")


def test_a_cycle_counts_for_more_than_a_member_that_failed_for_it() -> None:
    seen = other("b", "Failed", needs="Finished", reason="DependencyCycle")
    assert decide(observed(seen, cycle=("a", "b", "a")), at(1)).status.reason == "DependencyCycle"


def test_a_long_cycle_is_named_in_part() -> None:
    names = tuple(f"t{n}" for n in range(100))
    decision = decide(observed(other("t1", "Pending"), cycle=(*names, "t0")), at(1))
    assert decision.status.error
    assert decision.status.error.message.endswith("t0 -> t1 -> t2 -> t3 -> t4 -> 95 more -> t0")


def test_suspension_and_cancellation_work_on_one_that_waits() -> None:
    waiting = decide(observed(other(phase="Running")), at(1)).status
    suspended = decide(observed(other(phase="Running"), status=waiting, suspend=True), at(2)).status
    assert (suspended.phase, suspended.reason) == (TaskPhase.PENDING, "Suspended")
    held = decide(observed(other(), status=suspended, suspend=True), at(3))
    assert not held.publish
    resumed = decide(observed(other(phase="Running"), status=held.status), at(4)).status
    assert (resumed.reason, resumed.resumed_at) == ("WaitingForDependencies", at(4))
    gone = decide(observed(other(phase="Running"), status=resumed, cancel=CancelMode.GRACEFUL), at(5)).status
    assert gone.phase == TaskPhase.CANCELLED


class TestQueueDeadline:
    def test_it_stands_still_while_another_is_under_way(self) -> None:
        decision = decide(observed(other(phase="Running"), queue_deadline_seconds=10), at(9000))
        assert (decision.status.reason, decision.wake_at) == ("WaitingForDependencies", None)

    def test_it_counts_from_the_end_of_the_last_one(self) -> None:
        ends = (other("a", completed_at=at(500)), other("b", completed_at=at(100)))
        late = observed(*ends, broker_error="refused", queue_deadline_seconds=10)
        assert decide(late, at(509)).status.reason == "BrokerUnreachable"
        assert decide(late, at(510)).status.reason == "QueueDeadlineExceeded"

    def test_it_counts_on_when_the_task_is_queued(self) -> None:
        seen = other("a", completed_at=at(500))
        queued = decide(observed(seen, queue_deadline_seconds=10), at(501)).status
        assert queued.phase == TaskPhase.QUEUED
        again = observed(seen, status=queued, queue_deadline_seconds=10)
        assert decide(again, at(509)).status.phase == TaskPhase.QUEUED
        assert decide(again, at(510)).status.reason == "QueueDeadlineExceeded"

    def test_it_runs_while_one_is_missing(self) -> None:
        missing = observed(
            other("a", None), other("b", "Running"), missing_since=at(300), queue_deadline_seconds=10
        )
        waiting = decide(missing, at(309))
        assert (waiting.status.reason, waiting.wake_at) == ("DependencyMissing", at(310))
        assert decide(missing, at(310)).status.reason == "QueueDeadlineExceeded"


class TestInputs:
    def test_they_are_the_results_by_name_and_null_without_success(self) -> None:
        seen = (
            other("a", result={"n": 1}),
            other("b", result=None),
            other("c", "Failed", "Finished", result="of an attempt before"),
        )
        assert inputs_of(seen) == {"a": {"n": 1}, "b": None, "c": None}

    def test_too_much_fails_the_task(self) -> None:
        half = "x" * (MAX_INPUTS_BYTES // 2)
        decision = decide(observed(other("a", result=half), other("b", result=half)), at(1))
        assert (decision.status.phase, decision.status.reason) == (TaskPhase.FAILED, "InputsTooLarge")
        assert not decision.publish

    @pytest.mark.parametrize(("spare", "phase"), [(0, TaskPhase.QUEUED), (-1, TaskPhase.FAILED)])
    def test_the_limit_is_exact(self, spare: int, phase: TaskPhase) -> None:
        around = len('{"a":""}')
        result = "x" * (MAX_INPUTS_BYTES - around - spare)
        assert decide(observed(other("a", result=result)), at(1)).status.phase == phase


class TestAfterTheFirstAttempt:
    def test_a_retry_whose_inputs_are_not_known_any_more_waits(self) -> None:
        tried = TaskStatus(
            phase=TaskPhase.PENDING,
            reason="Backoff",
            attempt=1,
            attempts=(Attempt(attempt=1),),
            next_attempt_time=at(5),
        )
        assert decide(observed(other(phase=None), status=tried), at(4)).status.reason == "Backoff"
        waiting = decide(observed(other(phase=None), status=tried), at(6))
        assert (waiting.publish, waiting.status.reason) == (False, "DependencyMissing")
        again = decide(observed(other(), status=waiting.status), at(7))
        assert (again.publish, again.status.attempt) == (True, 2)

    def test_a_lost_message_is_not_published_again_without_its_inputs(self) -> None:
        queued = decide(observed(other()), at(1)).status
        decision = decide(observed(other(phase=None), status=queued, message_lost=True), at(2))
        status = decision.status
        assert (decision.publish, decision.supersede) == (False, MessageNumber(1, 1))
        assert (status.phase, status.reason, status.attempt) == (TaskPhase.PENDING, "DependencyMissing", 0)
        assert decide(observed(other(), status=queued, message_lost=True), at(2)).publish

    def test_one_that_is_queued_stays_so_whatever_becomes_of_the_others(self) -> None:
        queued = decide(observed(other()), at(1)).status
        assert decide(observed(other(phase="Failed"), status=queued), at(2)).status.phase == TaskPhase.QUEUED


@pytest.mark.parametrize("needed", [False, True])
def test_a_task_that_others_need_outlives_its_ttl(needed: bool) -> None:
    done = TaskStatus(phase=TaskPhase.SUCCEEDED, completed_at=at(0), observed_generation=1)
    decision = decide(observed(status=done, needed=needed, ttl_seconds_after_finished=10), at(11))
    assert (decision.delete, decision.wake_at) == (not needed, None)


def test_which_tasks_are_still_waited_for_is_a_change_of_words_only() -> None:
    two = decide(observed(other("a", "Running"), other("b", "Running")), at(1)).status
    one = decide(observed(other("a"), other("b", "Running"), status=two), at(2)).status
    queued = decide(observed(other("a"), other("b"), status=one), at(3)).status
    assert one != two
    assert only_rewords(two, one)
    assert not only_rewords(TaskStatus(), two)
    assert not only_rewords(one, queued)
    assert timedelta(seconds=1) < REWORD
