"""Dispatch: what is made, what a key gives, and what is refused."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.kube_errors import ApiServerError, ApiServerUnreachableError
from harebell_api.limits import MAX_BODY_BYTES
from harebell_api.records import task_record
from harebell_crds.task import MAX_PAYLOAD_BYTES

from .asking import dispatch, problem
from .fakes import FakeStore, task


def test_dispatch_makes_a_task_that_is_found_at_once(client: TestClient, store: FakeStore) -> None:
    answer = dispatch(client, payload={"a": None}, priority="high", labels={"team": "web"})
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
    assert dispatch(client, name="n").json()["taskId"] == "n"
    assert problem(dispatch(client, name="n")) == (409, "already-exists")


def test_the_same_key_gives_the_same_task(client: TestClient, store: FakeStore) -> None:
    first, second = dispatch(client, "k"), dispatch(client, '"k"')
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(store.tasks) == 1
    assert dispatch(client, "other").json()["taskId"] != first.json()["taskId"]


def test_the_same_key_works_after_a_cancellation(client: TestClient) -> None:
    task_id = dispatch(client, "k").json()["taskId"]
    client.post(f"/api/v1/cancel/{task_id}")
    assert dispatch(client, "k").json()["cancel"] == "Graceful"


@pytest.mark.parametrize("changed", [{"payload": {"a": 1}}, {"name": "n"}, {"generateName": "x-"}])
def test_a_key_belongs_to_one_request(client: TestClient, changed: dict[str, Any]) -> None:
    dispatch(client, "k")
    assert problem(dispatch(client, "k", **changed)) == (422, "idempotency-key-reused")


def test_a_name_taken_by_another_key_is_a_conflict(client: TestClient) -> None:
    dispatch(client, "k", name="n")
    assert problem(dispatch(client, "other", name="n")) == (409, "already-exists")
    assert dispatch(client, "k", name="n").headers["Idempotent-Replayed"] == "true"


def _manifest(name: str, **more: Any) -> dict[str, Any]:
    """A Task as somebody applied it."""
    return task(name, 5, spec={"idempotencyKey": "k", **more.pop("spec", {})}, **more)


def test_a_key_used_in_a_manifest_is_used(client: TestClient, store: FakeStore, parts: Dependencies) -> None:
    store.add(_manifest("by-hand"))
    parts.task_cache.put(task_record(_manifest("by-hand")))
    answer = dispatch(client, "k")
    assert (answer.status_code, answer.json()["taskId"]) == (202, "by-hand")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert dispatch(client, "k", name="by-hand").json()["taskId"] == "by-hand"
    assert set(store.tasks) == {"by-hand"}
    for changed in ({"action": "sleep"}, {"name": "n"}, {"generateName": "x-"}):
        assert problem(dispatch(client, "k", **changed)) == (422, "idempotency-key-reused")


def test_a_key_is_free_when_its_task_is_gone(
    client: TestClient, store: FakeStore, parts: Dependencies
) -> None:
    """Also when the watch has not said so yet, and another Task took the name."""
    parts.task_cache.put(task_record(_manifest("by-hand")))
    store.add(task("by-hand", 6, uid="another"))
    assert "Idempotent-Replayed" not in dispatch(client, "k").headers


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
    assert dispatch(client, "k").json()["taskId"] == "one"


@pytest.mark.parametrize("there", [True, False])
def test_a_task_that_gave_up_its_key_leads_to_the_one_that_is_done(
    client: TestClient, store: FakeStore, parts: Dependencies, there: bool
) -> None:
    name = dispatch(client, "k").json()["taskId"]
    store.tasks[name]["status"] = {
        "phase": "Cancelled",
        "duplicateOf": {"name": "one", "uid": "uid-of-one"},
    }
    parts.task_cache.put(task_record({**store.tasks[name], "metadata": _newer(store, name)}))
    store.add(*[_manifest("one")] if there else [])
    assert dispatch(client, "k").json()["taskId"] == ("one" if there else name)


def _newer(store: FakeStore, name: str) -> dict[str, Any]:
    return {**store.tasks[name]["metadata"], "resourceVersion": "1000"}


def test_unusable_key(client: TestClient) -> None:
    assert problem(dispatch(client, "")) == (400, "invalid-idempotency-key")


def test_a_typo_is_named(client: TestClient) -> None:
    answer = dispatch(client, retryPolicy={"maxRetry": 1})
    assert problem(answer) == (422, "invalid")
    assert answer.json()["errors"] == [
        {"pointer": "/retryPolicy/maxRetry", "detail": "this field is not known"}
    ]


def test_payloads_have_a_limit(client: TestClient) -> None:
    overhead = len('{"a":""}')
    assert dispatch(client, payload={"a": "x" * (MAX_PAYLOAD_BYTES - overhead)}).status_code == 202
    assert problem(dispatch(client, payload={"a": "x" * (MAX_PAYLOAD_BYTES - overhead + 1)})) == (
        413,
        "too-large",
    )
    # What counts is the payload's bytes, not its characters, nor how the client spelt it.
    assert problem(dispatch(client, payload={"a": "\u20ac" * (MAX_PAYLOAD_BYTES // 3)}))[0] == 413


def test_bodies_have_a_limit(client: TestClient) -> None:
    headers = {"Content-Type": "application/json"}
    body = b" " * (MAX_BODY_BYTES + 1)
    assert problem(client.post("/api/v1/dispatch", content=body, headers=headers)) == (413, "too-large")
    chunks = (b" " * 100_000 for _ in range(100))
    assert problem(client.post("/api/v1/dispatch", content=chunks, headers=headers)) == (413, "too-large")


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
    assert problem(answer) == expected


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
    answer = dispatch(client, key)
    assert problem(answer) == expected
    assert ("Retry-After" in answer.headers) == (expected[0] == 503)
