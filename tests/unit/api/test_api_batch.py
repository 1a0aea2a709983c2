from typing import Any

import httpx2
import pytest
from pydantic import TypeAdapter
from starlette.testclient import TestClient

from harebell_api.batches import AT_ONCE
from harebell_api.kube_errors import ApiServerError
from harebell_api.limits import MAX_BATCH_BYTES, MAX_BODY_BYTES
from harebell_api.models import BatchAnswer
from harebell_api.permissions import Scope

from .conftest import Become
from .fakes import FakeStore, task

BASE: dict[str, Any] = {"agentType": "text", "action": "echo"}


def _batch(client: TestClient, *entries: Any) -> httpx2.Response:
    return client.post("/api/v1/dispatch/batch", json={"tasks": list(entries)})


def _told(answer: httpx2.Response) -> list[Any]:
    """Each entry as its status and the Task's name, or the kind of problem and the places in the request."""
    assert answer.status_code == 200
    found = TypeAdapter(BatchAnswer).validate_json(answer.content)
    assert (found.accepted, found.refused) == (
        sum(item.task is not None for item in found.items),
        sum(item.problem is not None for item in found.items),
    )
    return [
        (item.status, item.task.name)
        if item.task is not None
        else (
            item.status,
            item.problem.type.rpartition("/")[2],  # type: ignore[union-attr]
            [error.pointer for error in item.problem.errors or []],  # type: ignore[union-attr]
        )
        for item in found.items
    ]


def test_each_is_answered_for_by_itself_and_in_order(client: TestClient, store: FakeStore) -> None:
    store.add(task("taken"))
    answer = _batch(
        client,
        {**BASE, "name": "first"},
        {**BASE, "retryPolicy": {"maxRetry": 1}},
        {**BASE, "name": "taken"},
        {**BASE, "payload": {"a": "x" * 300_000}},
        17,
        {**BASE, "name": "last"},
    )
    assert _told(answer) == [
        (202, "first"),
        (422, "invalid", ["/tasks/1/retryPolicy/maxRetry"]),
        (409, "already-exists", []),
        (413, "too-large", ["/tasks/3/payload"]),
        (422, "invalid", ["/tasks/4"]),
        (202, "last"),
    ]
    assert set(store.tasks) == {"taken", "first", "last"}


def test_each_has_a_key_of_its_own(client: TestClient, store: FakeStore) -> None:
    entries = [{**BASE, "idempotencyKey": "a"}, {**BASE, "idempotencyKey": "b"}]
    first, again = _batch(client, *entries).json(), _batch(client, *entries).json()
    assert [item["task"]["uid"] for item in first["items"]] == [
        item["task"]["uid"] for item in again["items"]
    ]
    assert [item["replayed"] for item in first["items"] + again["items"]] == [False, False, True, True]
    assert len(store.tasks) == 2
    # The key is that of a single dispatch, and belongs to one request.
    one = client.post("/api/v1/dispatch", json=BASE, headers={"Idempotency-Key": "a"})
    assert one.json()["uid"] == first["items"][0]["task"]["uid"]
    reused = _batch(client, {**BASE, "action": "sleep", "idempotencyKey": "a"})
    assert _told(reused) == [(422, "idempotency-key-reused", [])]
    assert _told(_batch(client, {**BASE, "idempotencyKey": "\u20ac"})) == [
        (422, "invalid", ["/tasks/0/idempotencyKey"])
    ]


def test_the_same_key_twice_in_a_batch_is_one_task(client: TestClient, store: FakeStore) -> None:
    items = _batch(client, *[{**BASE, "idempotencyKey": "k"}] * 3).json()["items"]
    assert len({item["task"]["uid"] for item in items}) == len(store.tasks) == 1


def test_few_are_made_at_the_same_time(client: TestClient, store: FakeStore) -> None:
    assert len(_told(_batch(client, *[BASE] * 100))) == len(store.tasks) == 100
    assert 1 < store.at_once <= AT_ONCE


def test_what_fails_for_one_is_its_own(client: TestClient, store: FakeStore) -> None:
    store.failure = ApiServerError(403, "Forbidden", "exceeded quota")
    assert [told[0] for told in _told(_batch(client, BASE, BASE))] == [403, 202]


@pytest.mark.parametrize(
    "body",
    [{}, {"tasks": []}, {"tasks": [BASE] * 101}, {"tasks": BASE}, {"tasks": [BASE], "atomic": True}, []],
)
def test_what_is_no_batch(client: TestClient, store: FakeStore, body: Any) -> None:
    answer = client.post("/api/v1/dispatch/batch", json=body)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (422, "invalid")
    assert not store.tasks


def test_it_may_be_larger_than_a_single_dispatch(client: TestClient) -> None:
    entries = [{**BASE, "payload": {"a": "x" * 200_000}}] * 4
    assert MAX_BODY_BYTES < 4 * 200_000
    assert [told[0] for told in _told(_batch(client, *entries))] == [202] * 4
    body = b" " * (MAX_BATCH_BYTES + 1)
    answer = client.post("/api/v1/dispatch/batch", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_who_may(client: TestClient, store: FakeStore, become: Become) -> None:
    become(Scope.READ, Scope.CANCEL)
    assert _batch(client, BASE).json()["type"].endswith("/scope-needed")
    become(Scope.DISPATCH, types=frozenset({"text"}))
    refused = _told(_batch(client, BASE, {**BASE, "agentType": "infra"}))[1]
    assert refused == (403, "scope-needed", ["/tasks/1/agentType"])
    assert len(store.tasks) == 1
