"""What is put off until everything is heard that agents have said."""

from datetime import timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import Failed, Started, Succeeded
from harebell_crds.task import TaskPhase, TaskStatus
from harebell_operator.decide.observation import Sighting
from harebell_operator.decide.task import DEADLINE_GRACE, LISTEN, decide

from .tables import at, observed, said

RETRY = {"maxRetries": 3, "backoff": {"initialSeconds": 60, "maxSeconds": 60}}


def queued(**spec: Any) -> TaskStatus:
    return decide(observed(**spec), at(0)).status


def running(**spec: Any) -> TaskStatus:
    return decide(observed(queued(**spec), said(Started), **spec), at(1)).status


OVERDUE = 1 + 10 + DEADLINE_GRACE.total_seconds()


@pytest.mark.parametrize(
    ("status", "given", "due", "ends"),
    [
        (queued(), {"queue_deadline_seconds": 10}, 10, TaskPhase.FAILED),
        (running(), {"active_deadline_seconds": 10}, OVERDUE, TaskPhase.FAILED),
        (running(), {"sighting": Sighting.GONE, "unseen_since": at(9)}, 9, TaskPhase.PENDING),
        (running(), {"sighting": Sighting.FORGOT, "unseen_since": at(9)}, 9, TaskPhase.PENDING),
        (running(), {"sighting": Sighting.GONE, "unseen_since": at(9), "cancel": "Graceful"}, 9,
         TaskPhase.CANCELLED),
    ],
    ids=["deadline of the queue", "deadline", "gone", "forgotten", "cancelled and gone"],
)  # fmt: skip
def test_it_waits_for_what_may_be_on_its_way(
    status: TaskStatus, given: dict[str, Any], due: float, ends: TaskPhase
) -> None:
    now = at(due + 1)
    for heard in (None, at(due) - timedelta(milliseconds=1)):
        put_off = decide(observed(status, heard_until=heard, **given), now)
        assert put_off.status.phase == status.phase
        assert put_off.hear_out
        assert put_off.wake_at is not None
        assert now < put_off.wake_at <= now + LISTEN
    ended = decide(observed(status, heard_until=at(due), **given), now)
    assert ended.status.phase == ends
    assert not ended.hear_out


def test_an_outcome_that_was_on_its_way_counts() -> None:
    spec = {"active_deadline_seconds": 10}
    late = at(600)
    done = decide(observed(running(**spec), said(Succeeded, result=1), heard_until=late, **spec), late)
    assert done.status.phase == TaskPhase.SUCCEEDED


def test_what_was_never_published_need_not_be_heard_of() -> None:
    away: dict[str, Any] = {"broker_error": "down", "heard_until": None}
    status = decide(observed(**away), at(0)).status
    ended = decide(observed(status, queue_deadline_seconds=10, **away), at(10))
    assert ended.status.reason == "QueueDeadlineExceeded"


def test_the_deadline_of_the_queue_does_not_count_while_a_retry_waits_for_its_time() -> None:
    spec = {"retry_policy": RETRY, "queue_deadline_seconds": 20}
    failure = said(Failed, seconds=2, code="Boom", message="no", retryable=True)
    failed = decide(observed(running(**spec), failure, **spec), at(2))
    due = failed.status.next_attempt_time
    assert due is not None
    assert due > at(40)
    assert decide(observed(failed.status, **spec), at(30)).status.phase == TaskPhase.PENDING
    again = decide(observed(failed.status, **spec), due)
    assert again.publish
    soon, late = (due + timedelta(seconds=s) for s in (19, 20))
    assert decide(observed(again.status, **spec), soon).status.phase == TaskPhase.QUEUED
    assert decide(observed(again.status, **spec), late).status.reason == "QueueDeadlineExceeded"
