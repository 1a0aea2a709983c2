"""What is made of the words of agents whose clocks are wrong, or that were written without the SDK."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harebell_bus.envelopes import Checkpointed, Failed, Started, Succeeded
from harebell_crds.task import MAX_CHECKPOINT_BYTES, MAX_RESULT_BYTES, TaskPhase, TaskStatus
from harebell_operator.decide.task import decide

from .tables import at, observed, said

CLOCKS = ["right", "behind", "ahead", "first", "last"]


def shown(clock: str, now: datetime) -> datetime:
    """What an agent's clock shows."""
    match clock:
        case "behind":
            return now - timedelta(minutes=2)
        case "ahead":
            return now + timedelta(hours=1)
        case "first":
            return datetime.min.replace(tzinfo=UTC)
        case "last":
            return datetime.max.replace(tzinfo=UTC)
        case _:
            return now


def told(status: TaskStatus, kind: type[Any], clock: str, seconds: float, **more: Any) -> TaskStatus:
    """Return the status after something was said at a time, by a clock, and heard at once."""
    spec = more.pop("spec")
    reply = said(kind, **more).model_copy(update={"at": shown(clock, at(seconds))})
    return decide(observed(status, reply, **spec), at(seconds)).status


@pytest.mark.parametrize("clock", CLOCKS)
def test_no_clock_brings_a_deadline_or_the_end_of_the_task_near(clock: str) -> None:
    spec: dict[str, Any] = {
        "active_deadline_seconds": 60,
        "queue_deadline_seconds": 60,
        "ttl_seconds_after_finished": 60,
        "retry_policy": {"maxRetries": 1, "backoff": {"initialSeconds": 1, "maxSeconds": 1}},
    }
    queued = decide(observed(**spec), at(0)).status
    running = told(queued, Started, clock, 2, spec=spec)
    assert running.phase == TaskPhase.RUNNING
    assert running.started_at is not None
    assert at(0) <= running.started_at <= at(2)
    more = {"code": "Boom", "message": "no", "retryable": True}
    failed = told(running, Failed, clock, 50, spec=spec, **more)
    assert failed.phase == TaskPhase.PENDING
    again = decide(observed(failed, **spec), at(52)).status
    again = told(again, Started, clock, 53, attempt=2, spec=spec)
    done = told(again, Succeeded, clock, 54, attempt=2, spec=spec)
    assert done.phase == TaskPhase.SUCCEEDED
    assert done.completed_at is not None
    assert at(52) <= done.completed_at <= at(54)
    assert not decide(observed(done, **spec), at(110)).delete
    assert decide(observed(done, **spec), at(115)).delete


def test_a_result_that_no_status_can_hold_ends_the_task() -> None:
    running = decide(observed(decide(observed(), at(0)).status, said(Started)), at(1)).status
    most = "x" * (MAX_RESULT_BYTES - 2)
    kept = decide(observed(running, said(Succeeded, result=most)), at(2)).status
    assert (kept.phase, kept.result) == (TaskPhase.SUCCEEDED, most)
    refused = decide(observed(running, said(Succeeded, result=most + "x")), at(2)).status
    assert (refused.phase, refused.reason, refused.result) == (TaskPhase.FAILED, "ResultTooLarge", None)
    assert refused.error is not None
    assert refused.error.message == "the result is 65537 bytes as JSON; 65536 are allowed"


def test_a_checkpoint_that_no_status_can_hold_is_passed_over() -> None:
    running = decide(observed(decide(observed(), at(0)).status, said(Started)), at(1)).status
    saved = decide(observed(running, said(Checkpointed, data={"page": 1})), at(2)).status
    large = said(Checkpointed, seconds=3, data="x" * MAX_CHECKPOINT_BYTES)
    after = decide(observed(saved, large), at(3)).status
    assert after.checkpoint is not None
    assert after.checkpoint.data == {"page": 1}
