from typing import Any

import pytest
from starlette.testclient import TestClient

from harebell_api.app import Dependencies
from harebell_api.records import task_record

from .fakes import FakeStore, task

_SPEC = {"payload": {"kept": None}, "cancel": "Graceful", "suspend": True}


def _dead(name: str, phase: str = "DeadLettered", **more: Any) -> dict[str, Any]:
    return task(name, phase=phase, spec={**_SPEC, "idempotencyKey": f"key of {name}"}, **more)


def test_a_replay_is_the_same_work_under_a_new_name(client: TestClient, store: FakeStore) -> None:
    store.add(_dead("t", labels={"team": "web"}))
    answer = client.post("/api/v1/replay/t")
    body = answer.json()
    assert answer.status_code == 202
    assert (body["taskId"], body["phase"], body["cancel"]) == ("t-r1", "Pending", None)
    assert body["replayOf"] == {"name": "t", "uid": "uid-of-t"}
    assert body["labels"] == {"team": "web"}
    assert answer.headers["Location"] == "/api/v1/status/t-r1"
    assert store.tasks["t-r1"]["spec"]["payload"] == {"kept": None}
    assert not store.tasks["t-r1"]["spec"].get("suspend")
    assert "idempotencyKey" not in store.tasks["t-r1"]["spec"]


def test_asking_twice_makes_one(client: TestClient, store: FakeStore) -> None:
    store.add(_dead("t"))
    assert client.post("/api/v1/replay/t").json() == client.post("/api/v1/replay/t").json()
    assert set(store.tasks) == {"t", "t-r1"}


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        (None, 409),
        ("Running", 409),
        ("Succeeded", 409),
        ("Failed", 202),
        ("Cancelled", 202),
        ("DeadLettered", 202),
    ],
)
def test_only_the_unsuccessful_can_be_done_again(
    client: TestClient, store: FakeStore, phase: str | None, status: int
) -> None:
    store.add(task("t", phase=phase))
    answer = client.post("/api/v1/replay/t")
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["type"].endswith("/not-replayable")


def test_a_name_that_somebody_else_took_is_a_conflict(client: TestClient, store: FakeStore) -> None:
    store.add(_dead("t"), task("t-r1"))
    answer = client.post("/api/v1/replay/t")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "already-exists")


def test_unknown(client: TestClient) -> None:
    assert client.post("/api/v1/replay/nobody").status_code == 404


def test_by_selector(client: TestClient, store: FakeStore, parts: Dependencies) -> None:
    known = [
        _dead("a", labels={"team": "web"}),
        _dead("b", labels={"team": "web"}),
        _dead("c", labels={"team": "db"}),
        task("d", phase="Failed", labels={"team": "web"}),
    ]
    store.add(*known, task("b-r1"))
    for each in known:
        parts.task_cache.remember(task_record(each))
    answer = client.post("/api/v1/replay", json={"labelSelector": "team=web"})
    assert answer.status_code == 202
    found = {item["taskId"]: (item["replayedAs"], item["problem"]) for item in answer.json()["items"]}
    assert found == {"a": ("a-r1", None), "b": (None, "a Task named b-r1 exists")}
    assert client.post("/api/v1/replay", json={"labelSelector": "("}).status_code == 422


def test_by_selector_page_by_page(client: TestClient, store: FakeStore, parts: Dependencies) -> None:
    known = [_dead(f"t{number}") for number in range(5)]
    store.add(*known)
    for each in known:
        parts.task_cache.remember(task_record(each))
    cursor, replayed = None, []
    for size in (2, 2, 1):
        answer = client.post("/api/v1/replay", json={"limit": 2, "cursor": cursor}).json()
        assert len(answer["items"]) == size
        replayed += [item["replayedAs"] for item in answer["items"]]
        cursor = answer["nextCursor"]
    assert cursor is None
    assert sorted(replayed) == [f"t{number}-r1" for number in range(5)]
    wrong = client.post("/api/v1/replay", json={"cursor": "x"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (400, "/cursor")


def _needs(*names: str) -> dict[str, Any]:
    return {"dependsOn": [{"name": n, "condition": "Finished"} for n in names]}


def test_a_replay_depends_on_what_the_task_did_and_on_replays_where_there_are_any(
    client: TestClient, store: FakeStore
) -> None:
    store.add(
        task("good", phase="Succeeded"),
        task("good-r1"),
        task("bad", phase="Failed"),
        task("bad-r1", phase="Failed", spec={"replayOf": {"name": "bad", "uid": "uid-of-bad"}}),
        task("bad-r2", phase="Running", spec={"replayOf": {"name": "bad-r1", "uid": "uid-of-bad-r1"}}),
        task("lone", phase="Cancelled"),
        task("lone-r1", phase="Succeeded"),
        task("t", phase="Failed", spec=_needs("good", "bad", "lone")),
    )
    body = client.post("/api/v1/replay/t").json()
    assert body["dependsOn"] == _needs("good", "bad-r2", "lone")["dependsOn"]


def test_it_does_not_wait_for_what_is_gone(client: TestClient, store: FakeStore) -> None:
    store.add(task("t", phase="DeadLettered", spec=_needs("gone")))
    answer = client.post("/api/v1/replay/t")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "not-replayable")
    assert "Task gone" in answer.json()["detail"]
    assert set(store.tasks) == {"t"}
