"""What is told of a Task that somebody follows."""

import pytest

from harebell_cli.exits import DONE, FAILED
from harebell_cli.news import ending, exit_status, news
from harebell_cli.tasks import Task

from .objects import attempt, task, waiting

_ERROR = {"code": "Boom", "message": "no luck"}
_LAST = attempt(2, "Failed", "no luck")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, task(phase=None), ["Pending"]),
        (task(phase=None), task(phase="Queued"), ["Queued"]),
        (task(phase="Queued"), task(phase="Queued"), []),
        (task(phase="Queued"), waiting("NoAgent", "none is online"), ["Queued: NoAgent, none is online"]),
        (waiting("NoAgent", "none"), waiting("NoAgent", "none"), []),
        (waiting("NoAgent", "none"), waiting("AgentsBusy"), ["Queued: AgentsBusy"]),
        (task(phase="Queued"), task(attempts=[attempt()]), ["Running: attempt 1 on a-1"]),
        (task(attempts=[attempt()]), task(attempts=[attempt()]), []),
        (
            task(attempts=[attempt()]),
            task(attempts=[attempt()], progress={"percent": 50, "message": "half\nway"}),
            ["  50 %: half\n    way"],
        ),
        (task(attempts=[attempt()]), task(attempts=[attempt()], progress={"message": "on it"}), ["  on it"]),
        (
            task(attempts=[attempt()]),
            task(phase="Pending", attempts=[attempt(1, "Failed", "no luck")]),
            ["attempt 1 on a-1: Failed after 2.5s: Boom: no luck", "Pending"],
        ),
        (
            task(phase="Pending", attempts=[attempt(1, "Failed", "no luck")]),
            task(attempts=[attempt(1, "Failed", "no luck"), attempt(2)]),
            ["Running: attempt 2 on a-1"],
        ),
        (
            task(phase="Queued"),
            task(attempts=[attempt(1, "Lost"), attempt(2)]),
            ["attempt 1 on a-1: Lost after 2.5s", "Running: attempt 2 on a-1"],
        ),
        (
            task(attempts=[attempt()]),
            task(phase="Succeeded", attempts=[attempt(1, "Succeeded")]),
            ["Succeeded after 2.5s"],
        ),
        (
            task(attempts=[attempt(1, "Failed", "no luck"), attempt(2)]),
            task(phase="DeadLettered", attempts=[attempt(1, "Failed", "no luck"), _LAST], error=_ERROR),
            ["DeadLettered at attempt 2: Boom: no luck"],
        ),
        (task(phase="Queued"), task(phase="Cancelled", reason="Cancelled"), ["Cancelled"]),
        (task(phase="Queued"), task(phase="Cancelled", reason="Duplicate"), ["Cancelled: Duplicate"]),
        (task(phase="Failed"), task(phase="Failed"), []),
        (None, task(phase="Exploring"), []),  # a phase of a later version
    ],
)
def test_what_is_told(before: Task | None, after: Task, told: list[str]) -> None:
    assert news(before, after) == told


@pytest.mark.parametrize(
    ("phase", "status"),
    [("Succeeded", DONE), ("Failed", FAILED), ("Cancelled", FAILED), ("DeadLettered", FAILED)],
)
def test_exit_statuses(phase: str, status: int) -> None:
    assert exit_status(task(phase=phase)) == status


def test_an_ending_names_the_attempt_that_did_it() -> None:
    found = task(phase="Succeeded", attempts=[attempt(1, "Lost"), attempt(3, "Succeeded")])
    assert ending(found) == "Succeeded after 2.5s at attempt 3"
