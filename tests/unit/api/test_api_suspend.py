from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.permissions import Scope
from harebell_api.records import task_record

from .conftest import Become
from .fakes import FakeStore, task


def _kind(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


@pytest.mark.parametrize("phase", ["Pending", "Queued", "Running"])
def test_suspend_and_resume(client: TestClient, store: FakeStore, phase: str) -> None:
    store.add(task("t", phase=phase))
    for path, wanted in [("suspend", True), ("suspend", True), ("resume", False), ("resume", False)]:
        answer = client.post(f"/api/v1/{path}/t")
        assert (answer.status_code, answer.json()["suspend"]) == (202, wanted)
        assert store.tasks["t"]["spec"]["suspend"] is wanted
        assert client.get("/api/v1/status/t").json()["suspend"] is wanted


def test_by_uid(client: TestClient, store: FakeStore, parts: Dependencies) -> None:
    uid = "00000000-0000-0000-0000-000000000007"
    store.add(task("t", uid=uid))
    parts.task_cache.put(task_record(store.tasks["t"]))
    assert client.post(f"/api/v1/suspend/{uid}").json()["taskId"] == "t"


@pytest.mark.parametrize("path", ["suspend", "resume"])
@pytest.mark.parametrize("just_now", [True, False])
def test_a_finished_task_is_left_alone(
    client: TestClient, store: FakeStore, path: str, just_now: bool
) -> None:
    store.add(task("t", phase="Running" if just_now else "Failed"))
    store.finish_before_patch = "Failed"
    assert _kind(client.post(f"/api/v1/{path}/t")) == (409, "task-finished")


def test_unknown_tasks(client: TestClient, store: FakeStore) -> None:
    assert _kind(client.post("/api/v1/suspend/unknown")) == (404, "not-found")
    assert "patch" not in store.calls


def test_a_new_task_of_the_name_is_not_meant(
    client: TestClient, store: FakeStore, parts: Dependencies
) -> None:
    store.add(task("t", 2, uid="new"))
    parts.task_cache.put(task_record(task("t", 1, uid="old")))
    assert _kind(client.post("/api/v1/suspend/t")) == (409, "conflict")


def test_the_key_of_a_suspended_task_gives_it_still(client: TestClient) -> None:
    body = {"agentType": "text", "action": "echo"}
    first = client.post("/api/v1/dispatch", json=body, headers={"Idempotency-Key": "k"}).json()
    client.post(f"/api/v1/suspend/{first['taskId']}")
    again = client.post("/api/v1/dispatch", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["taskId"], again.json()["suspend"]) == (
        202,
        first["taskId"],
        True,
    )


@pytest.mark.parametrize(
    ("scopes", "types", "expected"),
    [
        ({Scope.CANCEL}, None, 202),
        ({Scope.CANCEL}, frozenset({"text"}), 202),
        ({Scope.READ, Scope.DISPATCH}, None, (403, "scope-needed")),
        ({Scope.ADMIN}, frozenset({"infra"}), (404, "not-found")),
    ],
)
def test_who_may(
    client: TestClient,
    store: FakeStore,
    become: Become,
    scopes: set[Scope],
    types: frozenset[str] | None,
    expected: Any,
) -> None:
    store.add(task("t"))
    become(*scopes, types=types)
    answer = client.post("/api/v1/suspend/t")
    assert (answer.status_code if expected == 202 else _kind(answer)) == expected
    assert store.tasks["t"]["spec"].get("suspend", False) is (expected == 202)
