"""Who changed what: a line for each request that writes, and an annotation on each Task that was made."""

import logging
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.support.keys import key, record

from harebell_api.app import Dependencies, create_app
from harebell_api.keyring import KeyRing
from harebell_api.logs import configure
from harebell_api.permissions import Scope
from harebell_api.records import task_record

from .fakes import KEY, FakeStore, agent, announcement, task

READER = key("reader")
DISPATCH = {"agentType": "text", "action": "echo", "name": "new"}


@pytest.fixture
def keys(keys: KeyRing) -> KeyRing:
    keys.replace(dict([record(KEY, name="web"), record(READER, Scope.READ)]))
    return keys


def audited(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(r)["fields"] for r in caplog.records if r.name == "harebell_api.audit"]


@pytest.mark.parametrize(
    ("method", "path", "body", "line"),
    [
        (
            "POST",
            "/api/v1/dispatch",
            DISPATCH,
            {"action": "dispatchTask", "tasks": ["new"], "outcome": "done", "status": 202},
        ),
        (
            "POST",
            "/api/v1/cancel/t",
            None,
            {"action": "cancelTask", "tasks": ["t"], "outcome": "done", "status": 202},
        ),
        (
            "PATCH",
            "/api/v1/tasks/t",
            {"priority": "high"},
            {"action": "prioritizeTask", "tasks": ["t"], "outcome": "done", "status": 200},
        ),
        (
            "POST",
            "/api/v1/replay/dead",
            None,
            {"action": "replayTask", "tasks": ["dead", "dead-r1"], "outcome": "done", "status": 202},
        ),
        (
            "POST",
            "/api/v1/cancel/nothing",
            None,
            {"action": "cancelTask", "tasks": ["nothing"], "outcome": "refused", "status": 404},
        ),
        (
            "POST",
            "/api/v1/dispatch",
            {"agentType": "text"},
            {"action": "dispatchTask", "tasks": [], "outcome": "refused", "status": 422},
        ),
        (
            "DELETE",
            "/api/v1/tasks/t",
            None,
            {"action": None, "tasks": ["t"], "outcome": "refused", "status": 405},
        ),
        (
            "POST",
            "/api/v1/suspend/t",
            None,
            {"action": "suspendTask", "tasks": ["t"], "outcome": "done", "status": 202},
        ),
        (
            "POST",
            "/api/v1/resume/t",
            None,
            {"action": "resumeTask", "tasks": ["t"], "outcome": "done", "status": 202},
        ),
        (
            "POST",
            "/api/v1/dispatch/batch",
            {"tasks": [DISPATCH, {"agentType": "text"}, {**DISPATCH, "name": "newer"}]},
            {"action": "dispatchTasks", "tasks": ["new", "newer"], "outcome": "done", "status": 200},
        ),
        (
            "POST",
            "/api/v1/agents/a/drain",
            None,
            {"action": "drainAgent", "agents": ["a"], "outcome": "done", "status": 202},
        ),
        (
            "POST",
            "/api/v1/agents/nobody/pause",
            None,
            {"action": "pauseAgent", "agents": ["nobody"], "outcome": "refused", "status": 404},
        ),
        (
            "POST",
            "/api/v1/announcements",
            {"kind": "Notice", "name": "news"},
            {"action": "makeAnnouncement", "announcements": ["news"], "outcome": "done", "status": 201},
        ),
        (
            "DELETE",
            "/api/v1/announcements/n",
            None,
            {"action": "deleteAnnouncement", "announcements": ["n"], "outcome": "done", "status": 204},
        ),
        (
            "POST",
            f"/api/v1/cancel/{'x' * 9000}",
            None,
            {"action": None, "path": "/api/v1/cancel/" + "x" * 285, "outcome": "refused", "status": 414},
        ),
    ],
)
def test_who_did_what(
    client: TestClient,
    store: FakeStore,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    body: Any,
    line: dict[str, Any],
) -> None:
    store.add(task("t"), task("dead", phase="DeadLettered"))
    store.agents["a"], store.announcements["n"] = agent(), announcement()
    with caplog.at_level(logging.INFO):
        client.request(method, path, json=body, headers={"X-Forwarded-For": "192.0.2.7"})
    # What is too large is refused before anybody looks who it is.
    known = line["status"] != 414
    who = {"client": "web" if known else None, "keyId": "tester" if known else None}
    whence = {"source": "testclient", "forwardedFor": "192.0.2.7"}
    about: dict[str, list[str]] = {"tasks": [], "agents": [], "announcements": []}
    assert audited(caplog) == [{**who, **whence, "method": method, "path": path, **about, **line}]


def test_a_replay_of_many_names_each(
    client: TestClient, parts: Dependencies, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.add(*(task(name, phase="DeadLettered", uid=name) for name in ("a", "b")))
    parts.task_cache.replace([task_record(each) for each in store.tasks.values()], 5)
    with caplog.at_level(logging.INFO):
        client.post("/api/v1/replay", json={})
    (line,) = audited(caplog)
    assert (line["action"], sorted(line["tasks"])) == ("replayTasks", ["a-r1", "b-r1"])


def test_what_was_refused_is_told_too(parts: Dependencies, caplog: pytest.LogCaptureFixture) -> None:
    asking = TestClient(create_app(parts))
    with caplog.at_level(logging.INFO):
        asking.post("/api/v1/dispatch", json=DISPATCH, headers={"Authorization": f"Bearer {READER}"})
        asking.post("/api/v1/dispatch", json=DISPATCH, headers={"Authorization": "Bearer wrong"})
    shown = [(line["client"], line["keyId"], line["action"], line["status"]) for line in audited(caplog)]
    assert shown == [
        ("reader", "reader", "dispatchTask", 403),
        (None, None, None, 401),
    ]


def test_a_failure_is_told_as_one(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object, kind: object, manifest: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(FakeStore, "create", fail)
    with caplog.at_level(logging.INFO):
        assert client.post("/api/v1/dispatch", json=DISPATCH).status_code == 500
    (line,) = audited(caplog)
    assert (line["outcome"], line["status"]) == ("failed", 500)


def test_reading_is_not_audited(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for path in ("/api/v1/tasks", "/api/v1/status/t", "/healthz"):
            client.get(path)
    assert audited(caplog) == []


def test_no_line_holds_a_key_or_a_payload(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.post("/api/v1/dispatch", json={**DISPATCH, "payload": {"a": "in confidence"}})
    for line in caplog.records:
        assert KEY not in str(vars(line))
        assert "in confidence" not in str(vars(line))


def test_a_line_is_bounded_whatever_the_client_says(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        client.post(f"/api/v1/cancel/{'x' * 5000}", headers={"X-Forwarded-For": "y" * 5000})
    (line,) = audited(caplog)
    assert len(str(line)) < 2000


def test_it_is_told_at_every_log_level() -> None:
    before = logging.getLogger().handlers[:]
    try:
        configure(logging.ERROR)
        assert logging.getLogger("harebell_api.audit").isEnabledFor(logging.INFO)
        assert not logging.getLogger("harebell_api.access").isEnabledFor(logging.INFO)
    finally:
        logging.basicConfig(level=logging.WARNING, handlers=before, force=True)


def test_a_task_says_who_made_it(client: TestClient, store: FakeStore) -> None:
    store.add(task("dead", phase="DeadLettered"))
    client.post("/api/v1/dispatch", json=DISPATCH)
    client.post("/api/v1/replay/dead")
    for name in ("new", "dead-r1"):
        assert store.tasks[name]["metadata"]["annotations"] == {"harebell.dev/dispatched-by": "web"}
