"""Which routes want which scope, and what does not exist for a client of some agent types."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from tests.support.keys import key, record
from tests.support.openapi import operations

from harebell_api import openapi
from harebell_api.agents import Order
from harebell_api.app import Dependencies, create_app
from harebell_api.keyring import KeyRing
from harebell_api.permissions import Scope, needs
from harebell_api.records import agent_record, task_record
from harebell_api.tasks import DISPATCHED_BY

from .fakes import FakeStore, agent, announcement, task, uid_of
from .protection import scopes_by_route, unprotected
from .test_api_history import FakeArchive

KEYS = {scope: key(scope.value) for scope in Scope}
NONE_OF_THEM = key("stranger")
TEXT = key("text")

ROUTES = {
    "POST /api/v1/dispatch": Scope.DISPATCH,
    "POST /api/v1/dispatch/batch": Scope.DISPATCH,
    "GET /api/v1/status/{task_id}": Scope.READ,
    "GET /api/v1/tasks": Scope.READ,
    "PATCH /api/v1/tasks/{task_id}": Scope.CANCEL,
    "POST /api/v1/cancel/{task_id}": Scope.CANCEL,
    "POST /api/v1/suspend/{task_id}": Scope.CANCEL,
    "POST /api/v1/resume/{task_id}": Scope.CANCEL,
    "GET /api/v1/queues": Scope.READ,
    "POST /api/v1/replay/{task_id}": Scope.DISPATCH,
    "POST /api/v1/replay": Scope.DISPATCH,
    "GET /api/v1/agents": Scope.READ,
    "GET /api/v1/agents/{name}": Scope.READ,
    "POST /api/v1/agents/{name}/pause": Scope.ADMIN,
    "POST /api/v1/agents/{name}/resume": Scope.ADMIN,
    "POST /api/v1/agents/{name}/drain": Scope.ADMIN,
    "POST /api/v1/agents/{name}/undrain": Scope.ADMIN,
    "GET /api/v1/announcements": Scope.READ,
    "POST /api/v1/announcements": Scope.ADMIN,
    "GET /api/v1/announcements/{name}": Scope.READ,
    "DELETE /api/v1/announcements/{name}": Scope.ADMIN,
    "GET /api/v1/history": Scope.READ,
    "GET /api/v1/history/{task_id}": Scope.READ,
    "GET /api/v1/events": Scope.READ,
    "* /api/v1/ws": Scope.READ,
    "* /api/v1/ws/{task_id}": Scope.READ,
}


def test_every_route_says_which_scope_it_wants(parts: Dependencies) -> None:
    app = create_app(parts)
    assert unprotected(app) == []
    assert scopes_by_route(app) == {route: {scope} for route, scope in ROUTES.items()}


def test_the_document_says_which_scope_an_operation_needs() -> None:
    said = {f"{method} {path}": operation.get("description") for method, path, operation in operations()}
    wanted = {route: scope for route, scope in ROUTES.items() if route[0] != "*"}
    assert said == {route: f"Needs the scope `{scope.value}`." for route, scope in wanted.items()}


@pytest.mark.parametrize("how", ["route", "websocket", "mount", "plain"])
def test_a_route_without_a_scope_is_found(parts: Dependencies, how: str) -> None:
    app, router = create_app(parts), APIRouter()

    async def forgotten(_: Request) -> Response:
        return Response()

    match how:
        case "route":
            router.get("/forgotten")(forgotten)
            app.include_router(router)
        case "websocket":
            router.websocket("/forgotten")(forgotten)
            app.include_router(router)
        case "mount":
            app.mount("/forgotten", FastAPI(openapi_url="/forgotten", docs_url=None, redoc_url=None))
        case _:
            app.add_route("/forgotten", forgotten)
    (found,) = unprotected(app)
    assert found.endswith(" /forgotten")
    protected = APIRouter(dependencies=[needs(Scope.READ)])
    protected.get("/remembered")(forgotten)
    app.include_router(protected)
    assert unprotected(app) == [found]


@pytest.fixture
def keys(keys: KeyRing) -> KeyRing:
    keys.replace(
        dict(
            [
                *(record(each, scope) for scope, each in KEYS.items()),
                record(TEXT, Scope.READ, Scope.DISPATCH, Scope.CANCEL, agent_types=["text"]),
            ]
        )
    )
    return keys


Ask = Callable[..., httpx2.Response]


@pytest.fixture
def ask(parts: Dependencies) -> Iterator[Ask]:
    with TestClient(create_app(parts)) as asking:

        def ask(shown: str, method: str, path: str, body: Any = None) -> httpx2.Response:
            return asking.request(method, path, json=body, headers={"Authorization": f"Bearer {shown}"})

        yield ask


WORK = {"agentType": "text", "action": "echo"}
REQUESTS: list[tuple[Scope, str, str, Any, int]] = [
    (Scope.READ, "GET", "/api/v1/status/t", None, 200),
    (Scope.READ, "GET", "/api/v1/tasks", None, 200),
    (Scope.READ, "GET", "/api/v1/agents", None, 200),
    (Scope.READ, "GET", "/api/v1/queues", None, 200),
    (Scope.DISPATCH, "POST", "/api/v1/dispatch", WORK, 202),
    (Scope.DISPATCH, "POST", "/api/v1/replay/dead", None, 202),
    (Scope.DISPATCH, "POST", "/api/v1/replay", {}, 202),
    (Scope.CANCEL, "PATCH", "/api/v1/tasks/t", {"priority": "high"}, 200),
    (Scope.CANCEL, "POST", "/api/v1/cancel/t", None, 202),
    (Scope.CANCEL, "POST", "/api/v1/suspend/t", None, 202),
    (Scope.CANCEL, "POST", "/api/v1/resume/t", None, 202),
    (Scope.DISPATCH, "POST", "/api/v1/dispatch/batch", {"tasks": [WORK]}, 200),
    (Scope.READ, "GET", "/api/v1/agents/a", None, 200),
    *((Scope.ADMIN, "POST", f"/api/v1/agents/a/{order.name.lower()}", None, 202) for order in Order),
    (Scope.READ, "GET", "/api/v1/announcements", None, 200),
    (Scope.READ, "GET", "/api/v1/announcements/n", None, 200),
    (Scope.ADMIN, "POST", "/api/v1/announcements", {"kind": "Notice"}, 201),
    (Scope.ADMIN, "DELETE", "/api/v1/announcements/n", None, 204),
    (Scope.READ, "GET", "/api/v1/events?task_id=dead", None, 200),
    (Scope.READ, "GET", "/api/v1/history", None, 200),
    (Scope.READ, "GET", "/api/v1/history/t", None, 200),
]


def test_every_route_is_asked() -> None:
    paths = [re.compile(re.sub(r"\{\w+\}", "[^/]+", route)) for route in ROUTES if route[0] != "*"]
    asked = [f"{method} {path.partition('?')[0]}" for _, method, path, _, _ in REQUESTS]
    assert [path.pattern for path in paths if not any(path.fullmatch(each) for each in asked)] == []


@pytest.mark.parametrize(("scope", "method", "path", "body", "status"), REQUESTS)
def test_one_scope_does_not_include_another(
    ask: Ask, store: FakeStore, scope: Scope, method: str, path: str, body: Any, status: int
) -> None:
    store.add(task("t"), task("dead", phase="DeadLettered"))
    store.agents["a"], store.announcements["n"] = agent(), announcement()
    for other in set(Scope) - {scope, Scope.ADMIN}:
        refused = ask(KEYS[other], method, path, body)
        assert refused.status_code == 403, other
        assert refused.json()["type"].endswith("/scope-needed")
        assert refused.json()["detail"] == f"{other.value} has not the scope {scope.value}"
        assert refused.headers["WWW-Authenticate"].endswith(f'scope="{scope.value}"')
    assert store.calls == []
    for one in {scope, Scope.ADMIN}:
        store.announcements["n"] = announcement()
        assert ask(KEYS[one], method, path, body).status_code == status


@pytest.mark.parametrize("scope", [Scope.DISPATCH, Scope.CANCEL])
def test_a_websocket_is_refused_without_the_scope(parts: Dependencies, scope: Scope) -> None:
    stranger = TestClient(create_app(parts), headers={"Authorization": f"Bearer {KEYS[scope]}"})
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        stranger.websocket_connect("/api/v1/ws/t"),
    ):
        pass
    assert refused.value.status_code == 403
    assert refused.value.headers["content-type"] == "application/problem+json"
    assert refused.value.json()["type"].endswith("/scope-needed")


def test_everybody_who_is_let_in_may_know_what_there_is(ask: Ask) -> None:
    assert {ask(each, "GET", openapi.PATH).status_code for each in KEYS.values()} == {200}
    assert ask(NONE_OF_THEM, "GET", openapi.PATH).status_code == 401


# ---- agent types -----------------------------------------------------------------------------------------


@pytest.fixture
def mixed(parts: Dependencies, store: FakeStore) -> FakeStore:
    """Tasks and agents of two types, in the cache and in the cluster; TEXT has to do with one."""
    infra = {"agentType": "infra"}
    store.add(
        task("ours", phase="Queued", uid=uid_of(1)), task("theirs", phase="Queued", uid=uid_of(2), spec=infra)
    )
    store.add(task("dead", phase="DeadLettered", uid=uid_of(3), version=2))
    store.add(task("their-dead", phase="DeadLettered", uid=uid_of(4), version=3, spec=infra))
    parts.task_cache.replace([task_record(each) for each in store.tasks.values()], 10)
    parts.agent_cache.replace(
        [agent_record(agent("a", status={"phase": "Online"})), agent_record(agent("b", type="infra"))], 1
    )
    return store


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/status/{}", None),
        ("PATCH", "/api/v1/tasks/{}", {"priority": "high"}),
        ("POST", "/api/v1/cancel/{}", None),
        ("POST", "/api/v1/suspend/{}", None),
        ("POST", "/api/v1/resume/{}", None),
        ("POST", "/api/v1/replay/{}", None),
    ],
)
@pytest.mark.parametrize(("name", "uid"), [("theirs", uid_of(2)), ("their-dead", uid_of(4))])
def test_a_task_of_another_type_does_not_exist(
    ask: Ask, mixed: FakeStore, method: str, path: str, body: Any, name: str, uid: str
) -> None:
    absent = ask(TEXT, method, path.format("nothing"), body)
    for named in (name, uid):
        answer = ask(TEXT, method, path.format(named), body)
        assert answer.status_code == 404
        expected = {
            k: v.replace("nothing", named) if isinstance(v, str) else v for k, v in absent.json().items()
        }
        assert answer.json() == expected
    assert {call for call in mixed.calls if call != "read"} == set()


def test_a_task_of_another_type_does_not_exist_in_the_cluster_either(ask: Ask, store: FakeStore) -> None:
    store.add(task("unseen", spec={"agentType": "infra"}))
    assert ask(TEXT, "GET", "/api/v1/status/unseen").status_code == 404


def test_a_name_that_another_type_took_meanwhile_does_not_exist(
    parts: Dependencies, mixed: FakeStore
) -> None:
    mixed.add(task("ours", version=50, uid=uid_of(9), spec={"agentType": "infra"}))
    client = TestClient(create_app(parts), headers={"Authorization": f"Bearer {TEXT}"})
    answer = client.post("/api/v1/cancel/ours", headers={"If-Match": '"50"'})
    assert (answer.status_code, mixed.tasks["ours"]["spec"].get("cancel")) == (404, None)


def test_lists_hold_what_exists(ask: Ask, mixed: FakeStore) -> None:
    def names(path: str) -> list[str]:
        return [item["name"] for item in ask(TEXT, "GET", path).json()["items"]]

    assert sorted(names("/api/v1/tasks")) == ["dead", "ours"]
    assert names("/api/v1/tasks?agent_type=infra") == []
    assert names("/api/v1/agents") == ["a"]
    assert names("/api/v1/agents?agent_type=infra&agent_type=text") == ["a"]
    queues = ask(TEXT, "GET", "/api/v1/queues").json()["items"]
    assert [queue["agentType"] for queue in queues] == ["text"]
    everything = ask(KEYS[Scope.READ], "GET", "/api/v1/queues").json()["items"]
    assert [queue["agentType"] for queue in everything] == ["infra", "text"]


def test_pages_go_on_over_what_does_not_exist(ask: Ask, mixed: FakeStore) -> None:
    first = ask(TEXT, "GET", "/api/v1/tasks?limit=1").json()
    second = ask(TEXT, "GET", f"/api/v1/tasks?limit=1&cursor={first['nextCursor']}").json()
    assert sorted(item["name"] for page in (first, second) for item in page["items"]) == ["dead", "ours"]
    assert second["nextCursor"] is None


def test_work_for_another_type_is_refused(ask: Ask, mixed: FakeStore) -> None:
    answer = ask(TEXT, "POST", "/api/v1/dispatch", {"agentType": "infra", "action": "deploy"})
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("/scope-needed")
    assert answer.json()["errors"] == [
        {"pointer": "/agentType", "detail": "text has nothing to do with agentType infra"}
    ]
    assert mixed.calls == []
    assert ask(TEXT, "POST", "/api/v1/dispatch", {"agentType": "text", "action": "echo"}).status_code == 202


def test_a_batch_holds_what_the_client_may(ask: Ask, mixed: FakeStore) -> None:
    entries = [
        WORK,
        {"agentType": "infra", "action": "deploy"},
        {**WORK, "dependsOn": [{"name": "theirs"}]},
    ]
    answer = ask(TEXT, "POST", "/api/v1/dispatch/batch", {"tasks": entries}).json()
    assert [item["status"] for item in answer["items"]] == [202, 403, 422]
    pointers = [item["problem"]["errors"][0]["pointer"] for item in answer["items"][1:]]
    assert pointers == ["/tasks/1/agentType", "/tasks/2/dependsOn/0/name"]
    made = mixed.tasks[answer["items"][0]["task"]["name"]]
    assert made["metadata"]["annotations"] == {DISPATCHED_BY: "text"}


def test_many_replays_are_of_what_exists(ask: Ask, mixed: FakeStore) -> None:
    done = ask(TEXT, "POST", "/api/v1/replay", {}).json()["items"]
    assert [item["taskId"] for item in done] == ["dead"]
    assert ask(TEXT, "POST", "/api/v1/replay", {"agentTypes": ["infra"]}).json()["items"] == []


@pytest.mark.parametrize(("named", "status"), [("ours", 202), ("theirs", 422), ("nothing", 422)])
def test_results_of_another_type_cannot_be_had_by_depending_on_them(
    ask: Ask, mixed: FakeStore, named: str, status: int
) -> None:
    body = {"agentType": "text", "action": "echo", "dependsOn": [{"name": "ours"}, {"name": named}][-1:]}
    answer = ask(TEXT, "POST", "/api/v1/dispatch", body)
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["errors"][0]["pointer"] == "/dependsOn/0/name"
        assert f"there is no Task {named}" in answer.json()["detail"]
    # Who has to do with every type may name a Task that is made later.
    assert ask(KEYS[Scope.DISPATCH], "POST", "/api/v1/dispatch", body).status_code == 202


def test_an_idempotency_key_does_not_name_a_task_of_another_type(
    parts: Dependencies, mixed: FakeStore
) -> None:
    client = TestClient(create_app(parts))
    body = {"agentType": "infra", "action": "deploy"}
    header = {"Idempotency-Key": "k"}
    made = client.post(
        "/api/v1/dispatch", json=body, headers={"Authorization": f"Bearer {KEYS[Scope.DISPATCH]}", **header}
    )
    ours = {**body, "agentType": "text"}
    answer = client.post("/api/v1/dispatch", json=ours, headers={"Authorization": f"Bearer {TEXT}", **header})
    assert answer.status_code == 422
    assert made.json()["name"] not in json.dumps(answer.json())
    assert "another Task" in answer.json()["detail"]


def test_the_archive_does_not_tell_either(parts: Dependencies) -> None:
    class Archive(FakeArchive):
        async def find(self, namespace: str, task_id: str, *, is_uid: bool) -> bytes | None:
            return json.dumps({"agentType": task_id}).encode()

    given = Dependencies(parts.namespace, parts.store, parts.keys, Archive())
    asking = TestClient(create_app(given), headers={"Authorization": f"Bearer {TEXT}"})
    assert asking.get("/api/v1/status/text").status_code == 200
    assert asking.get("/api/v1/status/infra").status_code == 404


def test_a_websocket_of_a_task_that_does_not_exist(parts: Dependencies, mixed: FakeStore) -> None:
    with TestClient(create_app(parts), headers={"Authorization": f"Bearer {TEXT}"}) as asking:
        with asking.websocket_connect("/api/v1/ws/ours") as socket:
            assert socket.receive_json()["task"]["name"] == "ours"
        with (
            asking.websocket_connect("/api/v1/ws/theirs") as socket,
            pytest.raises(WebSocketDisconnect) as closed,
        ):
            socket.receive_json()
    assert (closed.value.code, closed.value.reason) == (4404, "there is no Task theirs")


def test_an_event_stream_of_a_task_that_does_not_exist(ask: Ask, mixed: FakeStore) -> None:
    refused = ask(TEXT, "GET", "/api/v1/events?task_id=their-dead")
    assert (refused.status_code, refused.json()["detail"]) == (404, "there is no Task their-dead")
    assert ask(TEXT, "GET", "/api/v1/events?task_id=dead").status_code == 200


@pytest.mark.parametrize("query", ["", "?agent_type=infra&agent_type=text"])
def test_a_websocket_of_many_tells_of_what_exists(parts: Dependencies, mixed: FakeStore, query: str) -> None:
    with (
        TestClient(create_app(parts), headers={"Authorization": f"Bearer {TEXT}"}) as asking,
        asking.websocket_connect(f"/api/v1/ws{query}") as socket,
    ):
        told = [socket.receive_json() for _ in range(3)]
        assert [message["type"] for message in told] == ["snapshot", "snapshot", "synced"]
        assert {message["task"]["name"] for message in told[:2]} == {"ours", "dead"}

        async def change() -> None:
            for name, agent_type in (("theirs", "infra"), ("ours", "text")):
                spec = {"agentType": agent_type}
                changed = task(name, 20, phase="Running", uid=mixed.tasks[name]["metadata"]["uid"], spec=spec)
                parts.task_cache.put(task_record(changed))

        assert asking.portal is not None
        asking.portal.call(change)
        assert socket.receive_json()["task"]["name"] == "ours"


def test_a_websocket_of_nothing_that_exists(parts: Dependencies, mixed: FakeStore) -> None:
    with (
        TestClient(create_app(parts), headers={"Authorization": f"Bearer {TEXT}"}) as asking,
        asking.websocket_connect("/api/v1/ws?agent_type=infra") as socket,
    ):
        assert socket.receive_json()["type"] == "synced"
