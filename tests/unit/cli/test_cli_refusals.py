"""What is said when the API server refuses, and that it says what to do."""

from typing import Any

import pytest

from harebell_cli.connection import Answer
from harebell_cli.refusals import refusal


def status(code: int, reason: str, message: str = "so it is", **details: Any) -> Answer:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "details": details}
    return Answer(code, body)


@pytest.mark.parametrize(
    ("answer", "verb", "name", "said"),
    [
        (Answer(404, {}), "list", "", "harebell is not installed in it. Install its chart"),
        (
            status(404, "NotFound", kind="tasks"),
            "read",
            "t",
            "there is no Task t in namespace work; kubectl get tasks.harebell.dev -n work shows",
        ),
        (
            status(404, "NotFound", kind="namespaces"),
            "create",
            "t",
            "there is no namespace work; name another",
        ),
        (status(401, "Unauthorized"), "list", "", "Log in again"),
        (
            status(403, "Forbidden", "tasks is forbidden"),
            "change",
            "t",
            "you may not change Task t in namespace work: tasks is forbidden. It takes the right to patch"
            " tasks.harebell.dev, which the role edit has",
        ),
        (status(403, "Forbidden"), "watch", "t", "the role view has"),
        (status(409, "AlreadyExists"), "create", "t", "there is a Task t in namespace work already"),
        (status(409, "Conflict"), "change", "t", "was changed, or replaced, at the same time"),
        (
            status(422, "Invalid", "spec.action: bad"),
            "create",
            "",
            "cannot create Tasks in namespace work: spec.",
        ),
        (status(503, ""), "list", "", "Try again later"),
        (Answer(502, {}), "read", "t", "cannot read Task t in namespace work: status 502"),
    ],
)
def test_refusals(answer: Answer, verb: str, name: str, said: str) -> None:
    error = refusal(answer, verb, "tasks", name, "work")
    assert said in str(error)
    assert (error.status, error.reason) == (answer.status, answer.body.get("reason", ""))


def test_events_are_of_another_group() -> None:
    assert "to list events, which" in str(refusal(status(403, "Forbidden"), "list", "events", "", "work"))
    assert "Bus b" in str(refusal(status(404, "NotFound"), "read", "buses", "b", "work"))
