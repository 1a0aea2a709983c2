import json
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_api.limits import MAX_BODY_BYTES
from harebell_api.records import task_record
from harebell_crds.task import MAX_PAYLOAD_BYTES

from .fakes import FakeStore, task, uid_of

BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}


def _dispatch(client: TestClient, key: str | None = None, **changed: Any) -> httpx2.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/api/v1/dispatch", json={**BASE, **changed}, headers=headers)


def _problem(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["instance"] == answer.request.url.path
    assert document["title"]
    assert document["detail"]
    return answer.status_code, document["type"].removeprefix("https://harebell.dev/problems/")


def test_dispatch_makes_a_task_that_is_found_at_once(client: TestClient, store: FakeStore) -> None:
    answer = _dispatch(client, payload={"a": None}, priority="high", labels={"team": "web"})
    assert answer.status_code == 202
    body = answer.json()
    assert body["taskId"] == body["name"]
    assert (body["phase"], body["priority"], body["labels"]) == ("Pending", "high", {"team": "web"})
    assert answer.headers["Location"] == f"/api/v1/status/{body['taskId']}"
    assert "Idempotent-Replayed" not in answer.headers
    assert store.tasks[body["name"]]["spec"]["payload"] == {"a": None}
    found = client.get(answer.headers["Location"])
    assert (found.status_code, found.json()) == (200, {**body, "queue": None})
    assert client.get(f"/api/v1/status/{body['uid']}").json() == found.json()
    assert store.calls == ["create"]


def test_a_name_is_taken_once(client: TestClient) -> None:
    assert _dispatch(client, name="n").json()["taskId"] == "n"
    assert _problem(_dispatch(client, name="n")) == (409, "already-exists")


def test_the_same_key_gives_the_same_task(client: TestClient, store: FakeStore) -> None:
    first, second = _dispatch(client, "k"), _dispatch(client, '"k"')
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(store.tasks) == 1
    assert _dispatch(client, "other").json()["taskId"] != first.json()["taskId"]


def test_the_same_key_works_after_a_cancellation(client: TestClient) -> None:
    task_id = _dispatch(client, "k").json()["taskId"]
    client.post(f"/api/v1/cancel/{task_id}")
    assert _dispatch(client, "k").json()["cancel"] == "Graceful"


@pytest.mark.parametrize("changed", [{"payload": {"a": 1}}, {"name": "n"}, {"generateName": "x-"}])
def test_a_key_belongs_to_one_request(client: TestClient, changed: dict[str, Any]) -> None:
    _dispatch(client, "k")
    assert _problem(_dispatch(client, "k", **changed)) == (422, "idempotency-key-reused")


def test_a_name_taken_by_another_key_is_a_conflict(client: TestClient) -> None:
    _dispatch(client, "k", name="n")
    assert _problem(_dispatch(client, "other", name="n")) == (409, "already-exists")
    assert _dispatch(client, "k", name="n").headers["Idempotent-Replayed"] == "true"


def _manifest(name: str, **more: Any) -> dict[str, Any]:
    """A Task as somebody applied it."""
    return task(name, 5, spec={"idempotencyKey": "k", **more.pop("spec", {})}, **more)


def test_a_key_used_in_a_manifest_is_used(client: TestClient, store: FakeStore, parts: Dependencies) -> None:
    store.add(_manifest("by-hand"))
    parts.task_cache.put(task_record(_manifest("by-hand")))
    answer = _dispatch(client, "k")
    assert (answer.status_code, answer.json()["taskId"]) == (202, "by-hand")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert _dispatch(client, "k", name="by-hand").json()["taskId"] == "by-hand"
    assert set(store.tasks) == {"by-hand"}
    for changed in ({"action": "sleep"}, {"name": "n"}, {"generateName": "x-"}):
        assert _problem(_dispatch(client, "k", **changed)) == (422, "idempotency-key-reused")


def test_a_key_is_free_when_its_task_is_gone(
    client: TestClient, store: FakeStore, parts: Dependencies
) -> None:
    """Also when the watch has not said so yet, and another Task took the name."""
    parts.task_cache.put(task_record(_manifest("by-hand")))
    store.add(task("by-hand", 6, uid="another"))
    assert "Idempotent-Replayed" not in _dispatch(client, "k").headers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"created": "2026-01-01T00:00:05Z"}, {"created": "2026-01-01T00:00:06Z"}),
        ({"uid": "a"}, {"uid": "b"}),
        ({"status": {"attempt": 1}}, {"created": "2025-01-01T00:00:00Z"}),
        ({"phase": "Cancelled"}, {"created": "2025-01-01T00:00:00Z"}),
        ({}, {"created": "2025-01-01T00:00:00Z", "status": {"duplicateOf": {"name": "one", "uid": "u"}}}),
    ],
)
def test_of_several_tasks_with_a_key_the_one_that_is_done_is_given(
    client: TestClient, store: FakeStore, parts: Dependencies, one: dict[str, Any], other: dict[str, Any]
) -> None:
    tasks = [_manifest("other", **other), _manifest("one", **one)]
    store.add(*tasks)
    for each in tasks:
        parts.task_cache.put(task_record(each))
    assert _dispatch(client, "k").json()["taskId"] == "one"


@pytest.mark.parametrize("there", [True, False])
def test_a_task_that_gave_up_its_key_leads_to_the_one_that_is_done(
    client: TestClient, store: FakeStore, parts: Dependencies, there: bool
) -> None:
    name = _dispatch(client, "k").json()["taskId"]
    store.tasks[name]["status"] = {
        "phase": "Cancelled",
        "duplicateOf": {"name": "one", "uid": "uid-of-one"},
    }
    parts.task_cache.put(task_record({**store.tasks[name], "metadata": _newer(store, name)}))
    store.add(*[_manifest("one")] if there else [])
    assert _dispatch(client, "k").json()["taskId"] == ("one" if there else name)


def _newer(store: FakeStore, name: str) -> dict[str, Any]:
    return {**store.tasks[name]["metadata"], "resourceVersion": "1000"}


def test_unusable_key(client: TestClient) -> None:
    assert _problem(_dispatch(client, "")) == (400, "invalid-idempotency-key")


def test_a_typo_is_named(client: TestClient) -> None:
    answer = _dispatch(client, retryPolicy={"maxRetry": 1})
    assert _problem(answer) == (422, "invalid")
    assert answer.json()["errors"] == [
        {"pointer": "/retryPolicy/maxRetry", "detail": "this field is not known"}
    ]


def test_payloads_have_a_limit(client: TestClient) -> None:
    overhead = len('{"a":""}')
    assert _dispatch(client, payload={"a": "x" * (MAX_PAYLOAD_BYTES - overhead)}).status_code == 202
    assert _problem(_dispatch(client, payload={"a": "x" * (MAX_PAYLOAD_BYTES - overhead + 1)})) == (
        413,
        "too-large",
    )
    # What counts is the payload's bytes, not its characters, nor how the client spelt it.
    assert _problem(_dispatch(client, payload={"a": "\u20ac" * (MAX_PAYLOAD_BYTES // 3)}))[0] == 413


def test_bodies_have_a_limit(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    body = b" " * (MAX_BODY_BYTES + 1)
    assert _problem(client.post("/api/v1/dispatch", content=body, headers=headers)) == (413, "too-large")
    chunks = (b" " * 100_000 for _ in range(100))
    assert _problem(client.post("/api/v1/dispatch", content=chunks, headers=headers)) == (413, "too-large")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"{", "application/json", (400, "bad-request")),
        (b"\xff", "application/json", (400, "bad-request")),
        (b"[" * 100_000, "application/json", (400, "bad-request")),
        (b'{"a":' + b"1" * 5000 + b"}", "application/json", (400, "bad-request")),
        (b"[]", "application/json", (422, "invalid")),
        (b"", "application/json", (422, "invalid")),
        (b"null", "application/json", (422, "invalid")),
        (b"{}", "text/plain", (415, "unsupported-media-type")),
        (b"{}", "application/jsonx", (415, "unsupported-media-type")),
        (b'{"agentType":"t","action":"a","payload":{"x":NaN}}', "application/json", (422, "invalid")),
    ],
)
def test_bodies_that_are_no_request(
    client: TestClient, body: bytes, content_type: str, expected: tuple[int, str]
) -> None:
    answer = client.post("/api/v1/dispatch", content=body, headers={"Content-Type": content_type})
    assert _problem(answer) == expected


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ApiServerError(403, "Forbidden", "exceeded quota"), (403, "forbidden")),
        (ApiServerError(422, "Invalid", "no"), (422, "invalid")),
        (ApiServerError(500, "InternalError", "no"), (503, "unavailable")),
        (ApiServerUnreachableError("down"), (503, "unavailable")),
    ],
)
@pytest.mark.parametrize("key", [None, "k"])
def test_failures_of_the_api_server(
    client: TestClient,
    store: FakeStore,
    failure: ApiServerError | ApiServerUnreachableError,
    expected: tuple[int, str],
    key: str | None,
) -> None:
    store.failure = failure
    answer = _dispatch(client, key)
    assert _problem(answer) == expected
    assert ("Retry-After" in answer.headers) == (expected[0] == 503)


@pytest.mark.parametrize("task_id", ["unknown", uid_of(9), "UPPER", "a" * 300, "a%2Fb", ".."])
def test_unknown_tasks(client: TestClient, task_id: str) -> None:
    assert _problem(client.get(f"/api/v1/status/{task_id}"))[0] == 404
    assert _problem(client.post(f"/api/v1/cancel/{task_id}"))[0] == 404


def test_a_task_made_through_another_replica_is_found(client: TestClient, store: FakeStore) -> None:
    store.add(task("elsewhere"))
    assert client.get("/api/v1/status/elsewhere").status_code == 200
    assert client.get("/api/v1/status/elsewhere").status_code == 200
    assert store.calls == ["read"]


def test_an_unknown_task_while_the_api_server_is_down(client: TestClient, store: FakeStore) -> None:
    store.failure = ApiServerUnreachableError("down")
    assert _problem(client.get("/api/v1/status/t")) == (503, "unavailable")


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
    answer = _dispatch(client, **asked)
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
    assert _problem(client.patch("/api/v1/tasks/t", json={"priority": "critical"})) == expected
    assert store.tasks["t"]["spec"]["priority"] == "normal"


@pytest.mark.parametrize("body", [{}, {"priority": "urgent"}, {"priority": "low", "suspend": True}])
def test_what_is_to_change_has_to_be_right(client: TestClient, store: FakeStore, body: Any) -> None:
    store.add(task("t"))
    assert _problem(client.patch("/api/v1/tasks/t", json=body)) == (422, "invalid")
    assert _problem(client.patch("/api/v1/tasks/unknown", json={"priority": "low"})) == (404, "not-found")


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
    assert _problem(answer) == (409, "task-finished")
    assert phase in answer.json()["detail"]
    assert "patch" not in store.calls


def test_a_task_that_finished_unseen(client: TestClient, store: FakeStore) -> None:
    store.add(task("t", phase="Running"))
    store.finish_before_patch = "Succeeded"
    assert _problem(client.post("/api/v1/cancel/t")) == (409, "task-finished")


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
    assert _problem(client.post("/api/v1/cancel/t")) == (409, "conflict")


def test_a_task_deleted_unseen(client: TestClient, parts: Dependencies) -> None:
    parts.task_cache.put(task_record(task("t", 1, phase="Running")))
    assert _problem(client.post("/api/v1/cancel/t")) == (404, "not-found")


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
    assert _problem(client.post("/api/v1/cancel/t", json=body)) == expected


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
    assert _problem(answer) == expected
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
    assert _problem(client.request(method, path)) == expected


def test_answers_are_not_to_be_kept(client: TestClient) -> None:
    assert _dispatch(client).headers["Cache-Control"] == "no-store"


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
