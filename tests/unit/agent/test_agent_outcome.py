"""What is replied to each ending."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel, Field

from harebell_agent import PermanentError, RetryableError
from harebell_agent.outcome import (
    RESULT_BYTES,
    BadPayload,
    Ending,
    NotOffered,
    Raised,
    Returned,
    StopCause,
    Stopped,
    readable,
    reply_to,
)
from harebell_bus.codec import decode_reply, decode_work, encode
from harebell_bus.envelopes import Cancelled, Failed, Interrupted, Succeeded, Work

from .support import ME, NOW, TASK


class Answer(BaseModel):
    word_count: int = Field(alias="wordCount")


@dataclass
class Plain:
    when: datetime


class Colour(Enum):
    RED = "red"


def test_a_group_says_what_is_in_it() -> None:
    inner = ExceptionGroup("some", [ValueError("no"), RetryableError("busy")])
    failed = reply(Raised(ExceptionGroup("all", [inner, KeyError()])))
    assert isinstance(failed, Failed)
    assert failed.message == "ValueError: no; RetryableError: busy; KeyError: KeyError"


def reply(ending: Ending) -> Succeeded | Failed | Cancelled | Interrupted:
    outcome = reply_to(ending, task=TASK, attempt=3, agent=ME, at=NOW)
    assert decode_reply(encode(outcome)) == outcome
    return outcome


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, None),
        ({"a": [1, 2.5, "x", None, True]}, {"a": [1, 2.5, "x", None, True]}),
        (Answer(wordCount=3), {"wordCount": 3}),
        ([Answer(wordCount=3)], [{"wordCount": 3}]),
        (Plain(NOW), {"when": "2026-01-19T12:00:00Z"}),
        ((1, 2), [1, 2]),
        ([2**63 - 1, -(2**63), 1e300, "9" * 40], [2**63 - 1, -(2**63), 1e300, "9" * 40]),
        (Colour.RED, "red"),
        ("x" * (RESULT_BYTES - 2), "x" * (RESULT_BYTES - 2)),
    ],
)
def test_a_result(value: Any, result: Any) -> None:
    assert reply(Returned(value)) == Succeeded(task=TASK, attempt=3, agent=ME, at=NOW, result=result)


class OutOfMemoryError(Exception):
    pass


cyclic: list[Any] = []
cyclic.append(cyclic)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


FAILURES = [
    (Returned(nested(190)), "InvalidResult", "no form in JSON: recursion limit", False),
    (Returned(nested(300)), "InvalidResult", "no form in JSON", False),
    (Returned("x" * (RESULT_BYTES - 1)), "ResultTooLarge", "65537 bytes", False),
    (Returned("é" * (RESULT_BYTES // 2)), "ResultTooLarge", "65538 bytes", False),
    (Returned(object()), "InvalidResult", "no form in JSON", False),
    (Returned(math.nan), "InvalidResult", "no form in JSON", False),
    (Returned([2**63]), "InvalidResult", "9223372036854775808 is no integer of 64 bits", False),
    (Returned({"a": -(2**63) - 1}), "InvalidResult", "no integer of 64 bits", False),
    (Returned(cyclic), "InvalidResult", "no form in JSON", False),
    (Returned("\ud800"), "InvalidResult", "no form in JSON", False),
    (Raised(OutOfMemoryError("GPU 0 is full")), "OutOfMemoryError", "GPU 0 is full", True),
    (Raised(TimeoutError()), "TimeoutError", "TimeoutError", True),
    (Raised(SystemExit(3)), "SystemExit", "3", True),
    (Raised(RetryableError("busy", code="ModelBusy")), "ModelBusy", "busy", True),
    (Raised(RetryableError("busy")), "RetryableError", "busy", True),
    (Raised(PermanentError("no such file", code="NotFound")), "NotFound", "no such file", False),
    (Raised(ValueError("raw \udcff")), "ValueError", "raw \\udcff", True),
    (Raised(ValueError("x" * 9000)), "ValueError", "x" * 8192, True),
    (NotOffered("count", ("b", "a")), "UnknownAction", "no action 'count'; it offers a, b", False),
    (BadPayload("text: Field required"), "InvalidPayload", "text: Field required", False),
    (Stopped(StopCause.DEADLINE, "ran longer than 5 s"), "DeadlineExceeded", "ran longer than 5 s", False),
]


@pytest.mark.parametrize(("ending", "code", "message", "retryable"), FAILURES, ids=lambda v: str(v)[:30])
def test_a_failure(ending: Ending, code: str, message: str, retryable: bool) -> None:
    failed = reply(ending)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retryable) == (code, retryable)
    assert message in failed.message
    assert len(failed.message) <= 8192


def deepest() -> int:
    """Return how many levels a result may have."""
    return next(n for n in range(1000) if isinstance(reply(Returned(nested(n + 1))), Failed))


def test_the_deepest_result_can_be_read_wherever_it_goes() -> None:
    result = nested(deepest())
    assert reply(Returned(result)) == Succeeded(task=TASK, attempt=3, agent=ME, at=NOW, result=result)
    work = Work(
        task=TASK, attempt=1, agent_type="text", action="act", payload={}, priority="normal",
        published_at=NOW, inputs={"before": result}, checkpoint=result,
    )  # fmt: skip
    assert decode_work(encode(work)) == work
    # A payload may have 100, and what is nested deeper than 180 in a resource is not shown.
    assert 100 <= deepest() <= 180 - len(("status", "history", "0", "result"))


def test_a_stop() -> None:
    assert isinstance(reply(Stopped(StopCause.CANCELLED, "not needed")), Cancelled)
    interrupted = reply(Stopped(StopCause.SHUTDOWN, "shut down"))
    assert isinstance(interrupted, Interrupted)
    assert interrupted.message == "shut down"


def test_readable_keeps_what_can_be_read() -> None:
    assert readable("Größe \U0001f514") == "Größe \U0001f514"
