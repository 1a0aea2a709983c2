"""Tables over Tasks that are suspended and resumed."""

from dataclasses import replace
from typing import Any

import pytest

from harebell_bus.envelopes import Interrupted, Started
from harebell_crds.conditions import ConditionStatus, find_condition
from harebell_crds.task import CancelMode, TaskPhase, TaskStatus
from harebell_operator.decide.lanes import MessageNumber, newest_message
from harebell_operator.decide.observation import (
    TaskDecision,
    Undelivered,
)
from harebell_operator.decide.task import decide

from .tables import ANNA, REF, at, observed


def withdrawn() -> TaskDecision:
    """A Queued Task that is suspended."""
    return decide(observed(decide(observed(), at(0)).status, suspend=True), at(1))


def test_one_created_suspended_waits_and_says_so() -> None:
    decision = decide(observed(suspend=True), at(0))
    assert (decision.publish, decision.supersede, decision.wake_at) == (False, None, None)
    status = decision.status
    assert (status.phase or TaskPhase.PENDING, status.reason, status.attempt) == (
        TaskPhase.PENDING,
        "Suspended",
        0,
    )
    started = find_condition(status.conditions, "Started")
    assert started
    assert (started.status, started.reason) == (ConditionStatus.FALSE, "Suspended")


def test_the_message_of_a_queued_one_is_void_from_then_on() -> None:
    decision = withdrawn()
    assert decision.supersede == MessageNumber(1, 1)
    assert not decision.publish
    status = decision.status
    assert (status.phase, status.reason, status.attempt) == (TaskPhase.PENDING, "Suspended", 0)
    assert status.queued_at is None


def test_resumed_it_is_published_with_a_number_that_counts() -> None:
    resumed = decide(observed(withdrawn().status), at(2))
    assert (resumed.publish, resumed.supersede) == (True, None)
    status = resumed.status
    assert (status.phase, status.attempt, status.dispatch) == (TaskPhase.QUEUED, 1, 1)
    assert newest_message(status) == MessageNumber(1, 1)


def test_it_settles() -> None:
    status = withdrawn().status
    again = decide(observed(status, suspend=True), at(60))
    assert (again.status, again.supersede, again.events) == (status, None, ())


def test_a_start_that_was_under_way_counts() -> None:
    begun = decide(observed(withdrawn().status, Started(task=REF, attempt=1, agent=ANNA, at=at(1)),
                            suspend=True), at(2))  # fmt: skip
    assert (begun.status.phase, begun.status.agent_name, begun.stop) == (TaskPhase.RUNNING, "anna", ())


def test_a_running_attempt_goes_on_and_the_next_one_waits() -> None:
    queued = decide(observed(), at(0)).status
    running = decide(observed(queued, Started(task=REF, attempt=1, agent=ANNA, at=at(1))), at(1)).status
    decision = decide(observed(running, suspend=True), at(2))
    assert (decision.status.phase, decision.stop) == (TaskPhase.RUNNING, ())
    back = Interrupted(task=REF, attempt=1, agent=ANNA, at=at(3))
    ended = decide(observed(decision.status, back, suspend=True), at(3))
    assert (ended.status.phase, ended.status.reason, ended.publish) == (TaskPhase.PENDING, "Suspended", False)


def test_what_the_broker_says_of_a_withdrawn_message_changes_nothing() -> None:
    decision = decide(observed(withdrawn().status, Undelivered(REF, 1, dispatch=0), suspend=True), at(2))
    assert (decision.status.phase, decision.stale_replies) == (TaskPhase.PENDING, 1)


def test_it_is_not_withdrawn_while_agents_cannot_be_told() -> None:
    queued = decide(observed(), at(0)).status
    decision = decide(replace(observed(queued, suspend=True, broker_error="away"), generation=2), at(1))
    assert (decision.status.phase, decision.supersede) == (TaskPhase.QUEUED, None)
    assert decision.status.observed_generation != 2
    assert decision.wake_at is not None


def test_cancelled_while_suspended_its_message_stays_void() -> None:
    decision = decide(observed(withdrawn().status, suspend=True, cancel=CancelMode.GRACEFUL), at(2))
    assert decision.status.phase == TaskPhase.CANCELLED
    number = newest_message(decision.status)
    assert number is not None
    assert number > MessageNumber(1, 0)


@pytest.mark.parametrize(
    ("suspend", "seconds", "phase"),
    [
        (True, 1000, TaskPhase.PENDING),
        (False, 1000, TaskPhase.QUEUED),
    ],
)
def test_the_queue_deadline_stands_still(suspend: bool, seconds: float, phase: TaskPhase) -> None:
    spec: dict[str, Any] = {"queue_deadline_seconds": 60}
    waiting = decide(observed(suspend=True, **spec), at(0)).status
    assert decide(observed(waiting, suspend=suspend, **spec), at(seconds)).status.phase == phase


def test_the_queue_deadline_begins_anew() -> None:
    spec: dict[str, Any] = {"queue_deadline_seconds": 60}
    waiting = decide(observed(suspend=True, **spec), at(0)).status
    resumed = decide(observed(waiting, **spec), at(1000)).status
    assert decide(observed(resumed, **spec), at(1059)).status.phase == TaskPhase.QUEUED
    late = decide(observed(resumed, **spec), at(1060)).status
    assert (late.phase, late.reason) == (TaskPhase.FAILED, "QueueDeadlineExceeded")


def test_resumed_before_its_retry_is_due_it_waits_for_that() -> None:
    due = at(100)
    waiting = TaskStatus(phase=TaskPhase.PENDING, reason="Suspended", attempt=1, next_attempt_time=due)
    resumed = decide(observed(waiting), at(10))
    assert (resumed.publish, resumed.status.reason, resumed.wake_at) == (False, "Resumed", due)
    assert resumed.status.resumed_at == at(10)
    later = decide(observed(resumed.status), due)
    assert (later.publish, later.status.attempt, later.status.resumed_at) == (True, 2, at(10))
