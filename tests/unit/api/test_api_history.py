"""What the archive's messages tell of a Task."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from unittest.mock import AsyncMock

import asyncpg
import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies, create_app
from harebell_api.archive import PostgreSQL
from harebell_api.history import Deletion, Message, document, parsed
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.models import TaskDocument
from harebell_api.problems import ProblemError, ProblemType

from .fakes import AUTH, FakeStore, task, uid_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ANNA, BERT = "anna", "bert"


def message(
    seconds: int, kind: str, attempt: int = 1, exchange: str = "harebell.replies", **body: Any
) -> Message:
    at = (T0 + timedelta(seconds=seconds)).isoformat()
    said = {"kind": kind, "attempt": attempt, "at": at, **body}
    return Message("uid", "ns", "t", T0 + timedelta(seconds=seconds), exchange, kind, said)


def work(seconds: int = 0, attempt: int = 1, exchange: str = "harebell.work") -> Message:
    asked = {"agentType": "text", "action": "echo", "priority": "high", "payload": {"secret": 1}}
    return message(seconds, "Work", attempt, exchange, **asked)


def by(agent: str, seconds: int, kind: str, attempt: int = 1, **body: Any) -> Message:
    return message(seconds, kind, attempt, agent={"id": agent, "instance": f"{agent}-1"}, **body)


def removed(**status: Any) -> Message:
    return message(
        99,
        "Removed",
        1,
        "harebell.records",
        spec={"agentType": "text", "action": "echo", "priority": "low"},
        status=status,
        labels={"team": "a"},
        createdAt="2026-01-01T00:00:00Z",
    )


def test_the_record_of_the_deletion_says_everything() -> None:
    status = {
        "phase": "Failed",
        "reason": "DeadlineExceeded",
        "attempt": 1,
        "error": {"code": "a", "message": "b"},
    }
    found = document([by(ANNA, 1, "Started"), work(), removed(**status)])
    assert found is not None
    TaskDocument.model_validate(found)
    assert (found["phase"], found["reason"], found["error"]) == (
        "Failed",
        "DeadlineExceeded",
        status["error"],
    )
    assert (found["source"], found["labels"], found["uid"], found["taskId"]) == (
        "archive",
        {"team": "a"},
        "uid",
        "t",
    )
    assert found["resourceVersion"] is None
    assert "payload" not in found


@pytest.mark.parametrize(
    ("messages", "phase", "attempt", "result"),
    [
        ([work()], "Unknown", 1, None),
        ([work(), by(ANNA, 1, "Started")], "Unknown", 1, None),
        ([work(), by(ANNA, 1, "Started"), by(ANNA, 2, "Succeeded", result=7)], "Succeeded", 1, 7),
        # The order of arrival is not that of the list.
        ([by(ANNA, 2, "Succeeded", result=7), by(ANNA, 1, "Started"), work()], "Succeeded", 1, 7),
        # An outcome of who never had the attempt.
        ([work(), by(ANNA, 1, "Started"), by(BERT, 2, "Succeeded", result=7)], "Unknown", 1, None),
        ([work(), by(BERT, 2, "Succeeded", result=7)], "Unknown", 1, None),
        # An outcome of an attempt that another one has followed.
        (
            [work(), by(ANNA, 1, "Started"), work(2, 2), by(ANNA, 3, "Succeeded", result=7)],
            "Unknown",
            2,
            None,
        ),
        ([work(), by(ANNA, 1, "Started"), by(ANNA, 2, "Cancelled")], "Unknown", 1, None),
        ([work(), work(5, 1, "harebell.dead-letters")], "DeadLettered", 1, None),
    ],
)
def test_without_it_what_agents_said_is_told(
    messages: list[Message], phase: str, attempt: int, result: Any
) -> None:
    found = document(messages)
    assert found is not None
    TaskDocument.model_validate(found)
    assert (found["phase"], found["attempt"], found["result"]) == (phase, attempt, result)
    assert (found["agentType"], found["action"], found["priority"]) == ("text", "echo", "high")


WHOLE = {"attempt": 1, "at": "2026-01-01T00:00:01Z", "agent": {"id": ANNA}, "code": "c", "message": "m"}


ODD: list[tuple[str, list[Any]]] = [
    ("attempt", ["x", "1", [], {}, True, -1, 0, 1.5, None]),
    ("agent", ["x", 5, [], None, {}, {"id": None}, {"id": ["x"]}]),
    ("at", [None, 5, {}]),
]


@pytest.mark.parametrize("kind", ["Started", "Succeeded", "Failed"])
@pytest.mark.parametrize("odd", [{}, *({name: value} for name, values in ODD for value in values)])
def test_replies_that_nobody_can_read_never_counted(kind: str, odd: dict[str, Any]) -> None:
    said = {**WHOLE, **odd} if odd else {}
    forged = Message("uid", "ns", "t", T0 + timedelta(seconds=1), "harebell.replies", kind, said)
    told = [work(), by(ANNA, 2, "Started"), by(ANNA, 3, "Succeeded", result=7)]
    assert document([forged, *told]) == document(told)


@pytest.mark.parametrize("odd", [{"code": None}, {"message": 5}])
def test_a_failure_without_words_never_counted(odd: dict[str, Any]) -> None:
    failed = by(ANNA, 2, "Failed", **{"code": "c", "message": "m", **odd})
    found = document([work(), by(ANNA, 1, "Started"), failed])
    assert found is not None
    assert (found["phase"], found["error"]) == ("Unknown", None)


def test_work_that_an_agent_made_up_is_none() -> None:
    forged = [work(5, 7, exchange) for exchange in ("harebell.replies", "harebell.dead-letters")]
    assert document(forged) is None
    found = document([work(), forged[0]])
    assert found is not None
    assert found["attempt"] == 1


def test_a_reply_among_the_dead_letters_buries_no_task() -> None:
    """It is there because the operator could not read it."""
    unread = by(ANNA, 2, "Succeeded", result=7)
    found = document([work(), by(ANNA, 1, "Started"), replace(unread, exchange="harebell.dead-letters")])
    assert found is not None
    assert (found["phase"], found["result"]) == ("Unknown", None)


def test_the_broker_tells_whole_seconds_so_what_follows_from_what_decides() -> None:
    """Whatever order the messages of one second are found in."""
    told = [
        work(),
        by(ANNA, 0, "Started"),
        by(ANNA, 0, "Failed", code="c", message="m"),
        work(0, 2),
        by(BERT, 0, "Started", 2),
        by(BERT, 0, "Succeeded", 2, result=7),
    ]
    for messages in permutations(told):
        found = document(messages)
        assert found is not None
        assert (found["phase"], found["attempt"], found["result"]) == ("Succeeded", 2, 7)
        assert [a["outcome"] for a in found["attempts"]] == ["Failed", "Succeeded"]


def test_attempts_are_told_one_by_one() -> None:
    failed = by(ANNA, 2, "Failed", code="Boom", message="no")
    messages = [
        work(),
        by(ANNA, 1, "Started"),
        failed,
        work(3, 2),
        by(BERT, 4, "Started", 2),
        by(BERT, 5, "Interrupted", 2),
    ]
    found = document(messages)
    assert found is not None
    told = [(a["attempt"], a["agentName"], a["outcome"]) for a in found["attempts"]]
    assert told == [(1, ANNA, "Failed"), (2, BERT, "Interrupted")]
    assert document([*messages[:3]])["error"] == {"code": "Boom", "message": "no"}  # type: ignore[index]


def test_of_nothing_nothing_is_told() -> None:
    assert document([]) is None
    assert document([by(ANNA, 1, "Started")]) is None


@pytest.mark.parametrize(
    ("body", "raw", "content"),
    [
        ('{"a": 1}', None, {"a": 1}),
        (None, b'{"a": "\\u0000"}', {"a": "\0"}),
        (None, b"\xff", None),
        ("[]", None, None),
        (None, None, None),
    ],
)
def test_bodies_that_postgresql_could_not_read(body: str | None, raw: bytes | None, content: Any) -> None:
    assert parsed(body, raw) == content


class FakeArchive:
    def __init__(self, *known: str, names: Collection[str] = (), down: bool = False) -> None:
        self.known, self.names, self.down = known, names, down
        self.asked: list[tuple[str, str, bool]] = []

    async def find(self, namespace: str, task_id: str, *, is_uid: bool) -> bytes | None:
        self.asked.append((namespace, task_id, is_uid))
        if self.down:
            raise ProblemError(ProblemType.UNAVAILABLE, "down", headers={"Retry-After": "10"})
        return b'{"source":"archive","agentType":"text"}' if self._knows(task_id, is_uid) else None

    def _knows(self, task_id: str, is_uid: bool) -> bool:
        return task_id in self.known or (not is_uid and task_id in self.names)

    async def removed_since(self, namespace: str, since: datetime) -> list[Deletion]:
        return []


def client(parts: Dependencies, archive: FakeArchive) -> TestClient:
    given = Dependencies(parts.namespace, parts.store, parts.keys, archive)
    return TestClient(create_app(given), headers=AUTH, raise_server_exceptions=False)


def test_a_task_that_is_gone_is_looked_for_in_the_archive(parts: Dependencies) -> None:
    archive = FakeArchive("old", uid_of(1))
    asking = client(parts, archive)
    for task_id in ("old", uid_of(1)):
        answer = asking.get(f"/api/v1/status/{task_id}")
        assert answer.status_code == 200
        assert answer.json() == {"source": "archive", "agentType": "text", "queue": None}
    assert archive.asked == [("work", "old", False), ("work", uid_of(1), True)]
    parts.store.failure = ApiServerUnreachableError("down")  # type: ignore[attr-defined]
    assert asking.get(f"/api/v1/status/{uid_of(1)}").status_code == 200
    assert asking.get("/api/v1/status/unknown").status_code == 404
    assert asking.post("/api/v1/cancel/old").status_code == 404


def test_a_name_that_looks_like_a_uid_is_looked_for_in_the_archive(parts: Dependencies) -> None:
    archive = FakeArchive(names=[uid_of(3)])
    asking = client(parts, archive)
    assert asking.get(f"/api/v1/status/{uid_of(3)}").status_code == 200
    assert asking.get(f"/api/v1/status/{uid_of(4)}").status_code == 404


def test_what_cannot_be_a_task_is_not_looked_for(parts: Dependencies) -> None:
    archive = FakeArchive()
    assert client(parts, archive).get(f"/api/v1/status/{'x' * 254}").status_code == 404
    assert client(parts, archive).get("/api/v1/status/No_Name").status_code == 404
    assert archive.asked == []


def test_an_archive_that_is_away_matters_only_for_tasks_that_are_gone(
    parts: Dependencies, store: FakeStore
) -> None:
    store.add(task("here"))
    asking = client(parts, FakeArchive(down=True))
    found = asking.get("/api/v1/status/here")
    assert (found.status_code, found.json()["source"]) == (200, "cluster")
    answer = asking.get("/api/v1/status/gone")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (asyncpg.OutOfMemoryError("out of shared memory"), "max_locks_per_transaction"),
        (asyncpg.ConnectionDoesNotExistError("gone"), "the archive cannot be read now"),
        (TimeoutError(), "the archive cannot be read now"),
    ],
)
async def test_an_archive_that_fails_is_unavailable_and_what_can_be_mended_is_said(
    failure: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = PostgreSQL(lambda: "postgresql://nowhere")
    monkeypatch.setattr(archive, "_fetch", AsyncMock(side_effect=failure))
    questions = (
        lambda: archive.find("ns", "t", is_uid=False),
        lambda: archive.find("ns", "u", is_uid=True),
        lambda: archive.removed_since("ns", T0),
    )
    for question in questions:
        with pytest.raises(ProblemError) as failed:
            await question()
        assert failed.value.problem.type is ProblemType.UNAVAILABLE
        assert told in failed.value.problem.detail
        assert failed.value.problem.headers["Retry-After"] == "10"
