"""Tasks that are there: reading, listing, changing and cancelling them."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.kube_errors import ApiServerUnreachableError
from harebell_api.records import task_record

from .asking import dispatch, problem
from .fakes import FakeStore, task, uid_of


@pytest.mark.parametrize("task_id", ["unknown", uid_of(9), "UPPER", "a" * 300, "a%2Fb", ".."])
def test_unknown_tasks(client: TestClient, task_id: str) -> None:
    assert problem(client.get(f"/api/v1/status/{task_id}"))[0] == 404
    assert problem(client.post(f"/api/v1/cancel/{task_id}"))[0] == 404


def test_a_task_made_through_another_replica_is_found(client: TestClient, store: FakeStore) -> None:
    for name in ("elsewhere", uid_of(7)):  # which may look like a UID
        store.add(task(name))
        store.calls.clear()
        assert client.get(f"/api/v1/status/{name}").status_code == 200
        assert client.get(f"/api/v1/status/{name}").status_code == 200
        assert store.calls == ["read"]


def test_an_unknown_task_while_the_api_server_is_down(client: TestClient, store: FakeStore) -> None:
    store.failure = ApiServerUnreachableError("down")
    assert problem(client.get("/api/v1/status/t")) == (503, "unavailable")


@pytest.mark.parametrize(
    ("body", "mode"),
    [
        (None, "Graceful"),
        ({}, "Graceful"),
        ({"mode": "Graceful"}, "Graceful"),
        ({"mode": "Immediate"}, "Immediate"),
    ],
)
def test_cancel(client: TestClient, store: FakeStore, body: dict[str, str] | None, mode: str) -> None:
    store.add(task("t", phase="Running"))
    answer = (
        client.post("/api/v1/cancel/t", json=body) if body is not None else client.post("/api/v1/cancel/t")
    )
    assert (answer.status_code, answer.json()["cancel"]) == (202, mode)
    assert store.tasks["t"]["spec"]["cancel"] == mode
    assert client.get("/api/v1/status/t").json() == {**answer.json(), "queue": None}


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"priority": "high"}, "Disk"),
        ({}, "Memory"),
        ({"priority": "high", "persistence": "Memory"}, "Memory"),
    ],
)
def test_where_the_message_is_kept(
    client: TestClient, store: FakeStore, asked: dict[str, str], shown: str
) -> None:
    answer = dispatch(client, **asked)
    assert (answer.status_code, answer.json()["persistence"]) == (202, shown)
    assert store.tasks[answer.json()["name"]]["spec"].get("persistence") == asked.get("persistence")


@pytest.mark.parametrize("phase", [None, "Pending", "Queued"])
def test_the_priority_of_a_waiting_task_changes(
    client: TestClient, store: FakeStore, phase: str | None
) -> None:
    store.add(task("t", phase=phase))
    answer = client.patch("/api/v1/tasks/t", json={"priority": "critical"})
    assert (answer.status_code, answer.json()["priority"]) == (200, "critical")
    assert answer.json()["persistence"] == "Disk"
    assert store.tasks["t"]["spec"]["priority"] == "critical"
    again = client.patch("/api/v1/tasks/t", json={"priority": "critical"})
    assert (again.status_code, again.json()["priority"]) == (200, "critical")


@pytest.mark.parametrize(
    ("phase", "expected"), [("Running", (409, "task-started")), ("Succeeded", (409, "task-finished"))]
)
@pytest.mark.parametrize("just_now", [True, False])
def test_the_priority_of_another_does_not(
    client: TestClient, store: FakeStore, phase: str, expected: tuple[int, str], just_now: bool
) -> None:
    store.add(task("t", phase="Queued" if just_now else phase))
    store.finish_before_patch = phase
    assert problem(client.patch("/api/v1/tasks/t", json={"priority": "critical"})) == expected
    assert store.tasks["t"]["spec"]["priority"] == "normal"


@pytest.mark.parametrize("body", [{}, {"priority": "urgent"}, {"priority": "low", "suspend": True}])
def test_what_is_to_change_has_to_be_right(client: TestClient, store: FakeStore, body: Any) -> None:
    store.add(task("t"))
    assert problem(client.patch("/api/v1/tasks/t", json=body)) == (422, "invalid")
    assert problem(client.patch("/api/v1/tasks/unknown", json={"priority": "low"})) == (404, "not-found")


def test_cancelling_again_changes_nothing(client: TestClient, store: FakeStore) -> None:
    store.add(task("t", phase="Running"))
    for body, shown in [
        ({}, "Graceful"),
        ({}, "Graceful"),
        ({"mode": "Immediate"}, "Immediate"),
        ({}, "Immediate"),
    ]:
        answer = client.post("/api/v1/cancel/t", json=body)
        assert (answer.status_code, answer.json()["cancel"]) == (202, shown)
    assert store.calls.count("patch") == 2


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Cancelled", "DeadLettered"])
def test_a_finished_task_cannot_be_cancelled(client: TestClient, store: FakeStore, phase: str) -> None:
    store.add(task("t", phase=phase))
    answer = client.post("/api/v1/cancel/t")
    assert problem(answer) == (409, "task-finished")
    assert phase in answer.json()["detail"]
    assert "patch" not in store.calls


def test_a_task_that_finished_unseen(client: TestClient, store: FakeStore) -> None:
    store.add(task("t", phase="Running"))
    store.finish_before_patch = "Succeeded"
    assert problem(client.post("/api/v1/cancel/t")) == (409, "task-finished")


def test_another_request_asked_for_more_unseen(
    client: TestClient, parts: Dependencies, store: FakeStore
) -> None:
    store.add(task("t", 2, phase="Running", spec={"cancel": "Immediate"}))
    parts.task_cache.put(task_record(task("t", 1, phase="Running")))
    answer = client.post("/api/v1/cancel/t")
    assert (answer.status_code, answer.json()["cancel"]) == (202, "Immediate")


def test_a_new_task_of_the_name_is_not_cancelled(
    client: TestClient, parts: Dependencies, store: FakeStore
) -> None:
    store.add(task("t", 2, phase="Running", uid="new"))
    parts.task_cache.put(task_record(task("t", 1, phase="Running", uid="old")))
    assert problem(client.post("/api/v1/cancel/t")) == (409, "conflict")


def test_a_task_deleted_unseen(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.put(task_record(task("t", 1, phase="Running")))
    assert problem(client.post("/api/v1/cancel/t")) == (404, "not-found")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"mode": "graceful"}, (422, "invalid")),
        ({"mood": "Graceful"}, (422, "invalid")),
        ([], (422, "invalid")),
    ],
)
def test_how_to_cancel_has_to_be_right(
    client: TestClient, store: FakeStore, body: Any, expected: tuple[int, str]
) -> None:
    store.add(task("t"))
    assert problem(client.post("/api/v1/cancel/t", json=body)) == expected


def _fill(parts: Dependencies) -> None:
    parts.task_cache.replace(
        [
            task_record(task("a", 1, phase="Running", created="2026-01-01T00:00:01Z", labels={"x": "1"})),
            task_record(
                task("b", 2, phase="Failed", created="2026-01-01T00:00:02Z", spec={"agentType": "infra"})
            ),
            task_record(task("c", 3, created="2026-01-01T00:00:03Z", spec={"priority": "high"})),
        ],
        3,
    )


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "cba"),
        ("?phase=running", "a"),
        ("?phase=Running&phase=FAILED", "ba"),
        ("?phase=Pending", "c"),
        ("?agent_type=infra", "b"),
        ("?priority=high", "c"),
        ("?label_selector=x%3D1", "a"),
        ("?label_selector=x!%3D1&phase=failed", "b"),
        ("?phase=Succeeded", ""),
    ],
)
def test_list(client: TestClient, parts: Dependencies, store: FakeStore, query: str, names: str) -> None:
    _fill(parts)
    answer = client.get(f"/api/v1/tasks{query}")
    assert "".join(item["name"] for item in answer.json()["items"]) == names
    assert answer.json()["nextCursor"] is None
    assert store.calls == []


def test_pages(client: TestClient, parts: Dependencies) -> None:
    _fill(parts)
    first = client.get("/api/v1/tasks?limit=2").json()
    assert [item["name"] for item in first["items"]] == ["c", "b"]
    second = client.get("/api/v1/tasks", params={"limit": 2, "cursor": first["nextCursor"]}).json()
    assert [item["name"] for item in second["items"]] == ["a"]
    assert second["nextCursor"] is None


@pytest.mark.parametrize(
    ("query", "expected", "parameter"),
    [
        ("cursor=x", (400, "invalid-cursor"), "cursor"),
        ("limit=0", (422, "invalid"), "limit"),
        ("limit=501", (422, "invalid"), "limit"),
        ("phase=asleep", (422, "invalid"), "phase"),
        ("priority=urgent", (422, "invalid"), "priority"),
        ("agentType=text", (422, "invalid"), "agentType"),
        ("label_selector=(", (422, "invalid"), "label_selector"),
    ],
)
def test_wrong_parameters_are_named(
    client: TestClient, query: str, expected: tuple[int, str], parameter: str
) -> None:
    answer = client.get(f"/api/v1/tasks?{query}")
    assert problem(answer) == expected
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/nothing", (404, "not-found")),
        ("GET", "/", (404, "not-found")),
        ("GET", "/docs", (404, "not-found")),
        ("GET", "/api/v1/tasks/", (404, "not-found")),
        ("GET", "/api/v1/dispatch", (405, "method-not-allowed")),
        ("DELETE", "/api/v1/status/t", (405, "method-not-allowed")),
    ],
)
def test_paths_and_methods(client: TestClient, method: str, path: str, expected: tuple[int, str]) -> None:
    assert problem(client.request(method, path)) == expected


def test_answers_are_not_to_be_kept(client: TestClient) -> None:
    assert dispatch(client).headers["Cache-Control"] == "no-store"


def test_the_log_says_who_asked_and_never_the_key(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        client.get("/api/v1/tasks?cursor=0123456789abcdef")
        client.get("/healthz")
    lines = [record for record in caplog.records if record.name == "harebell_api.access"]
    assert [line.fields["path"] for line in lines] == ["/api/v1/tasks"]  # type: ignore[attr-defined]
    assert lines[0].fields["client"] == "tester"  # type: ignore[attr-defined]
    assert "0123456789abcdef" not in json.dumps([vars(line) for line in lines], default=str)
